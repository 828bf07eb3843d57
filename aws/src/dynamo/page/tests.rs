use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn entry(version: i64, bytes: usize) -> Entry {
    Entry { version, enabled: version % 3 != 0, body: "x".repeat(bytes) }
}

fn flat(pages: &[Arc<Page>]) -> Entries {
    pages.iter().flat_map(|page| page.entries.clone()).collect()
}

/// Pages after each of several rounds of changes hold what a map would, in order, within their limits.
fn check(rounds: Vec<Vec<(u16, Option<usize>)>>) {
    let (mut pages, mut model, mut names) = (Vec::<Arc<Page>>::new(), Entries::new(), 0);
    for (round, changes) in rounds.into_iter().enumerate() {
        let changes: BTreeMap<String, Option<Entry>> = changes
            .into_iter()
            .map(|(key, size)| (format!("component/{key}"), size.map(|size| entry(round as i64, size))))
            .collect();
        for (key, change) in changes.clone() {
            match change {
                Some(entry) => drop(model.insert(key, entry)),
                None => drop(model.remove(&key)),
            }
        }
        let name = || {
            names += 1;
            id(Revision(round as u64 + 1), &names.to_string())
        };
        let before: Vec<String> = pages.iter().map(|page| page.id.clone()).collect();
        let packed = pack(&pages, changes, name);
        let after: Vec<String> = packed.pages.iter().map(|page| page.id.clone()).collect();
        for page in &before {
            assert_ne!(after.contains(page), packed.replaced.contains(page), "{page} stays or is replaced");
        }
        for page in &packed.pages {
            assert_ne!(before.contains(&page.id), packed.new.contains(page), "{} is old or new", page.id);
            assert!(!page.entries.is_empty());
            assert!(bytes(&page.entries) <= MOST_BYTES || page.entries.len() == 1, "too large");
        }
        let keys: Vec<&String> = packed.pages.iter().flat_map(|page| page.entries.keys()).collect();
        assert!(keys.is_sorted());
        pages = packed.pages;
        assert_eq!(flat(&pages), model);
    }
    let total: usize = bytes(&model);
    // Pages that nobody changes are not rewritten to be joined, so some are smaller than they could be.
    assert!(
        pages.len() <= 2 * model.len() && pages.len() <= 4 + 8 * total.div_ceil(FEW_BYTES),
        "{}",
        pages.len()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pages_hold_what_a_map_would(rounds in prop::collection::vec(
        prop::collection::vec((0_u16..400, prop::option::weighted(0.7, 0_usize..9_000)), 1..60), 1..12,
    )) {
        check(rounds);
    }

    #[test]
    fn large_and_small_entries_share_pages(rounds in prop::collection::vec(
        prop::collection::vec((0_u16..20, prop::option::of(prop::sample::select(vec![1, 20_000, 70_000, 390_000]))), 1..8),
        1..12,
    )) {
        check(rounds);
    }
}

#[test]
fn a_new_project_fills_pages_evenly() {
    let changes = (0..300).map(|n| (format!("component/{n:03}"), Some(entry(1, 2_000)))).collect();
    let packed = pack(&[], changes, || "x".to_owned());
    let sizes: Vec<usize> = packed.pages.iter().map(|page| bytes(&page.entries)).collect();
    assert_eq!(sizes.len(), 10, "{sizes:?}");
    assert!(sizes.iter().all(|size| (55_000..=MOST_BYTES).contains(size)), "{sizes:?}");
}

#[test]
fn one_change_touches_one_page() {
    let changes = (0..300).map(|n| (format!("component/{n:03}"), Some(entry(1, 2_000)))).collect();
    let mut n = 0;
    let mut name = || {
        n += 1;
        n.to_string()
    };
    let packed = pack(&[], changes, &mut name);
    let change = BTreeMap::from([("component/150".to_owned(), Some(entry(2, 2_000)))]);
    let again = pack(&packed.pages, change, name);
    assert_eq!((again.new.len(), again.replaced.len(), again.pages.len()), (1, 1, 10));
}

#[test]
fn an_empty_configuration_has_no_pages() {
    let changes = BTreeMap::from([("component/a".to_owned(), Some(entry(1, 10)))]);
    let packed = pack(&[], changes, || "1".to_owned());
    let gone = BTreeMap::from([("component/a".to_owned(), None), ("component/never".to_owned(), None)]);
    let empty = pack(&packed.pages, gone, || "2".to_owned());
    assert_eq!((empty.pages.len(), empty.new.len(), empty.replaced), (0, 0, vec!["1".to_owned()]));
}

#[test]
fn the_revision_is_in_a_page_s_name() {
    assert_eq!(revision_of(&id(Revision(7), "01J-X")), Some(Revision(7)));
    assert_eq!(revision_of("somebody's"), None);
    assert!(id(Revision(9), "z") < id(Revision(10), "a"), "sorted by revision");
}
