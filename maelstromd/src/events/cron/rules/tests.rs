//! Which rules are due, running and skipped.

use maelstrom_core::{event_source::EventSource, wire};

use super::*;

fn at(seconds: i64) -> WallTime {
    // 2026-01-01T00:00:00Z
    WallTime::from_millis(1_767_225_600_000 + seconds * 1_000)
}

fn rule(schedule: &str, put: WallTime, enabled: bool) -> Arc<Source> {
    let http = wire::CronHttpRequest { method: "GET".into(), path: "/".into(), ..Default::default() };
    let source = EventSource::parse(&wire::EventSource {
        name: "tick".into(),
        component_name: "web".into(),
        modified_at: put.as_millis(),
        cron: Some(wire::CronEventSource { schedule: schedule.into(), http }),
        ..Default::default()
    });
    Arc::new(Source { source: source.unwrap(), enabled })
}

fn snapshot(revision: u64, sources: Vec<Arc<Source>>) -> Snapshot {
    Snapshot { revision: Revision(revision), event_sources: sources, ..Snapshot::default() }
}

/// What is to be done, in short.
fn due(rules: &mut Rules, now: WallTime) -> Vec<String> {
    due_while(rules, now, &[])
}

fn due_while(rules: &mut Rules, now: WallTime, running: &[&str]) -> Vec<String> {
    let running = running.iter().map(|name| EventSourceName::parse(name).unwrap()).collect();
    let seconds = |time: WallTime| (time.as_millis() - at(0).as_millis()) / 1_000;
    let verdicts = rules.due(now, &running, 10).into_iter().map(|verdict| match verdict {
        Verdict::Fire(fire) => format!("fire {}", seconds(fire.due)),
        Verdict::Skip { due, count, .. } => format!("skip {} ({count})", seconds(due)),
        Verdict::Missed { due, .. } => format!("missed {}", seconds(due)),
        Verdict::ClockSetBack { last, .. } => format!("set back from {}", seconds(last)),
    });
    verdicts.collect()
}

fn rules(source: &Arc<Source>, last: Option<WallTime>, now: WallTime) -> Rules {
    let mut rules = Rules::new(last.map(|last| ("tick".to_owned(), last)).into_iter().collect());
    rules.configure(&snapshot(1, vec![source.clone()]), now);
    rules
}

#[test]
fn a_new_rule_makes_up_for_nothing_from_before_it_was_put() {
    let mut rules = rules(&rule("* * * * *", at(30), true), None, at(45));
    assert_eq!(due(&mut rules, at(45)), [""; 0]);
    assert_eq!(rules.next(), Some(at(60)));
    assert_eq!(due(&mut rules, at(60)), ["fire 60"]);
    assert_eq!(due(&mut rules, at(61)), [""; 0]);
}

#[test]
fn a_new_owner_makes_up_for_the_latest_due_time_if_it_is_young() {
    let minutely = rule("* * * * *", at(-9_000), true);
    assert_eq!(due(&mut rules(&minutely, Some(at(0)), at(200)), at(200)), ["missed 60", "fire 180"]);
    let daily = rule("@daily", at(-90_000), true);
    assert_eq!(due(&mut rules(&daily, Some(at(-86_400)), at(299)), at(299)), ["fire 0"]);
    let mut late = rules(&daily, Some(at(-86_400)), at(300));
    assert_eq!(due(&mut late, at(300)), ["missed 0"]);
    assert_eq!(due(&mut late, at(400)), [""; 0], "told once");
}

#[test]
fn switching_on_makes_up_for_nothing() {
    let mut rules = rules(&rule("* * * * *", at(0), false), None, at(0));
    assert_eq!(due(&mut rules, at(150)), [""; 0]);
    assert_eq!(rules.next(), None);
    rules.configure(&snapshot(2, vec![rule("* * * * *", at(0), true)]), at(150));
    assert_eq!(due(&mut rules, at(150)), [""; 0]);
    assert_eq!(due(&mut rules, at(180)), ["fire 180"]);
}

#[test]
fn another_schedule_begins_when_it_was_put_and_other_changes_lose_nothing() {
    let mut rules = rules(&rule("0 5 * * *", at(0), true), None, at(0));
    rules.configure(&snapshot(2, vec![rule("* * * * *", at(119), true)]), at(121));
    assert_eq!(due(&mut rules, at(121)), ["fire 120"]);
    // Put again just when it is due: the due time is not lost.
    rules.configure(&snapshot(3, vec![rule("* * * * *", at(180), true)]), at(180));
    assert_eq!(due(&mut rules, at(180)), ["fire 180"]);
}

#[test]
fn a_rule_whose_last_run_goes_on_is_skipped_and_counted() {
    let mut rules = rules(&rule("* * * * *", at(0), true), None, at(0));
    assert_eq!(due(&mut rules, at(60)), ["fire 60"]);
    assert_eq!(due_while(&mut rules, at(120), &["tick"]), ["skip 120 (1)"]);
    assert_eq!(due_while(&mut rules, at(121), &["tick"]), [""; 0]);
    assert_eq!(due_while(&mut rules, at(180), &["tick"]), ["skip 180 (2)"]);
    assert_eq!(due(&mut rules, at(181)), [""; 0], "not late either");
    assert_eq!(due(&mut rules, at(240)), ["fire 240"]);
}

#[test]
fn what_could_not_be_claimed_is_due_again_after_a_while() {
    let mut rules = rules(&rule("* * * * *", at(0), true), None, at(0));
    let Some(Verdict::Fire(fire)) = rules.due(at(60), &BTreeSet::new(), 1).pop() else { panic!() };
    rules.reopen(&fire, at(60));
    assert_eq!(due(&mut rules, at(60)), [""; 0]);
    assert_eq!(due(&mut rules, at(61)), ["fire 60"]);
}

#[test]
fn without_room_a_rule_stays_due() {
    let mut rules = rules(&rule("* * * * *", at(0), true), None, at(0));
    assert!(rules.due(at(60), &BTreeSet::new(), 0).is_empty());
    assert_eq!(due(&mut rules, at(61)), ["fire 60"]);
}

#[test]
fn a_clock_set_back_silences_no_rule_for_long_and_repeats_nothing_within_an_hour() {
    let minutely = rule("* * * * *", at(-90_000), true);
    let mut little = rules(&minutely, Some(at(3_600)), at(0));
    assert_eq!(due(&mut little, at(60)), [""; 0]);
    assert_eq!(due(&mut little, at(3_660)), ["fire 3660"]);
    let mut much = rules(&minutely, Some(at(90_000)), at(0));
    assert_eq!(due(&mut much, at(1)), ["set back from 90000"]);
    let fired = much.due(at(60), &BTreeSet::new(), 1);
    assert!(matches!(&fired[..], [Verdict::Fire(fire)] if fire.forget_first && fire.due == at(60)));
    assert!(matches!(&much.due(at(120), &BTreeSet::new(), 1)[..], [Verdict::Fire(f)] if !f.forget_first));
}

#[test]
fn claims_are_forgotten_only_of_rules_that_are_really_gone() {
    let mut known = snapshot(1, vec![]);
    let named = wire::EventSource { name: "here".into(), ..Default::default() };
    known.wire.event_sources.push(wire::EventSourceWithStatus { event_source: named, enabled: false });
    known.wire.unreadable.push(maelstrom_core::ports::store::Unreadable {
        entity: Entity::EventSource,
        name: "damaged".into(),
        version: 1,
        reason: String::new(),
    });
    let last = ["damaged", "gone", "here"].map(|rule| (rule.to_owned(), at(0)));
    assert_eq!(gone(&last, &known), ["gone"]);
}
