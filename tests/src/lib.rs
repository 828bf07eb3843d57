//! The product from outside: what suites, benches and the demo share.

pub mod api;
pub mod aws;
pub mod aws_fault;
pub mod client;
pub mod command;
pub mod daemon;
pub mod disk;
pub mod engine;
pub mod hosts;
pub mod image;
pub mod load;
pub mod wait;
