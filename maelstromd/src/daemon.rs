//! The daemon on one page.

pub mod identity;
pub mod listeners;
pub mod machine;
pub mod notify;
