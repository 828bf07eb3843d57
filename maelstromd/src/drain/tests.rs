//! The drain as others see it, and steps that are cut off.

use maelstrom_core::{names::NodeId, wire::ListEventsInput};

use super::*;
use crate::clock::PausedClock;

const SLOW: Duration = Duration::from_secs(3_600);

fn limits() -> Limits {
    Limits { pause: Duration::from_secs(5), requests: Duration::from_secs(60) }
}

fn drainer(mark: Option<Mark>) -> Arc<Drainer> {
    let journal = Arc::new(Journal::new(NodeId::new("n1")));
    Drainer::new(limits(), journal, Arc::new(PausedClock::new()), mark)
}

fn spot(drainer: &Drainer, seconds: u64) -> Signal {
    let limit = Duration::from_secs(seconds);
    Signal::Spot { time: drainer.clock.wall() + limit, at: drainer.clock.now() + limit }
}

/// Message and milliseconds of each event.
fn timeline(drainer: &Drainer) -> Vec<(String, i64)> {
    let events = drainer.journal.list(&ListEventsInput::default());
    let ms = |event: &maelstrom_core::wire::JournalEvent| event.data["ms"].as_i64().unwrap();
    events.iter().map(|event| (event.message.clone(), ms(event))).collect()
}

const STAYS: View = View { others: true, keeps_containers: false };

#[tokio::test(start_paused = true)]
async fn a_drain_by_hand_is_told_and_undone_and_stands_on_a_timeline() {
    let drainer = drainer(None);
    assert_eq!(drainer.info(false), None);
    drainer.signal(Signal::Hand);
    let told = drainer.info(false).unwrap();
    assert_eq!((told.state.as_str(), told.reasons.len(), told.deadline), ("draining", 1, None));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let later = drainer.info(true).unwrap();
    assert_eq!((later.state.as_str(), later.since), ("drained", told.since));
    assert_eq!(drainer.signal(Signal::Hand), Heard::Known);
    drainer.undrain().unwrap();
    assert_eq!(drainer.info(true), None);
    let expected = [("the drain begins", 0), ("the drain is undone: the node takes work again", 1_500)];
    assert_eq!(timeline(&drainer), expected.map(|(text, ms)| (text.to_owned(), ms)));
}

#[tokio::test(start_paused = true)]
async fn a_drain_by_hand_outlives_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let mark = || Some(Mark::beside(&folder.path().join("store.db")));
    drainer(mark()).signal(Signal::Hand);
    let next = drainer(mark());
    assert_eq!(next.phase(), Phase::Emptying);
    next.undrain().unwrap();
    assert_eq!(drainer(mark()).phase(), Phase::Serving);
    drainer(mark()).signal(Signal::Stop);
    assert_eq!(drainer(mark()).phase(), Phase::Serving, "who is stopped is not drained");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_takes_too_long_is_cut_off_and_the_next_one_runs() {
    let drainer = drainer(None);
    drainer.signal(Signal::Stop);
    let mut ended = Vec::new();
    while let Next::Do(step) = drainer.next(STAYS) {
        let work = async {
            if step == Step::Pollers {
                tokio::time::sleep(SLOW).await;
            }
        };
        ended.push((step, drainer.bounded(step, work).await));
    }
    let cut: Vec<Step> = ended.iter().filter(|(_, ended)| *ended == Ended::CutOff).map(|(s, _)| *s).collect();
    assert_eq!((cut, ended.len()), (vec![Step::Pollers], 11));
    let timeline = timeline(&drainer);
    assert!(
        timeline.contains(&("drain: stop pollers: cut off, its time was over".into(), 75_000)),
        "{timeline:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_spot_notice_shortens_the_step_that_is_under_way() {
    let drainer = drainer(None);
    drainer.signal(Signal::Stop);
    while drainer.next(STAYS) != Next::Do(Step::Public) {}
    let began = drainer.clock.now();
    let (ended, ()) = tokio::join!(drainer.bounded(Step::Public, tokio::time::sleep(SLOW)), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drainer.signal(spot(&drainer, 60));
    });
    let took = drainer.clock.now().since(began);
    assert_eq!(ended, Ended::CutOff);
    assert!(took > Duration::from_secs(10) && took < Duration::from_secs(40), "{took:?}");
    assert!(drainer.info(false).unwrap().deadline.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_node_to_leave_is_woken_by_what_ends_it_only() {
    let drainer = drainer(None);
    let mut leaving = std::pin::pin!(drainer.leaving());
    drainer.signal(Signal::Hand);
    assert!(futures_util::poll!(&mut leaving).is_pending());
    drainer.signal(Signal::Stop);
    tokio::time::timeout(Duration::from_secs(1), leaving).await.unwrap();
    assert_eq!(drainer.info(false).unwrap().state, "leaving");
}
