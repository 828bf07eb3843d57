//! Machines that a group was asked for and does not launch. What its activities say is looked at, seldom; while
//! its last launch has failed it is asked for no more – it goes on trying by itself.
//!
//! ```text
//!   as many as it should have ◄───────────────────────────┐
//!        │ fewer, for 30 s                                │
//!        ▼           fine                                 │
//!   looked at ◄──────────────── again after a minute      │
//!        │                                                │
//!        │ the last launch failed: told, once by reason   │
//!        ▼                                                │
//!   looked at again after 2, 4, … 15 minutes ─────────────┘ told that it is over
//! ```

use std::time::Duration;

use crate::{
    ports::autoscaling::{Activity, ActivityState, Group},
    time::{Moment, WallTime},
};

/// A launch shows in the group within seconds.
const LAUNCHED_WITHIN: Duration = Duration::from_secs(30);
/// Between looks; doubles while launches fail, as the group's own pauses do.
const LOOK_FIRST: Duration = Duration::from_secs(60);
const LOOK_LAST: Duration = Duration::from_secs(15 * 60);
/// An older failure says nothing of what is asked for now.
const FRESH: Duration = Duration::from_secs(3_600);

/// What has become of launches, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Launches {
    /// Why the last one failed.
    Fail(String),
    /// They succeed again, or none is needed any more.
    Recovered,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrival {
    /// When to look why machines are lacking; `None`: none are.
    look_at: Option<Moment>,
    pause: Duration,
    failing: Option<String>,
}

// === impl Arrival ===

impl Arrival {
    /// Takes in how many machines the group has. True: it is time to look what it does.
    pub(super) fn watch(&mut self, group: &Group, now: Moment) -> bool {
        let there = group.members.iter().filter(|member| member.counts()).count();
        if u32::try_from(there).is_ok_and(|there| there < group.desired) {
            let look_at = *self.look_at.get_or_insert(now + LAUNCHED_WITHIN);
            if now < look_at {
                return false;
            }
            self.pause = self.pause.max(LOOK_FIRST);
            self.look_at = Some(now + self.pause);
            return true;
        }
        self.look_at = None;
        self.pause = Duration::ZERO;
        false
    }

    /// What the group has done lately, newest first. Only news are returned.
    pub(super) fn looked(
        &mut self,
        activities: &[Activity],
        now: Moment,
        wall: WallTime,
    ) -> Option<Launches> {
        let launches = activities.iter().filter(|activity| activity.is_launch());
        let mut ended = launches.filter(|activity| activity.state != ActivityState::UnderWay);
        let last = ended.next().filter(|last| last.began + FRESH > wall);
        let Some(failed) = last.filter(|last| last.state == ActivityState::Failed) else {
            self.pause = LOOK_FIRST;
            return self.recovered();
        };
        self.pause = (self.pause * 2).clamp(LOOK_FIRST, LOOK_LAST);
        self.look_at = Some(now + self.pause);
        let why = failed.reason.clone();
        (self.failing.replace(why.clone()).as_ref() != Some(&why)).then_some(Launches::Fail(why))
    }

    /// Told once when no machine is lacking any more.
    pub(super) fn settled(&mut self) -> Option<Launches> {
        if self.look_at.is_some() { None } else { self.recovered() }
    }

    /// Why asking for more would be in vain.
    pub(super) fn failing(&self) -> Option<&str> {
        self.failing.as_deref()
    }

    fn recovered(&mut self) -> Option<Launches> {
        self.failing.take().map(|_| Launches::Recovered)
    }
}
