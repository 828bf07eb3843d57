//! The management API's entities exactly as they travel as JSON: names, capitals and optionality are the
//! contract that existing clients rely on. Nothing here is checked or defaulted beyond what decoding
//! needs; `component` and `event_source` do that.
//!
//! Rules: required fields are always written and never null, optional ones are left out when unset,
//! unknown fields are ignored on input (a newer client may send them), integers are 64-bit, times are
//! Unix milliseconds.

mod access;
mod entities;
mod event_sources;
mod live;
mod methods;
mod refusal;
mod status;
mod stored;
mod veil;

pub use access::*;
pub use entities::*;
pub use event_sources::*;
pub use live::*;
pub use methods::*;
pub use refusal::*;
pub use status::*;
pub use veil::VEILED;
pub(crate) use veil::VEILED_PUT;

use serde::{Deserialize, Deserializer};

/// Reads null like an absent field: clients in dynamic languages send both.
pub(crate) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
