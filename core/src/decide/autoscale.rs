//! How many instances a component should have, from how much it is asked for.
//!
//! Demand is what runs and what waits. It is looked at over a stable window (60 s) and a panic window
//! (6 s):
//! * Up when either average is more than `scaleuppct` of the capacity, to
//!   ceil(average / (`maxconcurrency` × `scaleuppct`)). A queue that the instances in rotation do not
//!   work off scales up at once to what runs and waits now. One before the first instance serves does
//!   so, too, but to no more than a handful: nobody knows yet how fast they are.
//! * The panic window and the queue forbid scaling down for a stable window.
//! * Down when the stable window's peak is under `scaledownpct` of the capacity, by the same formula
//!   from the peak; never before a whole window was watched, so a daemon that has just started and
//!   knows little takes nothing down.
//! * Within `mininstances` and `maxinstances`; at least one while the last request is younger than
//!   `idletimeoutseconds`, else the minimum.
//!
//! Up and down use one formula, and `scaledownpct` is less than `scaleuppct`, so a constant load leads
//! to one count and stays there.

use std::time::Duration;

use super::{
    Decided,
    activity::{WINDOW_MAX, Window},
    pool::Pool,
};
use crate::{component::Scaling, time::Moment};

pub const STABLE_WINDOW: Duration = WINDOW_MAX;
pub const PANIC_WINDOW: Duration = Duration::from_secs(6);
/// A burst that is worked off sooner is no queue: a new instance would come too late for it anyway.
pub const QUEUE_PATIENCE: Duration = Duration::from_millis(250);
/// While nothing serves yet: requests that come together have come by then, and none was worked off.
pub const COLD_PATIENCE: Duration = Duration::from_millis(100);
/// Instances that are started for a queue before the first of them serves.
const COLD_MOST: u32 = 4;

/// What a decision is made from. Ages are counted back from now.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    pub scaling: &'a Scaling,
    /// Instances that are to run now.
    pub current: u32,
    /// Of these, the ones that take requests.
    pub in_rotation: u32,
    pub demand: Demand,
    /// Since the last decision that [`Scale::panic`] was set in; `None`: never.
    pub since_panic: Option<Duration>,
}

/// How much a component is asked for, on all nodes together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demand {
    pub in_flight: u32,
    pub waiting: u32,
    /// For how long requests have been waiting without a new instance coming to their help.
    pub waiting_for: Duration,
    /// Requests that ran or waited, over [`STABLE_WINDOW`] and [`PANIC_WINDOW`].
    pub stable: Window,
    pub panic: Window,
    /// Age of the last request, zero while one runs or waits; `None`: there was none.
    pub last_request: Option<Duration>,
    /// For how long this has been watched.
    pub observed: Duration,
}

// === impl Demand ===

