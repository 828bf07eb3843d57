//! What the store in memory holds, and the rules of `ports::store` on plain maps.

use std::collections::BTreeMap;

use crate::{
    names::{NodeId, Role},
    ports::store::{Configuration, Entity, Heartbeat, Op, Revision, RoleRecord, StoreError, StoreResult},
    time::WallTime,
    wire,
};

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    revision: Revision,
    components: BTreeMap<String, wire::Component>,
    event_sources: BTreeMap<String, wire::EventSourceWithStatus>,
    heartbeats: BTreeMap<NodeId, Heartbeat>,
    roles: BTreeMap<Role, RoleRecord>,
    fires: BTreeMap<String, (WallTime, String)>,
}

fn expect(entity: Entity, name: &str, expected: i64, current: i64) -> StoreResult<()> {
    if expected == current {
        return Ok(());
    }
    Err(StoreError::Conflict { entity, name: name.to_owned(), expected, current })
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

// === impl State ===

impl State {
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn configuration(&self) -> Configuration {
        Configuration {
            revision: self.revision,
            components: self.components.values().cloned().collect(),
            event_sources: self.event_sources.values().cloned().collect(),
            unreadable: Vec::new(),
        }
    }

    /// Works on a copy, so that a conflict in the middle leaves nothing behind.
    pub(super) fn commit(&mut self, ops: &[Op]) -> StoreResult<Revision> {
        let mut next = self.clone();
        let mut changed = false;
        for op in ops {
            changed |= next.apply(op)?;
        }
        if changed {
            next.revision.0 += 1;
            *self = next;
        }
        Ok(self.revision)
    }

    /// Whether it changed anything.
    fn apply(&mut self, op: &Op) -> StoreResult<bool> {
        match op {
            Op::PutComponent { component, based_on } => {
                self.expect_component(&component.name, *based_on)?;
                let component = wire::Component { version: based_on + 1, ..(**component).clone() };
                self.components.insert(component.name.clone(), component);
            }
            Op::RemoveComponent { name, based_on } => {
                self.expect_component(name, *based_on)?;
                return Ok(self.components.remove(name).is_some());
            }
            Op::PutEventSource { event_source, based_on } => {
                self.expect_event_source(&event_source.name, *based_on)?;
                let enabled = self.event_sources.get(&event_source.name).is_none_or(|stored| stored.enabled);
                let event_source = wire::EventSource { version: based_on + 1, ..(**event_source).clone() };
                let name = event_source.name.clone();
                self.event_sources.insert(name, wire::EventSourceWithStatus { event_source, enabled });
            }
            Op::RemoveEventSource { name, based_on } => {
                self.expect_event_source(name, *based_on)?;
                return Ok(self.event_sources.remove(name).is_some());
            }
            Op::EnableEventSource { name, enabled } => {
                let Some(stored) = self.event_sources.get_mut(name) else { return Ok(false) };
                return Ok(std::mem::replace(&mut stored.enabled, *enabled) != *enabled);
            }
            Op::ExpectComponent { name, version } => {
                self.expect_component(name, *version)?;
                return Ok(false);
            }
            Op::ExpectRevision { revision } => {
                expect(Entity::Configuration, "", number(revision.0), number(self.revision.0))?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn expect_component(&self, name: &str, version: i64) -> StoreResult<()> {
        let current = self.components.get(name).map_or(0, |stored| stored.version);
        expect(Entity::Component, name, version, current)
    }

    fn expect_event_source(&self, name: &str, version: i64) -> StoreResult<()> {
        let current = self.event_sources.get(name).map_or(0, |stored| stored.event_source.version);
        expect(Entity::EventSource, name, version, current)
    }

    pub(super) fn beat(&mut self, heartbeat: Heartbeat) -> StoreResult<()> {
        if let Some(stored) = self.heartbeats.get(&heartbeat.node)
            && stored.incarnation == heartbeat.incarnation
            && stored.beat != heartbeat.beat
        {
            let before = number(heartbeat.beat.saturating_sub(1));
            expect(Entity::Heartbeat, heartbeat.node.as_str(), before, number(stored.beat))?;
        }
        self.heartbeats.insert(heartbeat.node.clone(), heartbeat);
        Ok(())
    }

    pub(super) fn heartbeats(&self) -> Vec<Heartbeat> {
        self.heartbeats.values().cloned().collect()
    }

    pub(super) fn remove_heartbeat(&mut self, node: &NodeId, incarnation: &str) -> StoreResult<()> {
        if self.heartbeats.get(node).is_some_and(|stored| stored.incarnation == incarnation) {
            self.heartbeats.remove(node);
        }
        Ok(())
    }

    pub(super) fn roles(&self) -> Vec<RoleRecord> {
        self.roles.values().cloned().collect()
    }

    pub(super) fn write_role(&mut self, record: RoleRecord, seen: u64) -> StoreResult<()> {
        let stored = self.roles.get(&record.role);
        if stored != Some(&record) {
            let current = stored.map_or(0, |stored| stored.version);
            expect(Entity::Role, record.role.as_str(), number(seen), number(current))?;
            self.roles.insert(record.role.clone(), record);
        }
        Ok(())
    }

    pub(super) fn claim_fire(&mut self, rule: String, due: WallTime, claimant: String) -> bool {
        match self.fires.get(&rule) {
            Some((last, _)) if *last > due => false,
            Some((last, by)) if *last == due => *by == claimant,
            _ => {
                self.fires.insert(rule, (due, claimant));
                true
            }
        }
    }

    pub(super) fn last_fires(&self) -> Vec<(String, WallTime)> {
        self.fires.iter().map(|(rule, (due, _))| (rule.clone(), *due)).collect()
    }

    pub(super) fn forget_fires(&mut self, rules: &[String]) -> StoreResult<()> {
        self.fires.retain(|rule, _| !rules.contains(rule));
        Ok(())
    }
}
