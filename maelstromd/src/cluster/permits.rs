//! The turn to start an instance of a component alone, in the whole cluster: a role of its own, wanted for as
//! long as the start takes.
//!
//! On this node starts stand in line at a lock, so that one guard at a time is at the store. Without the
//! store nobody can know whose turn it is, and such starts wait.

use std::sync::Arc;

use maelstrom_core::{
    names::{ComponentName, Role},
    ports::BoxFuture,
};

use super::Roles;
use crate::node::{LocalPermits, Permit, StartPermits};

/// Roles of this prefix are turns to start an instance.
const START_ROLE: &str = "start/";

/// Start permits of a node among others.
pub struct LeasedPermits {
    roles: Arc<Roles>,
    here: LocalPermits,
}

// === impl LeasedPermits ===

impl LeasedPermits {
    pub fn new(roles: Arc<Roles>) -> Self {
        Self { roles, here: LocalPermits::default() }
    }
}

impl StartPermits for LeasedPermits {
    fn acquire(&self, component: ComponentName) -> BoxFuture<'static, Permit> {
        let role = Role::new(format!("{START_ROLE}{component}"));
        let (roles, first_here) = (self.roles.clone(), self.here.acquire(component));
        Box::pin(async move {
            let here = first_here.await;
            let turn = roles.want_one(role);
            turn.owned().await;
            // The role first, then the lock: the next one here finds the role free.
            Box::new((turn, here)) as Permit
        })
    }
}
