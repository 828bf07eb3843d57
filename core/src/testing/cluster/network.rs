//! Who can reach whom, and how quickly.

use std::collections::BTreeMap;

use super::chance::Chance;

/// From one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way(pub(super) usize, pub(super) usize);

#[derive(Debug, Default)]
pub(super) struct Network {
    /// Nothing gets through until then.
    cut: BTreeMap<Way, u64>,
    /// Packets take up to so long until then.
    slow: BTreeMap<Way, (u64, u64)>,
    /// Nothing gets to the store, or back from it, until then.
    store_cut: BTreeMap<usize, u64>,
    pub(super) store_away_until: u64,
    /// When something went wrong between two nodes last.
    touched: BTreeMap<Way, u64>,
}

// === impl Network ===

impl Network {
    pub(super) fn cut(&mut self, from: usize, to: usize, until: u64) {
        let end = self.cut.entry(Way(from, to)).or_default();
        *end = until.max(*end);
        self.touch(from, to, until);
    }

    pub(super) fn slow(&mut self, from: usize, to: usize, until: u64, most: u64) {
        self.slow.insert(Way(from, to), (until, most));
        self.touch(from, to, until + most);
    }

    pub(super) fn cut_store(&mut self, node: usize, until: u64) {
        let end = self.store_cut.entry(node).or_default();
        *end = until.max(*end);
    }

    pub(super) fn reaches_store(&self, node: usize, now: u64) -> bool {
        self.store_away_until <= now && self.store_cut.get(&node).is_none_or(|end| *end <= now)
    }

    pub(super) fn is_cut(&self, from: usize, to: usize, now: u64) -> bool {
        self.cut.get(&Way(from, to)).is_some_and(|end| *end > now)
    }

    /// When the last trouble between the two was, or will be over.
    pub(super) fn touched(&self, one: usize, other: usize) -> u64 {
        let way = if one < other { Way(one, other) } else { Way(other, one) };
        self.touched.get(&way).copied().unwrap_or(0)
    }

    pub(super) fn touch(&mut self, one: usize, other: usize, until: u64) {
        let way = if one < other { Way(one, other) } else { Way(other, one) };
        let at = self.touched.entry(way).or_default();
        *at = until.max(*at);
    }

    /// How long a packet takes in µs; `None`: it does not arrive.
    pub(super) fn delay(&self, from: usize, to: usize, now: u64, chance: &mut Chance) -> Option<u64> {
        if self.is_cut(from, to, now) {
            return None;
        }
        let usual = chance.between(100, 1_500);
        match self.slow.get(&Way(from, to)) {
            Some((until, most)) if *until > now => Some(usual + chance.below(*most)),
            _ => Some(usual),
        }
    }

    /// Everything that is wrong is right again.
    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.slow.clear();
        self.store_cut.clear();
        self.store_away_until = 0;
    }
}
