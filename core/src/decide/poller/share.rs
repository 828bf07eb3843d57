//! An event source's limits and its component's instances → how much each poller may have in flight.
//!
//! The partition is fixed by the limits alone, so that nodes that see different numbers of instances for a
//! moment never have more in flight together than `max_concurrency`. Instances only say how far it is
//! filled, from the first poller on: few busy pollers take whole batches, many idle ones would ask for
//! nothing all day.

/// More pollers than this have larger shares instead: each is a lease and a loop of its own.
pub const MAX_POLLERS: u32 = 64;

/// What an event source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In flight in the whole cluster, at most.
    pub max_concurrency: u32,
    /// In flight per poller, at most.
    pub per_poller: u32,
}

/// What the component can serve. Not known for one without a hard limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// That serve now, in the whole cluster.
    pub instances: u32,
    /// That there may ever be.
    pub max_instances: Option<u32>,
    /// Requests at a time that one serves.
    pub per_instance: u32,
}

/// The share of each poller, all of them more than nothing. Their sum is at most `max_concurrency`, and at
/// most what the component can serve with one instance more than it has: what waits for that one is what
/// makes autoscaling start it.
pub fn shares(limits: Limits, capacity: Option<Capacity>) -> Vec<u32> {
    let most = limits.max_concurrency;
    let per_poller = limits.per_poller.max(most.div_ceil(MAX_POLLERS)).max(1);
    let mut left = capacity.map_or(most, |capacity| capacity.room().min(most));
    let mut shares = Vec::new();
    let mut unassigned = most;
    while left > 0 {
        let share = per_poller.min(unassigned).min(left);
        shares.push(share);
        left -= share;
        unassigned -= share;
    }
    shares
}

// === impl Capacity ===

impl Capacity {
    fn room(self) -> u32 {
        let instances = self.instances.saturating_add(1);
        let instances = self.max_instances.map_or(instances, |most| instances.min(most)).max(1);
        instances.saturating_mul(self.per_instance.max(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(max_concurrency: u32, per_poller: u32) -> Limits {
        Limits { max_concurrency, per_poller }
    }

    fn instances(instances: u32, per_instance: u32) -> Option<Capacity> {
        Some(Capacity { instances, max_instances: None, per_instance })
    }

    #[test]
    fn the_concurrency_is_split_among_pollers() {
        for (limits, capacity, expected) in [
            (limits(10, 1), None, vec![1; 10]),
            (limits(10, 4), None, vec![4, 4, 2]),
            (limits(3, 10), None, vec![3]),
            (limits(1, 1), None, vec![1]),
            // Fewer instances: fewer in flight, by fewer pollers.
            (limits(10, 2), instances(0, 1), vec![1]),
            (limits(10, 2), instances(2, 1), vec![2, 1]),
            (limits(10, 2), instances(20, 1), vec![2; 5]),
            (limits(10, 10), instances(1, 2), vec![4]),
        ] {
            assert_eq!(shares(limits, capacity), expected, "{limits:?} {capacity:?}");
        }
        let full = Some(Capacity { instances: 2, max_instances: Some(2), per_instance: 3 });
        assert_eq!(shares(limits(10, 10), full), [6], "no instance will come");
    }

    proptest! {
        #[test]
        fn never_more_than_allowed_and_never_nothing(
            most in 1u32..100_000, per_poller in 1u32..1_000,
            running in 0u32..50, max in proptest::option::of(1u32..50), per_instance in 1u32..100,
        ) {
            let capacity = Capacity { instances: running, max_instances: max, per_instance };
            for capacity in [None, Some(capacity)] {
                let shares = shares(limits(most, per_poller), capacity);
                prop_assert!(!shares.is_empty() && !shares.contains(&0));
                prop_assert!(shares.len() <= MAX_POLLERS as usize);
                let sum: u32 = shares.iter().sum();
                prop_assert!(sum <= most);
                if let Some(capacity) = capacity {
                    prop_assert!(sum <= (capacity.instances + 1) * capacity.per_instance);
                } else {
                    prop_assert_eq!(sum, most);
                }
            }
        }

        /// Whatever two nodes think of the instances, poller n has at most the share that it has when all
        /// are full: the sum over nodes never exceeds the limit.
        #[test]
        fn views_that_differ_fit_in_one_partition(
            most in 1u32..1_000, per_poller in 1u32..50, views in prop::collection::vec(0u32..50, 64),
        ) {
            let limits = limits(most, per_poller);
            let full = shares(limits, None);
            let sum: u32 = (0..full.len()).map(|n| {
                let view = instances(views[n], 3);
                shares(limits, view).get(n).copied().unwrap_or_default()
            }).sum();
            prop_assert!(sum <= most);
        }
    }
}
