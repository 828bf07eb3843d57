//! Queues, activities and cron rules of a cluster as event sources: real daemons and containers, LocalStack
//! for AWS.
//!
//! Where a new test belongs:
//! * `load` – many messages while nodes die and drain: none lost, none left, the limit held
//! * `order` – prefixes and FIFO groups
//! * `tasks` – a real state machine and its activity
//! * `clock` – cron rules of a cluster while their owner dies
//! * `faults` – AWS that refuses, forgets, or is away
//! * `commands` – `maelctl es`
//!
//! `MAEL_TEST_MESSAGES=2000` has `load` send fewer; `MAEL_TEST_AWS_AWAY_SECONDS=60` keeps AWS away for so long.

mod clock;
mod commands;
mod faults;
mod load;
mod order;
mod support;
mod tasks;
