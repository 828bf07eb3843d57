//! The product from outside: what suites, benches and the demo share.

pub mod image;
