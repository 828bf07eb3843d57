//! Why a component has no place, in the `data` of the error that says so.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rpc::{RpcError, code};

/// What the waiters of a component without a place are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacementRefusal {
    /// One line, with the numbers.
    pub reason: String,
    /// For how long they are told the same without a new try.
    pub retry_after_millis: i64,
}

/// Longer than any that is sent.
const LONGEST: Duration = Duration::from_secs(300);

// === impl PlacementRefusal ===

impl PlacementRefusal {
    pub fn new(reason: String, retry_after: Duration) -> Self {
        Self { reason, retry_after_millis: i64::try_from(retry_after.as_millis()).unwrap_or(i64::MAX) }
    }

    pub fn retry_after(&self) -> Duration {
        Duration::from_millis(self.retry_after_millis.max(0).unsigned_abs()).min(LONGEST)
    }

    /// The error that carries it.
    pub fn into_error(self, message: String) -> RpcError {
        let data = serde_json::json!({ "placementRefusal": self });
        RpcError { data: Some(data), ..RpcError::new(code::OTHER, message) }
    }

    /// What an error carries, if it is such a one.
    pub fn of(error: &RpcError) -> Option<Self> {
        let data = error.data.as_ref()?.get("placementRefusal")?;
        Self::deserialize(data).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_travels_in_an_error() {
        let refusal = PlacementRefusal::new("no room".into(), Duration::from_millis(1_500));
        let error = refusal.clone().into_error("component 'web' has no place: no room".into());
        let text = serde_json::to_string(&error).unwrap();
        let back: RpcError = serde_json::from_str(&text).unwrap();
        assert_eq!(PlacementRefusal::of(&back), Some(refusal));
        assert_eq!(PlacementRefusal::of(&RpcError::new(code::OTHER, "no")), None);
        let endless = PlacementRefusal { retry_after_millis: i64::MAX, ..PlacementRefusal::default() };
        assert_eq!(endless.retry_after(), LONGEST);
    }
}
