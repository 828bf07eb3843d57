//! Several nodes on one store: real daemons, engines and networks, broken on purpose.
//!
//! Where a new test belongs:
//! * `harness` – the hosts themselves: a fault that does not happen proves nothing

mod harness;
