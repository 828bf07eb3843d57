//! Stores that need nothing but this machine.

pub mod sqlite;
