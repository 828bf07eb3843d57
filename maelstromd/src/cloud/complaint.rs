//! Trouble that goes on is told when it begins, when it becomes another one, and when it ends.

use std::fmt::Display;

/// Of one thing that is asked for again and again.
#[derive(Debug)]
pub(super) struct Complaint {
    about: &'static str,
    now: Option<&'static str>,
}

// === impl Complaint ===

impl Complaint {
    pub(super) fn about(about: &'static str) -> Self {
        Self { about, now: None }
    }

    pub(super) fn failed(&mut self, kind: &'static str, error: &impl Display) {
        if self.now.replace(kind) == Some(kind) {
            tracing::debug!(about = self.about, %error, "still in trouble");
        } else {
            tracing::warn!(%error, "{} is in trouble; trying on", self.about);
        }
    }

    pub(super) fn succeeded(&mut self) {
        if self.now.take().is_some() {
            tracing::info!("{} is well again", self.about);
        }
    }
}
