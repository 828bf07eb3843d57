//! The seams to the outside. A seam is a small trait in the product's words; its doc comments are its
//! contract, and one conformance suite runs on the real thing and on the one for tests.

pub mod activity;
pub mod autoscaling;
pub mod clock;
pub mod engine;
pub mod metadata;
pub mod monitoring;
pub mod queue;
pub mod store;

use std::{future::Future, pin::Pin};

/// A boxed future: seams are called through `dyn`, and a call to Docker or to a store dwarfs the box.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
