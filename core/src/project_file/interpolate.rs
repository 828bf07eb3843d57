//! `${NAME}` in a project file, replaced before it is read as YAML.
//!
//! * `${NAME}`: the variable, empty when unset
//! * `${NAME:default}`: the default when unset
//! * `${NAME:-default}`: the default when unset or empty
//! * `$${NAME}`: the literal `${NAME}`
//!
//! One pass from left to right: what a variable holds is never looked at again, so nothing can recurse
//! or go in circles, and the time taken is that of reading the text once. A `${` without its `}` and
//! `${}` are no references and stay as they are.

use std::{borrow::Cow, collections::BTreeMap};

/// Variables by name: the caller's environment.
pub type Variables = BTreeMap<String, String>;

/// A text with its references replaced, which still knows where each part came from.
#[derive(Debug)]
pub(super) struct Interpolated {
    pub(super) text: String,
    /// Where in the source each stretch of `text` begins; ordered by `output`.
    stretches: Vec<Stretch>,
    /// References to variables that are not set and have no default.
    pub(super) unset: Vec<Unset>,
}

#[derive(Debug, Clone, Copy)]
struct Stretch {
    output: usize,
    source: usize,
    /// A replaced stretch has no inside: each of its bytes comes from the start of the reference.
    replaced: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unset {
    pub(super) name: String,
    /// Byte offset of the reference in the source.
    pub(super) at: usize,
}

/// A reference in a text: byte offsets of its first `$` and past its `}`.
struct Reference {
    start: usize,
    end: usize,
    escaped: bool,
}

/// The result would be larger than a project file can be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge {
    /// Byte offset of the reference that went over the limit.
    pub(super) at: usize,
}

pub(super) fn interpolate(
    source: &str,
    variables: &Variables,
    max_bytes: usize,
) -> Result<Interpolated, TooLarge> {
    let mut result =
        Interpolated { text: String::with_capacity(source.len()), stretches: Vec::new(), unset: Vec::new() };
    let mut done = 0;
    while let Some(found) = next_reference(source, done) {
        result.literal(source, done, found.start);
        if found.escaped {
            result.literal(source, found.start + 1, found.end);
        } else {
            let value = result.resolve(&source[found.start + 2..found.end - 1], found.start, variables);
            if result.text.len() + value.len() > max_bytes {
                return Err(TooLarge { at: found.start });
            }
            result.replaced(&value, found.start);
        }
        done = found.end;
    }
    result.literal(source, done, source.len());
    if result.text.len() > max_bytes { Err(TooLarge { at: 0 }) } else { Ok(result) }
}

/// Writes `text` so that [`interpolate`] gives it back as it is.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut done = 0;
    while let Some(found) = next_reference(text, done) {
        escaped.push_str(&text[done..found.start]);
        escaped.push('$');
        escaped.push_str(&text[found.start..found.end]);
        done = found.end;
    }
    escaped + &text[done..]
}

fn next_reference(text: &str, from: usize) -> Option<Reference> {
    let mut search = from;
    loop {
        let dollar = search + text[search..].find("${")?;
        let close = dollar + 2 + text[dollar + 2..].find('}')?;
        if close > dollar + 2 {
            let escaped = dollar > from && text.as_bytes()[dollar - 1] == b'$';
            return Some(Reference { start: dollar - usize::from(escaped), end: close + 1, escaped });
        }
        search = dollar + 2;
    }
}

// === impl Interpolated ===

impl Interpolated {
    /// The byte offset in the source that the byte at `output` came from.
    pub(super) fn source_offset(&self, output: usize) -> usize {
        let after = self.stretches.partition_point(|stretch| stretch.output <= output);
        match after.checked_sub(1).and_then(|index| self.stretches.get(index)) {
            None => output,
            Some(stretch) if stretch.replaced => stretch.source,
            Some(stretch) => stretch.source + (output - stretch.output),
        }
    }

    fn literal(&mut self, source: &str, from: usize, to: usize) {
        self.stretches.push(Stretch { output: self.text.len(), source: from, replaced: false });
        self.text.push_str(&source[from..to]);
    }

