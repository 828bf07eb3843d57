//! What is wrong with an input, all of it at once: a person who fixes a file wants one list, not one
//! error per attempt.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong: which field, what it was given, what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Path of the field as the input spells it, e.g. `components.web.maxinstances`.
    pub field: String,
    /// A sentence with the value found and what is allowed.
    pub message: String,
}

/// A collector of [`Problem`]s that prefixes each with where in the input it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

// === impl Problems ===

impl Problems {
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { field: field.into(), message: message.into() });
    }

    /// Takes over the problems of a part, with `prefix.` before each field.
    pub fn nest(&mut self, prefix: &str, part: Problems) {
        for problem in part.0 {
            let field = if problem.field.is_empty() {
                prefix.to_owned()
            } else {
                format!("{prefix}.{}", problem.field)
            };
            self.0.push(Problem { field, message: problem.message });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Ok(value)` when nothing was found wrong.
    pub fn into_result<T>(self, value: T) -> Result<T, Problems> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}: {}", problem.field, problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
