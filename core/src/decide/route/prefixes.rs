//! The path prefixes of one hostname, for finding the longest that matches.
//!
//! They are sorted, and each knows the longest other that it begins with. Whatever matches a path is the
//! last entry that doesn't sort behind the path, or one that this entry begins with; so a binary search
//! and a walk up that chain find the longest, whether there are three or ten thousand.

#[derive(Debug, Default)]
pub(super) struct Prefixes {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    prefix: Box<str>,
    /// Index of the longest entry that this one begins with.
    parent: Option<u32>,
    route: u32,
}

/// True if `prefix` matches `path` at a segment's end.
#[inline]
pub(super) fn matches(prefix: &str, path: &str) -> bool {
    path.starts_with(prefix) && ends_segment(prefix, path)
}

#[inline]
fn ends_segment(prefix: &str, path: &str) -> bool {
    prefix.is_empty()
        || prefix.ends_with('/')
        || path.len() == prefix.len()
        || path.as_bytes()[prefix.len()] == b'/'
}

// === impl Prefixes ===

impl Prefixes {
    /// Of entries with the same prefix the first counts.
    pub(super) fn new(entries: &[(&str, u32)]) -> Self {
        let mut sorted = entries.to_vec();
        sorted.sort_by_key(|(prefix, _)| *prefix);
        sorted.dedup_by_key(|(prefix, _)| *prefix);
        let mut built: Vec<Entry> = Vec::with_capacity(sorted.len());
        let mut chain: Vec<u32> = Vec::new();
        for (index, (prefix, route)) in (0_u32..).zip(sorted) {
            while chain.last().is_some_and(|last| !prefix.starts_with(&*built[*last as usize].prefix)) {
                chain.pop();
            }
            built.push(Entry { prefix: prefix.into(), parent: chain.last().copied(), route });
            chain.push(index);
        }
        Self { entries: built }
    }

    /// The route with the longest prefix that matches.
    #[inline]
    pub(super) fn longest(&self, path: &str) -> Option<u32> {
        let behind = self.entries.partition_point(|entry| *entry.prefix <= *path);
        let mut entry = &self.entries[behind.checked_sub(1)?];
        loop {
            if matches(&entry.prefix, path) {
                return Some(entry.route);
            }
            entry = &self.entries[entry.parent? as usize];
        }
    }
}
