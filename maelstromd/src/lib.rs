//! The daemon that runs on every node beside Docker.

pub mod access;
pub mod api;
pub mod args;
pub mod clock;
pub mod cloud;
pub mod cluster;
pub mod config;
pub mod control;
pub mod daemon;
pub mod docker;
pub mod drain;
pub mod events;
pub mod gateway;
pub mod glob;
mod hex;
pub mod images;
pub mod journal;
pub mod logs;
pub mod node;
pub mod router;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod upstream;
pub mod workers;
