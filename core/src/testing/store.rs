//! A store in memory that fails on demand: it goes away, loses answers of writes that were done, and
//! lets somebody else be first. Clones share what is stored, so that a test can act as another node.

mod state;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    names::NodeId,
    ports::{
        BoxFuture,
        store::{Configuration, Heartbeat, Op, Revision, RoleRecord, Store, StoreError, StoreResult},
    },
    time::WallTime,
};
use state::State;

/// Everything that a cluster shares, and what is to go wrong next.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
    exclusive: bool,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    away: bool,
    answers_to_lose: u32,
    /// Committed by somebody else right before the next commit.
    intrusion: Option<Vec<Op>>,
    calls: u64,
}

// === impl MemoryStore ===

impl MemoryStore {
    /// A store that several nodes may use.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that belongs to one node.
    pub fn exclusive() -> Self {
        Self { exclusive: true, ..Self::default() }
    }

    /// While away, each call fails and does nothing.
    pub fn set_away(&self, away: bool) {
        self.inner.lock().away = away;
    }

    /// The next `count` writes are done, but their callers hear of a failure.
    pub fn lose_answers(&self, count: u32) {
        self.inner.lock().answers_to_lose = count;
    }

    /// Right before the next commit somebody else commits `ops`.
    pub fn intrude(&self, ops: Vec<Op>) {
        self.inner.lock().intrusion = Some(ops);
    }

    /// Calls so far, failed ones included.
    pub fn calls(&self) -> u64 {
        self.inner.lock().calls
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> StoreResult<T> {
        let mut inner = self.inner.lock();
        inner.calls += 1;
        inner.reachable()?;
        Ok(read(&inner.state))
    }

    fn write<T>(&self, write: impl FnOnce(&mut State) -> StoreResult<T>) -> StoreResult<T> {
        let mut inner = self.inner.lock();
        inner.calls += 1;
        inner.reachable()?;
        let done = write(&mut inner.state);
        if inner.answers_to_lose > 0 {
            inner.answers_to_lose -= 1;
            return Err(StoreError::Unavailable { reason: "the answer was lost".into() });
        }
        done
    }

    fn commit_after_intruder(&self, ops: &[Op]) -> StoreResult<Revision> {
        let intrusion = self.inner.lock().intrusion.take();
        if let Some(first) = intrusion {
            self.inner.lock().state.commit(&first)?;
        }
        self.write(|state| state.commit(ops))
    }
}

impl Inner {
    fn reachable(&self) -> StoreResult<()> {
        if self.away {
            return Err(StoreError::Unavailable { reason: "it is away".into() });
        }
        Ok(())
    }
}

/// Done when polled, not when called, like any other future.
fn later<'a, T: Send + 'a>(call: impl FnOnce() -> T + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(async move { call() })
}

impl Store for MemoryStore {
    fn exclusive(&self) -> bool {
        self.exclusive
    }

    fn revision(&self) -> BoxFuture<'_, StoreResult<Revision>> {
        later(|| self.read(State::revision))
    }

    fn configuration(&self) -> BoxFuture<'_, StoreResult<Configuration>> {
        later(|| self.read(State::configuration))
    }

    fn commit(&self, ops: Vec<Op>) -> BoxFuture<'_, StoreResult<Revision>> {
        later(move || self.commit_after_intruder(&ops))
    }

    fn beat(&self, heartbeat: Heartbeat) -> BoxFuture<'_, StoreResult<()>> {
        later(move || self.write(|state| state.beat(heartbeat)))
    }

    fn heartbeats(&self) -> BoxFuture<'_, StoreResult<Vec<Heartbeat>>> {
        later(|| self.read(State::heartbeats))
    }

    fn remove_heartbeat(&self, node: NodeId, incarnation: String) -> BoxFuture<'_, StoreResult<()>> {
        later(move || self.write(|state| state.remove_heartbeat(&node, &incarnation)))
    }

    fn roles(&self) -> BoxFuture<'_, StoreResult<Vec<RoleRecord>>> {
        later(|| self.read(State::roles))
    }

    fn write_role(&self, record: RoleRecord, seen: u64) -> BoxFuture<'_, StoreResult<()>> {
        later(move || self.write(|state| state.write_role(record, seen)))
    }

    fn claim_fire(&self, rule: String, due: WallTime, claimant: String) -> BoxFuture<'_, StoreResult<bool>> {
        later(move || self.write(|state| Ok(state.claim_fire(rule, due, claimant))))
    }

    fn last_fires(&self) -> BoxFuture<'_, StoreResult<Vec<(String, WallTime)>>> {
        later(|| self.read(State::last_fires))
    }

    fn forget_fires(&self, rules: Vec<String>) -> BoxFuture<'_, StoreResult<()>> {
        later(move || self.write(|state| state.forget_fires(&rules)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fresh() -> (Arc<dyn Store>, ()) {
        (Arc::new(MemoryStore::new()), ())
    }

    crate::store_conformance!(fresh);

    #[tokio::test]
    async fn an_outage_changes_nothing_and_a_lost_answer_does() {
        let store = MemoryStore::new();
        store.set_away(true);
        let claim = || store.claim_fire("r".into(), WallTime::from_millis(1), "n".into());
        assert!(matches!(claim().await, Err(StoreError::Unavailable { .. })));
        store.set_away(false);
        assert_eq!(store.last_fires().await, Ok(vec![]));
        store.lose_answers(1);
        assert!(matches!(claim().await, Err(StoreError::Unavailable { .. })));
        assert_eq!(store.last_fires().await, Ok(vec![("r".into(), WallTime::from_millis(1))]));
        assert_eq!(claim().await, Ok(true));
    }
}
