//! Adapters of Maelstrom's ports to AWS. Invariant: no other crate knows the AWS SDK, and nothing here
//! decides anything that `core` could.

mod account;
mod autoscaling;
mod cloudwatch;
pub mod dynamo;
mod failure;
#[cfg(test)]
mod localstack;
mod metadata;
mod sqs;
mod step_functions;

pub use account::{Account, FoundAccount};
pub use autoscaling::AutoScalingGroups;
pub use cloudwatch::CloudWatch;
pub use dynamo::DynamoStore;
pub use metadata::InstanceMetadata;
pub use sqs::SqsQueues;
pub use step_functions::StepFunctions;
