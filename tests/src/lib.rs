//! The product from outside: what suites, benches and the demo share.

pub mod client;
pub mod daemon;
pub mod disk;
pub mod engine;
pub mod image;
pub mod load;
pub mod wait;
