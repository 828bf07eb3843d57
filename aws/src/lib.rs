//! Adapters of Maelstrom's ports to AWS. Invariant: no other crate knows the AWS SDK, and nothing here
//! decides anything that `core` could.

mod account;
pub mod dynamo;

pub use account::Account;
pub use dynamo::DynamoStore;
