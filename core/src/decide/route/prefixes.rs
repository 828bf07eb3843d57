//! The path prefixes of one hostname, for finding the longest that matches.
//!
//! A few are tried one after the other, the longest first. Of many only those can match that are as long
//! as the path up to the end of one of its segments, so each such beginning of the path is looked up.

use super::hash::TextMap;

/// From here on looking up is cheaper than trying.
const FEW: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Prefixes {
    /// Longest first; empty where there are many.
    few: Vec<(Box<str>, u32)>,
    many: TextMap<u32>,
    /// The lengths that there are among many, longest first.
    lengths: Vec<usize>,
}

/// True if `prefix` matches `path` at a segment's end.
#[inline]
pub(super) fn matches(prefix: &str, path: &str) -> bool {
    path.starts_with(prefix) && ends_segment(path.as_bytes(), prefix.len())
}

/// True if a prefix may end at `len`, which is at most the path's length.
#[inline]
fn ends_segment(path: &[u8], len: usize) -> bool {
    len == 0 || len == path.len() || path[len] == b'/' || path[len - 1] == b'/'
}

// === impl Prefixes ===

impl Prefixes {
    /// Of entries with the same prefix the first counts.
    pub(super) fn new(entries: &[(&str, u32)]) -> Self {
        let mut sorted = entries.to_vec();
        sorted.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
        sorted.dedup_by_key(|(prefix, _)| *prefix);
        let owned = sorted.into_iter().map(|(prefix, route)| (Box::from(prefix), route));
        if owned.len() <= FEW {
            return Self { few: owned.collect(), ..Self::default() };
        }
        let many: TextMap<u32> = owned.collect();
        let mut lengths: Vec<usize> = many.keys().map(|prefix| prefix.len()).collect();
        lengths.sort_by(|a, b| b.cmp(a));
        lengths.dedup();
        Self { few: Vec::new(), many, lengths }
    }

    /// The route with the longest prefix that matches.
    #[inline]
    pub(super) fn longest(&self, path: &str) -> Option<u32> {
        if self.many.is_empty() {
            let found = self.few.iter().find(|(prefix, _)| matches(prefix, path));
            return found.map(|(_, route)| *route);
        }
        let fitting = self.lengths.iter().filter(|len| **len <= path.len());
        let ends = fitting.filter(|len| ends_segment(path.as_bytes(), **len));
        // A path cut amid a character is no prefix that anybody configured.
        ends.filter_map(|len| path.get(..*len)).find_map(|prefix| self.many.get(prefix).copied())
    }
}