    fn replaced(&mut self, value: &str, at: usize) {
        if !value.is_empty() {
            self.stretches.push(Stretch { output: self.text.len(), source: at, replaced: true });
            self.text.push_str(value);
        }
    }

    fn resolve<'a>(&mut self, inner: &'a str, at: usize, variables: &'a Variables) -> Cow<'a, str> {
        let (name, default, empty_counts_as_unset) = match inner.split_once(':') {
            None => (inner, None, false),
            Some((name, rest)) => match rest.strip_prefix('-') {
                Some(default) => (name, Some(default), true),
                None => (name, Some(rest), false),
            },
        };
        match variables.get(name) {
            Some(value) if !(empty_counts_as_unset && value.is_empty()) => Cow::Borrowed(value),
            _ => {
                if default.is_none() {
                    self.unset.push(Unset { name: name.to_owned(), at });
                }
                Cow::Borrowed(default.unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOM: usize = 1 << 20;

    fn variables() -> Variables {
        [("A", "1"), ("EMPTY", ""), ("SELF", "${SELF}"), ("LONG", "0123456789")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn text(source: &str) -> String {
        interpolate(source, &variables(), ROOM).unwrap().text
    }

    #[test]
    fn references_follow_the_rules() {
        for (source, expected) in [
            ("a ${A} b", "a 1 b"),
            ("${NONE}", ""),
            ("${NONE:x}", "x"),
            ("${EMPTY:x}", ""),
            ("${EMPTY:-x}", "x"),
            ("${NONE:-x}", "x"),
            ("${NONE:}${NONE:-}", ""),
            ("${A:-x}", "1"),
            ("${NONE:http://h:80/}", "http://h:80/"),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
            ("$A {A} $ ${", "$A {A} $ ${"),
            ("${}", "${}"),
            ("${}${A}", "${}1"),
            ("${A}$${A}${A}", "1${A}1"),
            ("ä${A}ö", "ä1ö"),
        ] {
            assert_eq!(text(source), expected, "{source}");
        }
    }

    #[test]
    fn a_value_is_never_looked_at_again() {
        assert_eq!(text("${SELF}"), "${SELF}");
    }

    #[test]
    fn offsets_lead_back_to_the_source() {
        let source = "x ${LONG} y $${A} z";
        let done = interpolate(source, &variables(), ROOM).unwrap();
        assert_eq!(done.text, "x 0123456789 y ${A} z");
        for (needle, expected) in [("x", 0), ("5", 2), ("y", 10), ("{A", 14), ("z", 18)] {
            assert_eq!(done.source_offset(done.text.find(needle).unwrap()), expected, "{needle}");
        }
        assert_eq!(done.source_offset(done.text.len()), source.len());
    }

    #[test]
    fn unset_variables_are_told() {
        let done = interpolate("${A}${B}${C:}", &variables(), ROOM).unwrap();
        assert_eq!(done.unset, [Unset { name: "B".into(), at: 4 }]);
    }

    #[test]
    fn the_result_is_bounded() {
        let source = "${LONG}".repeat(100);
        assert_eq!(interpolate(&source, &variables(), 99).unwrap_err(), TooLarge { at: 9 * 7 });
    }

    proptest! {
        #[test]
        fn text_without_references_stays(text in "[^$]{0,80}") {
            let done = interpolate(&text, &variables(), ROOM).unwrap();
            prop_assert_eq!(&done.text, &text);
            for offset in 0..=text.len() {
                prop_assert_eq!(done.source_offset(offset), offset);
            }
        }

        #[test]
        fn what_is_escaped_comes_back(text in r"([$]{0,3}[{]?[A-Z}:-]{0,3}|.){0,12}") {
            prop_assert_eq!(interpolate(&escape(&text), &variables(), ROOM).unwrap().text, text);
        }

        #[test]
        fn offsets_stay_inside_the_source(text in r"([$]{0,3}[{]?[A-Z}:-]{0,3}|.){0,12}") {
            let done = interpolate(&text, &variables(), ROOM).unwrap();
            let mut before = 0;
            for offset in 0..=done.text.len() {
                let at = done.source_offset(offset);
                prop_assert!(at <= text.len() && at >= before);
                before = at;
            }
        }
    }
}
