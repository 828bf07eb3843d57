//! What happened to a component lately: failures, proofs that a version works, retagged images, rollouts.

use std::time::Duration;

use maelstrom_core::{
    decide::converge::{Observed, State, unproved},
    time::{Moment, WallTime},
};

use super::{Inner, Unit};
use crate::{node::failure::Failure, router::StartFailure};

/// Instances are being replaced by those of another version or image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) struct Rollout {
    pub(in crate::node) version: i64,
    pub(in crate::node) began: Moment,
    pub(in crate::node) outdated: usize,
}

/// What a change of the rollout is, for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) enum RolloutNews {
    Began(Rollout),
    Done { version: i64, took: Duration },
}

// === impl Unit: history ===

impl Unit {
    /// A start failed. Returns until when no other is tried.
    pub(in crate::node) fn start_failed(&self, failure: Failure, now: Moment, wall: WallTime) -> Moment {
        let mut inner = self.inner.lock();
        inner.backoff.start_failed(now);
        inner.last_failure = Some((failure, wall));
        inner.backoff.until()
    }

    /// An instance died or failed its checks after it had been healthy.
    pub(in crate::node) fn instance_lost(
        &self,
        healthy_since: Moment,
        failure: Failure,
        now: Moment,
        wall: WallTime,
    ) -> Moment {
        let mut inner = self.inner.lock();
        inner.backoff.instance_lost(healthy_since, now);
        inner.last_failure = Some((failure, wall));
        inner.backoff.until()
    }

    /// Requests are answered with this from now on, until then.
    pub(in crate::node) fn refuse(&self, failure: StartFailure) {
        self.inner.lock().refused = Some(failure);
    }

    /// What requests are answered with at `now`, since nothing can be started here.
    pub(in crate::node) fn refusal(&self, now: Moment) -> Option<StartFailure> {
        self.inner.lock().refused.clone().filter(|failure| failure.until > now)
    }

    /// An instance passed its check: its version works.
    pub(in crate::node) fn proved(&self, version: i64) {
        {
            let mut inner = self.inner.lock();
            if inner.component.as_ref().is_none_or(|component| component.version != version) {
                return;
            }
            inner.proven = Some(version);
            inner.last_failure = None;
            inner.refused = None;
        }
        self.proofs.send_modify(|proofs| *proofs += 1);
    }

    /// The version that has to be proved, by one instance alone, before others may start beside each other.
    pub(in crate::node) fn unproved(&self) -> Option<i64> {
        let inner = self.inner.lock();
        unproved(inner.component.as_ref()?, inner.proven)
    }

    /// An instance passed its check on another node: its version works, whatever failed here.
    pub(in crate::node) fn proved_elsewhere(&self, version: i64) {
        let news = {
            let mut inner = self.inner.lock();
            let this = inner.component.as_ref().is_some_and(|component| component.version == version);
            this && inner.proven.replace(version) != Some(version)
        };
        if news {
            self.proofs.send_modify(|proofs| *proofs += 1);
            self.wake.notify_one();
        }
    }

    /// What failed until now for want of the engine may be tried at once.
    pub(in crate::node) fn engine_is_back(&self) -> bool {
        let forgot = {
            let mut inner = self.inner.lock();
            let unavailable = inner.last_failure.as_ref().is_some_and(|(failure, _)| failure.is_passing());
            if unavailable {
                inner.backoff.forget();
                inner.refused = None;
            }
            unavailable
        };
        self.wake.notify_one();
        forgot
    }

    /// Failures end with an instance that has been healthy for long.
    pub(in crate::node) fn settle_backoff(&self, now: Moment) {
        let mut inner = self.inner.lock();
        if inner.backoff.failures() == 0 {
            return;
        }
        let serving = inner.instances.iter().filter(|i| i.state() == State::Serving);
        let healthy_since: Vec<Moment> = serving.filter_map(|i| i.healthy_since()).collect();
        healthy_since.into_iter().for_each(|since| inner.backoff.healthy(since, now));
        if inner.backoff.failures() == 0 {
            inner.last_failure = None;
        }
    }

    /// The last failure, and when the next start is due if it is still held back.
    pub(in crate::node) fn failure(&self, now: Moment) -> Option<(Failure, WallTime, Option<Duration>)> {
        let inner = self.inner.lock();
        let (failure, at) = inner.last_failure.clone()?;
        let until = inner.backoff.until();
        Some((failure, at, (until > now).then(|| until.since(now))))
    }

    /// The component's image name points at the image `id`. Marks the instances that were made from
    /// another one before this was known, and returns how many those are. Later ones are never marked:
    /// an engine that names images in two ways must not cause restarts without end.
    pub(in crate::node) fn image_is(&self, id: &str, now: Moment) -> usize {
        let mut inner = self.inner.lock();
        let known_since = match &inner.image {
            Some((known, since)) if known == id => *since,
            _ => {
                inner.image = Some((id.to_owned(), now));
                now
            }
        };
        // What another version named is outdated anyway.
        let Inner { instances, component, .. } = &*inner;
        let candidates =
            instances.iter().filter(|i| i.since <= known_since && i.is_current(component.as_ref()));
        let other = candidates.filter(|i| i.container().is_some_and(|c| c.image_id != id));
        other.filter(|instance| instance.set_stale()).count()
    }

    /// An instance was made from another image than one beside it.
    pub(in crate::node) fn has_other_image(&self, image_id: &str) -> bool {
        let inner = self.inner.lock();
        let same = inner.instances.iter().filter(|i| i.is_current(inner.component.as_ref()));
        same.filter_map(|i| i.container()).any(|c| c.image_id != image_id)
    }

    /// Compares what runs with what should; tells when a rollout begins and ends.
    pub(in crate::node) fn rollout(&self, observed: &[Observed], now: Moment) -> Option<RolloutNews> {
        let mut inner = self.inner.lock();
        let version = inner.component.as_ref().map(|component| component.version)?;
        let outdated = observed.iter().filter(|o| !o.current && o.state != State::Stopping).count();
        match &inner.rollout {
            None if outdated > 0 => {
                let rollout = Rollout { version, began: now, outdated };
                inner.rollout = Some(rollout.clone());
                Some(RolloutNews::Began(rollout))
            }
            Some(rollout) if outdated == 0 => {
                let took = now.since(rollout.began);
                inner.rollout = None;
                Some(RolloutNews::Done { version, took })
            }
            Some(rollout) if rollout.version != version => {
                let rollout = Rollout { version, began: now, outdated };
                inner.rollout = Some(rollout.clone());
                Some(RolloutNews::Began(rollout))
            }
            _ => None,
        }
    }
}
