//! Where numbers of the cluster go that the cloud's own policies follow: CloudWatch.

use super::BoxFuture;

/// Whose the numbers are. Policies, alarms and the node's role name it, so it stays.
pub const NAMESPACE: &str = "Maelstrom";
/// By what they are told apart: the name of the group.
pub const DIMENSION: &str = "AutoScalingGroupName";

/// One number, as of now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub name: &'static str,
    pub value: f64,
    pub unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Percent,
    Count,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MonitoringError {
    #[error(
        "cloudwatch:PutMetricData is not permitted: {reason}; allow it in the node's IAM role, on resource '*' \
         where cloudwatch:namespace is 'Maelstrom'"
    )]
    Denied { reason: String },
    #[error("cloudwatch:PutMetricData is asked for too often: {reason}")]
    Throttled { reason: String },
    /// May pass by itself.
    #[error("cloudwatch:PutMetricData can't be asked for: {reason}")]
    Unavailable { reason: String },
    #[error("cloudwatch:PutMetricData is refused: {reason}")]
    Refused { reason: String },
}

pub type MonitoringResult = Result<(), MonitoringError>;

pub trait Monitoring: Send + Sync {
    /// Takes all of the samples, or none. One that is put twice counts twice, which an average doesn't show.
    fn put(&self, group: String, samples: Vec<Sample>) -> BoxFuture<'_, MonitoringResult>;
}

// === impl MonitoringError ===

impl MonitoringError {
    /// One word, so that a change of what is wrong is noticed and a change of words is not.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Denied { .. } => "denied",
            Self::Throttled { .. } => "throttled",
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
        }
    }
}
