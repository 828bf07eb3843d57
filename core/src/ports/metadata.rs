//! What the cloud tells a machine about itself: EC2's instance metadata (version 2), or the ones in memory for
//! tests (`testing::cloud`).
//!
//! Contract:
//! * Every call ends within [`CALL_LIMIT`].
//! * On a machine that is none of the cloud's, every call says [`MetadataError::Absent`].
//! * A notice is there again and again until it is withdrawn.

use std::time::Duration;

use serde::Deserialize;

use super::BoxFuture;
use crate::time::WallTime;

/// The service is on the machine itself: what takes longer is not there.
pub const CALL_LIMIT: Duration = Duration::from_secs(5);
/// What the group wants of a machine that it terminates; also of one of its warm pool.
const TERMINATED: [&str; 2] = ["Terminated", "Warmed:Terminated"];

/// What a machine is told of its future.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// Its group is about to terminate it.
    pub terminates: bool,
    pub spot: Option<SpotNotice>,
    /// Since when it is likely that it will be taken away.
    pub rebalance: Option<WallTime>,
}

/// A spot machine is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpotNotice {
    /// `terminate`, `stop` or `hibernate`.
    pub action: String,
    /// `None`: the notice is there and can't be read.
    pub time: Option<WallTime>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// No such service answers: this is no machine of the cloud, or it may not ask.
    #[error("no instance metadata: {0}")]
    Absent(String),
    /// May pass by itself.
    #[error("the instance metadata can't be read: {0}")]
    Unavailable(String),
}

pub trait Metadata: Send + Sync {
    /// The machine's id in the cloud.
    fn instance(&self) -> BoxFuture<'_, Result<String, MetadataError>>;

    fn notices(&self) -> BoxFuture<'_, Result<Notices, MetadataError>>;
}

#[derive(Deserialize)]
struct InstanceAction {
    action: String,
    time: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recommendation {
    notice_time: String,
}

// === impl Notices ===

impl Notices {
    /// From the values of the paths `autoscaling/target-lifecycle-state`, `spot/instance-action` and
    /// `events/recommendations/rebalance`, as far as they are there.
    ///
    /// A notice that can't be read is one nevertheless: that it is there says what matters.
    pub fn parse(target: Option<&str>, spot: Option<&str>, rebalance: Option<&str>) -> Self {
        let spot = spot.map(|text| {
            let read: Option<InstanceAction> = serde_json::from_str(text).ok();
            let time = read.as_ref().and_then(|read| time(&read.time));
            SpotNotice { action: read.map_or_else(|| "terminate".to_owned(), |read| read.action), time }
        });
        let rebalance = rebalance.map(|text| {
            let read: Option<Recommendation> = serde_json::from_str(text).ok();
            read.and_then(|read| time(&read.notice_time)).unwrap_or_default()
        });
        Self { terminates: target.is_some_and(|state| TERMINATED.contains(&state.trim())), spot, rebalance }
    }
}

/// As AWS writes it: `2030-01-01T00:02:00Z`.
fn time(text: &str) -> Option<WallTime> {
    let read = chrono::DateTime::parse_from_rfc3339(text.trim()).ok()?;
    Some(WallTime::from_millis(read.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: &str = r#"{"action": "terminate", "time": "2030-01-01T00:02:00Z"}"#;

    #[test]
    fn notices_are_read_as_aws_writes_them() {
        assert_eq!(Notices::parse(None, None, None), Notices::default());
        assert_eq!(Notices::parse(Some("InService"), None, None), Notices::default());
        for state in ["Terminated", "Terminated\n", "Warmed:Terminated"] {
            assert!(Notices::parse(Some(state), None, None).terminates, "{state}");
        }
        let time = Some(WallTime::from_millis(1_893_456_120_000));
        let spot = SpotNotice { action: "terminate".into(), time };
        assert_eq!(Notices::parse(None, Some(SPOT), None).spot, Some(spot));
        let rebalance = r#"{"noticeTime": "2030-01-01T00:02:00Z"}"#;
        assert_eq!(Notices::parse(None, None, Some(rebalance)).rebalance, time);
    }

    #[test]
    fn a_notice_that_can_not_be_read_is_one_nevertheless() {
        for text in ["", "terminate", r#"{"action": 1}"#, r#"{"action": "stop", "time": "soon"}"#] {
            let notices = Notices::parse(None, Some(text), Some(text));
            assert_eq!(notices.spot.map(|spot| spot.time), Some(None), "{text}");
            assert_eq!(notices.rebalance, Some(WallTime::default()), "{text}");
        }
    }
}
