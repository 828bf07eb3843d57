//! What the router is told of instances and peers: who is in rotation, held, retired; what is refused. As the
//! daemon's `router::pool` and `router::peers`.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Planted,
    agenda::Wake,
    messages::Relayed,
    router::{At, Leads, Outcome, Pool, limits, place},
    world::World,
};
use crate::{
    decide::pool::Place,
    names::{ComponentName, NodeId},
    time::Moment,
};

// === impl World: what the router is told ===

impl World {
    pub(super) fn add_to_rotation(&mut self, node: usize, component: &ComponentName, container: u64) {
        let now = self.moment(node);
        let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(component)) else { return };
        pool.refused_until = None;
        pool.cold = false;
        pool.rotation.insert(container);
        let all = pool.pool.add(&place(container), Leads::Here(container), 1, now);
        self.hand_over_all(node, component, all);
    }

    /// True if it has no request left.
    pub(super) fn retire_instance(&mut self, node: usize, component: &ComponentName, container: u64) -> bool {
        let now = self.moment(node);
        let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(component)) else {
            return true;
        };
        let known =
            pool.rotation.remove(&container) || pool.pool.members().any(|m| *m.place == place(container));
        let left = pool.pool.retire(&place(container)).is_some();
        let stranded =
            if pool.pool.has_instances_here() { Vec::new() } else { pool.pool.turn_away_here(now) };
        for id in &stranded {
            pool.tickets.remove(id);
        }
        pool.settle();
        let asks = pool.ask_for_instance();
        for id in stranded {
            self.end_remote(id, node, Relayed::NotHere);
        }
        if asks {
            self.wake(node, self.now, Wake::Demanded);
        }
        left || !known
    }

    pub(super) fn suspect_instance(&mut self, node: usize, component: &ComponentName, container: u64) {
        let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(component)) else { return };
        if pool.pool.hold(&place(container)) {
            pool.rotation.remove(&container);
            self.changed(node);
            self.check_soon(node, component, container);
        }
    }

    pub(super) fn release_instance(&mut self, node: usize, component: &ComponentName, container: u64) {
        let now = self.moment(node);
        let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(component)) else { return };
        pool.rotation.insert(container);
        let all = pool.pool.resume(&place(container), now);
        self.hand_over_all(node, component, all);
    }

    /// Nothing can be started: turns away who waits, unless there is an instance.
    pub(super) fn refuse(&mut self, node: usize, component: &ComponentName, until: Moment) {
        let now = self.moment(node);
        let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(component)) else { return };
        if pool.pool.has_instances() {
            return;
        }
        let waiters = pool.pool.turn_away(now);
        pool.tickets.clear();
        pool.settle();
        pool.refused_until = Some(until);
        self.turned_away(node, waiters);
    }

    pub(super) fn turned_away(&mut self, node: usize, waiters: Vec<u64>) {
        for id in waiters {
            let own = self.requests.get(&id).is_some_and(|one| one.entry == node && one.at == At::Line);
            if own {
                self.end(id, Outcome::Refused);
            } else {
                self.end_remote(id, node, Relayed::Refused);
            }
        }
    }

    pub(super) fn relent(&mut self, node: usize, component: &ComponentName) {
        if let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(component)) {
            pool.refused_until = None;
        }
    }

    /// The peer serves this and nothing else.
    pub(super) fn set_peer(
        &mut self,
        node: usize,
        peer: &NodeId,
        serving: &BTreeMap<ComponentName, u32>,
        held: bool,
    ) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let gone =
            daemon.pools.iter().filter(|(name, p)| p.there.contains(peer) && !serving.contains_key(*name));
        let gone: Vec<ComponentName> = gone.map(|(name, _)| name.clone()).collect();
        for component in gone {
            if let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(&component)) {
                pool.there.remove(peer);
            }
            self.retire_peer(node, &component, peer);
        }
        for (component, count) in serving {
            let Some(pool) = self.daemon(node).and_then(|d| d.pools.get_mut(component)) else { continue };
            pool.there.insert(peer.clone());
            let (there, leads) = (Place::There(peer.clone()), Leads::There(peer.clone()));
            if held {
                pool.pool.add_held(&there, leads, *count, now);
                if pool.ask_for_instance() {
                    self.wake(node, self.now, Wake::Demanded);
                }
                continue;
            }
            let all = pool.pool.add(&there, leads, *count, now);
            pool.refused_until = None;
            pool.cold &= all.is_empty();
            self.hand_over_all(node, component, all);
        }
    }

    pub(super) fn retire_peer(&mut self, node: usize, component: &ComponentName, peer: &NodeId) {
        let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(component)) else { return };
        pool.pool.retire(&Place::There(peer.clone()));
        if pool.ask_for_instance() {
            self.wake(node, self.now, Wake::Demanded);
        }
    }

    pub(super) fn hold_peer(&mut self, node: usize, peer: &NodeId) {
        let Some(daemon) = self.daemon(node) else { return };
        let mut asks = false;
        for pool in daemon.pools.values_mut() {
            asks |= pool.pool.hold(&Place::There(peer.clone())) && pool.ask_for_instance();
        }
        if asks {
            self.wake(node, self.now, Wake::Demanded);
        }
    }

    pub(super) fn resume_peer(&mut self, node: usize, peer: &NodeId) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let names: Vec<ComponentName> = daemon.pools.keys().cloned().collect();
        for component in names {
            let Some(pool) = self.daemon(node).and_then(|d| d.pools.get_mut(&component)) else { continue };
            if !pool.there.contains(peer) {
                continue;
            }
            let all = pool.pool.resume(&Place::There(peer.clone()), now);
            pool.refused_until = None;
            pool.cold &= all.is_empty();
            self.hand_over_all(node, &component, all);
        }
    }

    pub(super) fn remove_peer(&mut self, node: usize, peer: &NodeId) {
        self.set_peer(node, peer, &BTreeMap::new(), true);
    }

    /// New settings; components that are gone turn their waiters away.
    pub(super) fn configure_pools(&mut self, node: usize) {
        let now = self.moment(node);
        let crowds = self.story.planted == Some(Planted::Crowds);
        let Some(daemon) = self.daemon(node) else { return };
        let snapshot = daemon.configuration.clone();
        let mut waiters = Vec::new();
        daemon.pools.retain(|name, pool| {
            let stays = snapshot.components.contains_key(name);
            if !stays {
                waiters.extend(pool.pool.turn_away(now));
            }
            stays
        });
        self.turned_away(node, waiters);
        for (name, component) in &snapshot.components {
            let Some(daemon) = self.daemon(node) else { return };
            match daemon.pools.get_mut(name) {
                Some(pool) if pool.component == *component => {}
                Some(pool) => {
                    pool.component = component.clone();
                    pool.refused_until = None;
                    let all = pool.pool.set_limits(limits(component, crowds), now);
                    self.hand_over_all(node, name, all);
                }
                None => {
                    daemon.pools.insert(name.clone(), Pool::new(component.clone(), crowds, now));
                    self.seat_peers(node);
                }
            }
        }
        self.pass_soon(node, Duration::ZERO);
    }
}
