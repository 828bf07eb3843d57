//! Puts the cluster together for those who watch: this node's own state as it changes, and every other
//! second what the peers tell. Sleeps while nobody watches.

use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::future::{Fuse, FutureExt as _};
use maelstrom_core::{
    names::NodeId,
    ports::{BoxFuture, clock::Clock},
    wire::{JournalEvent, MissingNode, ObserveInput, ObserveOutput},
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{TICK, methods::Observer, view::View};
use crate::{api::ask_all::ask_all, control::Targets as _};

mod build;
mod recall;

use recall::Recall;

/// Pages open at a time; each costs a view and its changes.
const CLIENTS: usize = 64;
/// Changes within this time are told as one.
const COALESCE: Duration = Duration::from_millis(250);
/// Of the past, for who begins to watch.
const PAST_MILLIS: i64 = 3_600_000;
/// Peers' clocks differ, and their events may come late.
const OVERLAP_MILLIS: i64 = 10_000;

/// The one who gathers, and those who watch.
pub struct Live {
    id: NodeId,
    observer: Arc<Observer>,
    clock: Arc<dyn Clock>,
    view: watch::Sender<Option<Arc<View>>>,
    clients: Arc<Semaphore>,
    came: Notify,
}

/// One client; dropping it ends it.
pub(super) struct Watching {
    view: watch::Receiver<Option<Arc<View>>>,
    _permit: OwnedSemaphorePermit,
}

/// What the peers told.
struct Answers {
    told: Vec<(NodeId, ObserveOutput)>,
    missing: Vec<MissingNode>,
}

/// What is kept while somebody watches.
#[derive(Default)]
struct Gathered {
    peers: HashMap<NodeId, ObserveOutput>,
    missing: Vec<MissingNode>,
    fresh: VecDeque<JournalEvent>,
    /// The newest event's time that was taken in.
    newest: Option<i64>,
    recall: Recall,
}

// === impl Live ===

impl Live {
    pub fn new(id: NodeId, observer: Arc<Observer>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            id,
            observer,
            clock,
            view: watch::Sender::default(),
            clients: Arc::new(Semaphore::new(CLIENTS)),
            came: Notify::new(),
        })
    }

    /// `None`: too many do already.
    pub(super) fn watch(&self) -> Option<Watching> {
        let permit = self.clients.clone().try_acquire_owned().ok()?;
        let mut view = self.view.subscribe();
        // What is there is told at once.
        view.mark_changed();
        self.came.notify_one();
        Some(Watching { view, _permit: permit })
    }

    /// Gathers while somebody watches, until `token` fires.
    pub async fn run(self: Arc<Self>, token: CancellationToken) {
        let work = async {
            loop {
                while self.view.receiver_count() == 0 {
                    self.came.notified().await;
                }
                tokio::select! {
                    () = self.view.closed() => {}
                    () = self.gather() => {}
                }
                // Who comes next doesn't see what is old.
                self.view.send_replace(None);
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = work => {}
        }
    }

    /// Goes on until it is dropped.
    async fn gather(self: &Arc<Self>) {
        let Observer { configuration, journal, node, peers, .. } = self.observer.as_ref();
        let (mut configurations, mut events) = (configuration.subscribe(), journal.watch());
        let (mut versions, mut members) = (node.changes(), peers.changes());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gathered = Gathered::default();
        let mut asking = pin!(Fuse::<BoxFuture<'static, Answers>>::terminated());
        let mut asked = false;
        loop {
            // A sender that is gone at the daemon's end changes nothing any more; ticks go on.
            tokio::select! {
                answers = &mut asking => {
                    asked = false;
                    // A node alone has nobody to ask.
                    if !gathered.take(answers) {
                        continue;
                    }
                }
                _ = ticks.tick() => if !asked {
                    asked = true;
                    asking.set(self.clone().ask(self.since(&gathered)).fuse());
                },
                Ok(_) = configurations.changed() => {}
                Ok(_) = events.changed() => {}
                Ok(_) = versions.changed() => {}
                Ok(_) = members.changed() => {}
            }
            let before = self.view.borrow().clone();
            let view = self.build(&mut gathered, before.as_deref());
            self.view.send_replace(Some(Arc::new(view)));
            // What changes meanwhile is told with the next.
            tokio::time::sleep_until(Instant::now() + COALESCE).await;
        }
    }

    fn since(&self, gathered: &Gathered) -> i64 {
        let now = self.clock.wall().as_millis();
        gathered.newest.map_or(now - PAST_MILLIS, |newest| newest.min(now) - OVERLAP_MILLIS)
    }

    fn ask(self: Arc<Self>, since: i64) -> BoxFuture<'static, Answers> {
        Box::pin(async move {
            let peers = &self.observer.peers;
            let input = ObserveInput { events_since: Some(since) };
            let ask = |node: NodeId, limit| {
                let input = &input;
                async move { peers.call(&node, maelstrom_core::wire::Observe, input, limit).await }
            };
            let mut told = Vec::new();
            let missing = ask_all(peers, ask, |node, answer| told.push((node.clone(), answer))).await;
            Answers { told, missing }
        })
    }
}

// === impl Gathered ===

impl Gathered {
    /// Whether there was anything to take.
    fn take(&mut self, answers: Answers) -> bool {
        let Answers { told, missing } = answers;
        let nothing = told.is_empty() && self.peers.is_empty() && missing == self.missing;
        self.missing = missing;
        self.peers.clear();
        for (node, mut answer) in told {
            self.hear(std::mem::take(&mut answer.events));
            self.peers.insert(node, answer);
        }
        !nothing
    }

    fn hear(&mut self, events: Vec<JournalEvent>) {
        self.recall.hear(&events);
        let newest = events.last().map(|event| event.time);
        self.newest = self.newest.max(newest);
        self.fresh.extend(events);
    }
}

// === impl Watching ===

impl Watching {
    /// The next view; `None` when the daemon ends.
    pub(super) async fn next(&mut self) -> Option<Arc<View>> {
        loop {
            self.view.changed().await.ok()?;
            let view = self.view.borrow_and_update().clone();
            if view.is_some() {
                return view;
            }
        }
    }
}
