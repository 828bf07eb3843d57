//! The daemon that runs on every node beside Docker.

pub mod clock;
pub mod journal;
pub mod tasks;
pub mod upstream;
