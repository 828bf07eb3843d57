//! Where the cluster has to come when nothing is wrong any more: what is wanted runs, roles are owned, all
//! know all, nothing is left of what was.

use super::{
    agenda::Event,
    control::ROLE,
    world::{SECOND, World},
};
use crate::{
    decide::{converge::State, placement::Obstacle},
    names::Role,
};

// === impl World ===

impl World {
    /// Every second after the trouble.
    pub(super) fn look_for_rest(&mut self) {
        if self.rests_since.is_none() {
            self.net.heal();
            self.net.store_away_until = 0;
            for node in &mut self.nodes {
                node.frozen_until = node.frozen_until.min(self.now);
            }
            self.note_cuts();
            let unrest = self.unrest();
            match unrest {
                None => self.calm_looks += 1,
                Some(why) => {
                    self.calm_looks = 0;
                    self.note(|_| format!("not at rest: {why}"));
                }
            }
            if self.calm_looks >= 2 {
                self.rests_since = Some(self.now);
                self.meter.begin();
            }
        }
        self.agenda.plan(self.now + SECOND, Event::Look);
    }

    /// Why the cluster is not at rest.
    pub(super) fn unrest(&mut self) -> Option<String> {
        self.roles_at_rest().or_else(|| self.views_at_rest()).or_else(|| self.instances_at_rest())
    }

    fn roles_at_rest(&self) -> Option<String> {
        for name in [ROLE, super::cron::ROLE, "autoscale"] {
            let role = Role::new(name);
            if !self.nodes.iter().any(|node| self.acts(node, &role).is_some()) {
                return Some(format!("nobody acts in role {name}"));
            }
        }
        None
    }

    fn views_at_rest(&self) -> Option<String> {
        for (index, node) in self.nodes.iter().enumerate() {
            let Some(daemon) = node.daemon.as_ref() else {
                if node.returns {
                    return Some(format!("{} is not back", node.id));
                }
                continue;
            };
            if daemon.draining || daemon.leaving.is_some() {
                return Some(format!("{} drains", node.id));
            }
            for peer in daemon.membership.view() {
                let other = &self.nodes
                    [super::control::index(&crate::names::NodeId::new(peer.status.node_id.as_str()))];
                let Some(truth) = &other.daemon else {
                    return Some(format!("{} still knows {}", node.id, other.id));
                };
                if peer.silent_since.is_some() {
                    return Some(format!("{} can't reach {}", node.id, other.id));
                }
                let told = (peer.status.incarnation.as_deref(), peer.status.version);
                let behind = told.0 != Some(&*truth.incarnation) || told.1 + 50 < truth.version;
                if behind {
                    return Some(format!("{} knows {} as {told:?}", node.id, other.id));
                }
            }
            let up = self.nodes.iter().filter(|other| other.daemon.is_some()).count();
            if daemon.links.len() + 1 != up {
                return Some(format!(
                    "{} knows {} of {up} nodes",
                    self.nodes[index].id,
                    daemon.links.len() + 1
                ));
            }
        }
        None
    }

    fn instances_at_rest(&mut self) -> Option<String> {
        let role = Role::new(ROLE);
        let decider = self.nodes.iter().position(|node| self.acts(node, &role).is_some())?;
        let now = self.moment(decider);
        let Some(world) = self.world_of(decider) else { return Some("the decider fences".to_owned()) };
        let daemon = self.nodes[decider].daemon.as_ref()?;
        for state in &world.components {
            let name = &state.component.name;
            let wanted = daemon.control.scheduler.target(name, &world, now)?.value;
            let obstacle = daemon.control.scheduler.obstacle(name);
            let (mut targets, mut serving) = (0, 0);
            for node in self.nodes.iter().filter_map(|node| node.daemon.as_ref()) {
                let Some(unit) = node.units.get(name) else { continue };
                targets += unit.target;
                serving += unit.count(State::Serving);
                let current = |one: &super::units::Instance| one.component.version == state.component.version;
                if let Some(one) =
                    unit.instances.iter().find(|one| one.state != State::Serving || !current(one))
                {
                    return Some(format!("an instance of {name} is {:?}", one.state));
                }
            }
            let placed = targets == wanted || obstacle.is_some_and(|why| why.obstacle != Obstacle::NoNode);
            if !placed || serving != targets {
                return Some(format!("{name}: {wanted} wanted, {targets} told, {serving} serve"));
            }
        }
        None
    }
}
