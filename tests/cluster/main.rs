//! Several nodes on one store: real daemons, engines and networks, broken on purpose.
//!
//! Where a new test belongs:
//! * `terminations` – nodes whose machines an autoscaling group takes away
//! * `capacity` – the group's size follows demand
//! * `messages` – the same while they work on a queue
//! * `traffic` – requests that arrive at one node and are served on another
//! * `limits` – limits that hold over all nodes
//! * `deploys` – versions and start orders over all nodes
//! * `drains` – nodes that are emptied, by hand
//! * `members` – nodes that come, leave, die, freeze
//! * `partitions` – nodes that can't reach each other, or not the store
//! * `store` – the store is away for all
//! * `harness` – the hosts themselves: a fault that does not happen proves nothing

mod capacity;
mod deploys;
mod drains;
mod harness;
mod limits;
mod members;
mod messages;
mod partitions;
mod store;
mod support;
mod terminations;
mod traffic;