impl Demand {
    /// Of this node: what runs on its instances, and who waits here. What was relayed to a peer is that
    /// peer's demand.
    pub fn of<M: Clone, W>(pool: &mut Pool<M, W>, now: Moment) -> Self {
        let (in_flight, waiting) = (pool.in_flight(), pool.waiting());
        let waiting_for = pool.waiting_since().map_or(Duration::ZERO, |since| now.since(since));
        let activity = pool.demand();
        Self {
            in_flight,
            waiting,
            waiting_for,
            stable: activity.window(STABLE_WINDOW, now),
            panic: activity.window(PANIC_WINDOW, now),
            last_request: activity.last_active(now).map(|last| now.since(last)),
            observed: activity.observed(now),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scale {
    pub instances: u32,
    /// Nothing may be taken down for a stable window from now on.
    pub panic: bool,
}

/// Decides for one component.
pub fn decide(input: &Input<'_>) -> Decided<Scale> {
    let mut reasons = Vec::new();
    let active = is_active(input);
    let (demanded, panic) = if active { demanded(input, &mut reasons) } else { (0, false) };
    if !active {
        reasons.push(idle_reason(input));
    }
    let instances = limit(demanded, active, input, &mut reasons);
    Decided { value: Scale { instances, panic }, reasons }
}

/// True while there are requests, and for the idle timeout after. Instances found running when the watch
/// began may have had one just before.
fn is_active(input: &Input<'_>) -> bool {
    let Demand { in_flight, waiting, last_request, observed, .. } = input.demand;
    let timeout = input.scaling.idle_timeout;
    let unknown = last_request.is_none() && input.current > 0 && observed < timeout;
    in_flight + waiting > 0 || last_request.is_some_and(|age| age < timeout) || unknown
}

fn idle_reason(input: &Input<'_>) -> String {
    let timeout = input.scaling.idle_timeout.as_secs();
    match input.demand.last_request {
        Some(age) => {
            format!("the last request was {} s ago, the idle timeout is {timeout} s", age.as_secs())
        }
        None => "there was no request yet".to_owned(),
    }
}

/// Instances by demand alone, and whether that was urgent.
fn demanded(input: &Input<'_>, reasons: &mut Vec<String>) -> (u32, bool) {
    let Input { current, demand, .. } = *input;
    let stable = need(demand.stable.average, input.scaling);
    let panic = need(demand.panic.average, input.scaling);
    let queue = queue_need(input);
    let urgent = panic > current || queue.is_some_and(|queue| queue > current);
    let highest = stable.max(panic).max(queue.unwrap_or(0));
    if highest > current {
        reasons.push(match queue {
            Some(queue) if queue == highest => queue_reason(input),
            _ if panic == highest => average_reason(demand.panic.average, PANIC_WINDOW, input),
            _ => average_reason(demand.stable.average, STABLE_WINDOW, input),
        });
        return (highest, urgent);
    }
    // What has been waiting for long keeps what there is, even where it asks for no more.
    let urgent = urgent || queue.is_some();
    match lower(input, urgent, reasons) {
        Some(lower) => (lower.max(highest), false),
        None => (current, urgent),
    }
}

/// Instances that `concurrency` requests at a time need.
fn need(concurrency: f64, scaling: &Scaling) -> u32 {
    let per_instance = f64::from(scaling.max_concurrency.get()) * scaling.scale_up;
    // The hair keeps 3 × 0.75 ÷ 0.75 from being four; the cast saturates.
    (concurrency / per_instance - 1e-9).ceil().max(0.0) as u32
}

/// What runs and waits now, if it has waited long enough to count.
fn queue_need(input: &Input<'_>) -> Option<u32> {
    let Demand { in_flight, waiting, waiting_for, .. } = input.demand;
    if waiting == 0 || waiting_for < queue_patience(input.in_rotation) {
        return None;
    }
    if input.in_rotation > 0 {
        return Some(need(f64::from(in_flight) + f64::from(waiting), input.scaling));
    }
    // No headroom for what may come: a single request starts a single instance.
    let cold = waiting.div_ceil(input.scaling.max_concurrency.get());
    // More than a handful were there before: they stay.
    Some(cold.min(COLD_MOST.max(input.current)))
}

/// For how long requests wait before they count as a queue.
pub fn queue_patience(in_rotation: u32) -> Duration {
    if in_rotation == 0 { COLD_PATIENCE } else { QUEUE_PATIENCE }
}

/// Fewer instances, if that many are enough and now is the time.
fn lower(input: &Input<'_>, urgent: bool, reasons: &mut Vec<String>) -> Option<u32> {
    let Input { scaling, current, demand, .. } = input;
    let peak = demand.stable.peak;
    let capacity = f64::from(*current) * f64::from(scaling.max_concurrency.get());
    let share = percent(scaling.scale_down);
    let enough = need(f64::from(peak), scaling);
    if f64::from(peak) >= scaling.scale_down * capacity || enough >= *current {
        reasons.push(format!("a peak of {peak} at a time over 60 s fits {}", instances(*current)));
        return None;
    }
    if *current == 1 && enough == 0 {
        // The last one stays for the idle timeout: nothing to be decided here.
        reasons.push(keep_reason(input));
        return None;
    }
    if urgent || input.since_panic.is_some_and(|age| age < STABLE_WINDOW) {
        reasons.push("nothing is taken down within 60 s of a burst".to_owned());
        return None;
    }
    if demand.observed < STABLE_WINDOW {
        let watched = demand.observed.as_secs();
        reasons.push(format!("nothing is taken down before 60 s were watched; it is {watched} s so far"));
        return None;
    }
    reasons.push(format!(
        "the peak over 60 s, {peak} at a time, is under {share} of {}' capacity of {capacity}",
        instances(*current)
    ));
    Some(enough)
}

/// The component's limits have the last word.
fn limit(demanded: u32, active: bool, input: &Input<'_>, reasons: &mut Vec<String>) -> u32 {
    let Scaling { min_instances, max_instances, .. } = input.scaling;
    let mut instances = demanded;
    if active && instances == 0 {
        instances = 1;
        reasons.push(keep_reason(input));
    }
    if instances < *min_instances {
        instances = *min_instances;
        reasons.push(format!("mininstances is {min_instances}"));
    }
    if let Some(max) = max_instances
        && instances > max.get()
    {
        reasons.push(format!("{instances} would be right, but maxinstances is {max}"));
        instances = max.get();
    }
    instances
}

fn keep_reason(input: &Input<'_>) -> String {
    let timeout = input.scaling.idle_timeout.as_secs();
    let Demand { in_flight, waiting, last_request, .. } = input.demand;
    match last_request {
        _ if in_flight + waiting > 0 => format!("{in_flight} requests run and {waiting} wait"),
        Some(age) => {
            format!("the last request was {} s ago, within the idle timeout of {timeout} s", age.as_secs())
        }
        None => format!("no request was seen so far; it is watched for the idle timeout of {timeout} s"),
    }
}

fn queue_reason(input: &Input<'_>) -> String {
    let Demand { in_flight, waiting, waiting_for, .. } = input.demand;
    let waited = waiting_for.as_millis();
    if input.in_rotation == 0 {
        let each = input.scaling.max_concurrency;
        return format!(
            "{waiting} requests wait, for {waited} ms now, and nothing serves yet: one for each {each}, {COLD_MOST} at most"
        );
    }
    let (on, rule) = (instances(input.in_rotation), rule(input.scaling));
    format!("{waiting} requests wait, for {waited} ms now, while {in_flight} run on {on}: {rule}")
}

fn average_reason(average: f64, window: Duration, input: &Input<'_>) -> String {
    format!(
        "{average:.2} requests at a time over {} s are more than {} of the capacity of {}: {}",
        window.as_secs(),
        percent(input.scaling.scale_up),
        instances(input.current),
        rule(input.scaling)
    )
}

fn rule(scaling: &Scaling) -> String {
    format!("one for each {:.2}", f64::from(scaling.max_concurrency.get()) * scaling.scale_up)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn instances(count: u32) -> String {
    if count == 1 { "1 instance".to_owned() } else { format!("{count} instances") }
}

#[cfg(test)]
#[path = "autoscale_tests.rs"]
mod tests;
