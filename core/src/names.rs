//! Names that were checked once and can't be mixed up: of components, event sources, projects, nodes,
//! instances and roles.
//!
//! Rules (concepts, "Names and limits"): `[a-zA-Z0-9_-]+`, stored in lower case; a project's name has at
//! most 20 bytes, a component's or event source's at most 60, its project's prefix included.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("must not be empty")]
    Empty,
    #[error("'{name}' is {bytes} bytes long; at most {max} are allowed")]
    TooLong { name: String, bytes: usize, max: usize },
    #[error("'{name}' contains '{found}'; only a-z, A-Z, 0-9, '_' and '-' are allowed")]
    Character { name: String, found: char },
}

fn check(text: &str, max: usize) -> Result<Arc<str>, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if let Some(found) = text.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '_' && *c != '-') {
        return Err(NameError::Character { name: shorten(text), found });
    }
    if text.len() > max {
        return Err(NameError::TooLong { name: shorten(text), bytes: text.len(), max });
    }
    Ok(text.to_ascii_lowercase().into())
}

/// Error texts quote what they were given, but not megabytes of it.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.chars().count() <= SHOWN {
        text.to_owned()
    } else {
        text.chars().take(SHOWN).collect::<String>() + "…"
    }
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $type:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $type(Arc<str>);

        impl $type {
            pub const MAX_BYTES: usize = $max;

            /// Checks `text` against the rules and lower-cases it.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check(text, Self::MAX_BYTES).map(Self)
            }
        }

        plain_name!($type);
    };
}

macro_rules! plain_name {
    ($type:ident) => {
        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

checked_name!(
    /// Name of a component, its project's prefix included.
    ComponentName,
    60
);
checked_name!(
    /// Name of an event source, its project's prefix included.
    EventSourceName,
    60
);
checked_name!(
    /// Name of a project.
    ProjectName,
    20
);

macro_rules! opaque_name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(Arc<str>);

        impl $type {
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }
        }

        plain_name!($type);
    };
}

opaque_name!(
    /// A node, stable over restarts of its daemon.
    NodeId
);
opaque_name!(
    /// An instance: the engine's container id.
    InstanceId
);
opaque_name!(
    /// A job that one node of the cluster does at a time, guarded by a lease.
    Role
);

// === impl ProjectName ===

impl ProjectName {
    /// The name that a project's component or event source is stored under: `<project>_<name>`, unless
    /// it begins so already.
    pub fn prefixed(&self, name: &str) -> String {
        let prefix = format!("{self}_");
        let name = name.to_ascii_lowercase();
        if name.starts_with(&prefix) { name } else { prefix + &name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_lower_cased() {
        assert_eq!(ComponentName::parse("Web-1_a").unwrap().as_str(), "web-1_a");
        assert_eq!(ComponentName::parse(""), Err(NameError::Empty));
        assert!(matches!(ComponentName::parse("a b"), Err(NameError::Character { found: ' ', .. })));
        assert!(matches!(ComponentName::parse("ä"), Err(NameError::Character { found: 'ä', .. })));
        assert!(ProjectName::parse(&"p".repeat(20)).is_ok());
        assert!(matches!(
            ProjectName::parse(&"p".repeat(21)),
            Err(NameError::TooLong { bytes: 21, max: 20, .. })
        ));
    }

    #[test]
    fn the_project_prefix_is_added_once() {
        let project = ProjectName::parse("Shop").unwrap();
        assert_eq!(project.prefixed("Web"), "shop_web");
        assert_eq!(project.prefixed("shop_Web"), "shop_web");
    }
}
