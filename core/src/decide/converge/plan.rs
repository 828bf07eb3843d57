//! The whole way to the goal, for people: folds [`next`] over a simulated node on which every step
//! succeeds.

use super::{Desired, Observed, Purpose, State, Step, next};
use crate::time::Moment;

/// Far more steps than any real plan has; a longer one would be a defect of the rules.
const STEPS_MAX: usize = 10_000;

/// The steps that lie ahead if nothing fails and nothing else changes. Back-off is taken as waited out.
pub fn plan(desired: &Desired, observed: &[Observed], now: Moment) -> Vec<Step> {
    let mut node = observed.to_vec();
    let mut now = now;
    let mut steps = Vec::new();
    while steps.len() < STEPS_MAX {
        match next(desired, &node, now) {
            Step::Wait { until, .. } => {
                let settled = !settle(&mut node);
                let waited = until.is_some_and(|until| until > now);
                if settled && !waited {
                    return steps;
                }
                now = until.map_or(now, |until| until.max(now));
            }
            step => {
                apply(&mut node, &step, now);
                steps.push(step);
            }
        }
    }
    steps
}

/// Begins a step, as the node would show it.
pub(super) fn apply(node: &mut Vec<Observed>, step: &Step, now: Moment) {
    let serial = node.iter().map(|instance| instance.serial).max().unwrap_or(0) + 1;
    let mut set = |serial: u64, state: State| {
        if let Some(instance) = node.iter_mut().find(|instance| instance.serial == serial) {
            instance.state = state;
        }
    };
    match *step {
        Step::Start(purpose) => {
            let state = State::Starting(purpose);
            node.push(Observed { serial, current: true, state, in_flight: 0, since: now });
        }
        Step::Resume(serial) => set(serial, State::Starting(Purpose::Serve)),
        Step::Stop(serial, _) => set(serial, State::Stopping),
        Step::Wait { .. } => {}
    }
}

/// Lets everything that is under way succeed; tells whether there was any.
pub(super) fn settle(node: &mut Vec<Observed>) -> bool {
    let before = node.clone();
    node.retain(|instance| instance.state != State::Stopping);
    for instance in node.iter_mut() {
        match instance.state {
            State::Starting(Purpose::Serve) => instance.state = State::Serving,
            State::Starting(Purpose::Standby) => instance.state = State::Standby,
            _ => {}
        }
    }
    *node != before
}
