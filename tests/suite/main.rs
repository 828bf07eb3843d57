//! The product from outside: real daemons, real containers, real clients.
//!
//! Where a new test belongs:
//! * `traffic` – one request's way: routing, headers, cold start, streams, upgrades, deadlines
//! * `limits` – concurrency, queues, scaling
//! * `lossless` – load that goes on while the product changes: no request may fail
//! * `faults` – what breaks around the product, and how it says so and recovers
//! * `restart` – the daemon's own end and beginning: adoption, crashes
//! * `events` – cron
//! * `api` – raw JSON of the management API
//! * `access` – who may do what, and what nobody gets to see
//! * `protocol` – bytes that no honest client sends

mod access;
mod api;
mod events;
mod faults;
mod limits;
mod lossless;
mod protocol;
mod restart;
mod traffic;
