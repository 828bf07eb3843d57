//! Secrets of components as they lie in the store: values of the environment and registry passwords, each sealed
//! with a key that only the nodes have. Whoever reads the table, the file or a copy of them finds none.
//!
//! ```text
//!   sealed:1:KEY:TEXT    TEXT is nonce, ciphertext and tag of AES-256-GCM in hexadecimal digits; KEY says which
//!   sealed:0:TEXT        TEXT itself, which begins like something sealed
//!   TEXT                 as it was written before there was a key
//! ```
//! Component and field go into the tag: a value that is moved elsewhere in the store does not open there. What
//! this node has no key for is told as unreadable, component by component, and left as it is.

use std::sync::Arc;

use maelstrom_core::{
    names::NodeId,
    ports::{
        BoxFuture,
        store::{
            Configuration, Entity, Heartbeat, Op, Revision, RoleRecord, Store, StoreError, StoreResult,
            Unreadable, Usage,
        },
    },
    time::WallTime,
    wire,
};

use super::seal::{Seal, SealError};

/// A store whose secrets are sealed.
pub(super) struct SealedStore {
    inner: Arc<dyn Store>,
    seal: Seal,
}

// === impl SealedStore ===

impl SealedStore {
    pub(super) fn new(inner: Arc<dyn Store>, seal: Seal) -> Self {
        Self { inner, seal }
    }

    fn seal(&self, ops: &mut [Op]) -> StoreResult<()> {
        for op in ops {
            let Op::PutComponent { component, .. } = op else { continue };
            let name = component.name.clone();
            for (field, value) in secrets(component) {
                *value = self.seal.close(&name, &field, value).map_err(|error| StoreError::Broken {
                    reason: format!("{field} of component '{name}' can't be sealed: {error}"),
                })?;
            }
        }
        Ok(())
    }

    fn open(&self, configuration: &mut Configuration) {
        let all = std::mem::take(&mut configuration.components);
        for mut component in all {
            match self.open_one(&mut component) {
                Ok(()) => configuration.components.push(component),
                Err(reason) => configuration.unreadable.push(Unreadable {
                    entity: Entity::Component,
                    version: component.version,
                    name: component.name,
                    reason,
                }),
            }
        }
    }

    fn open_one(&self, component: &mut wire::Component) -> Result<(), String> {
        let name = component.name.clone();
        for (field, value) in secrets(component) {
            let opened: Result<String, SealError> = self.seal.open(&name, &field, value);
            *value = opened.map_err(|error| format!("{field}: {error}"))?;
        }
        Ok(())
    }
}

/// What is sealed of a component, with the name of each.
fn secrets(component: &mut wire::Component) -> Vec<(String, &mut String)> {
    let variables = component.environment.iter_mut();
    let mut all: Vec<_> =
        variables.map(|pair| (format!("environment {}", pair.name), &mut pair.value)).collect();
    let password = component.docker.as_mut().and_then(|docker| docker.pull_password.as_mut());
    all.extend(password.map(|password| ("pullPassword".to_owned(), password)));
    all
}

impl Store for SealedStore {
    fn exclusive(&self) -> bool {
        self.inner.exclusive()
    }

    fn usage(&self) -> Vec<Usage> {
        self.inner.usage()
    }

    fn revision(&self) -> BoxFuture<'_, StoreResult<Revision>> {
        self.inner.revision()
    }

    fn configuration(&self) -> BoxFuture<'_, StoreResult<Configuration>> {
        Box::pin(async move {
            let mut configuration = self.inner.configuration().await?;
            self.open(&mut configuration);
            Ok(configuration)
        })
    }

    fn commit(&self, mut ops: Vec<Op>) -> BoxFuture<'_, StoreResult<Revision>> {
        Box::pin(async move {
            self.seal(&mut ops)?;
            self.inner.commit(ops).await
        })
    }

    fn beat(&self, heartbeat: Heartbeat) -> BoxFuture<'_, StoreResult<()>> {
        self.inner.beat(heartbeat)
    }

    fn heartbeats(&self) -> BoxFuture<'_, StoreResult<Vec<Heartbeat>>> {
        self.inner.heartbeats()
    }

    fn remove_heartbeat(&self, node: NodeId, incarnation: String) -> BoxFuture<'_, StoreResult<()>> {
        self.inner.remove_heartbeat(node, incarnation)
    }

    fn roles(&self) -> BoxFuture<'_, StoreResult<Vec<RoleRecord>>> {
        self.inner.roles()
    }

    fn write_role(&self, record: RoleRecord, seen: u64) -> BoxFuture<'_, StoreResult<()>> {
        self.inner.write_role(record, seen)
    }

    fn claim_fire(&self, rule: String, due: WallTime, claimant: String) -> BoxFuture<'_, StoreResult<bool>> {
        self.inner.claim_fire(rule, due, claimant)
    }

    fn last_fires(&self) -> BoxFuture<'_, StoreResult<Vec<(String, WallTime)>>> {
        self.inner.last_fires()
    }

    fn forget_fires(&self, rules: Vec<String>) -> BoxFuture<'_, StoreResult<()>> {
        self.inner.forget_fires(rules)
    }
}

#[cfg(test)]
mod tests;
