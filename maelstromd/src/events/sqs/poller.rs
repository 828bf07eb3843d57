//! One poller: a loop that looks at what it has in its hands, does what can be done, and waits for whatever
//! changes first. It ends when it is not to have anything in flight any more, with empty hands.

mod asking;

use std::{collections::HashMap, sync::Arc, time::Duration};

use maelstrom_core::{
    decide::poller::{Extension, Keeper, Lanes, Order, Pace, Patience, Verdict},
    event_source::SqsSource,
    ports::{
        BoxFuture,
        queue::{Message, NotDone, QueueResult, is_fifo},
    },
    time::Moment,
};
use tokio::task::{JoinError, JoinSet};

use self::asking::{Asked, is_same_work};
use super::{
    Delivery, Origin, Sqs,
    flight::{Flight, Landed, settings},
    names::Listed,
    settle::{Settled, Settling},
};
use crate::{
    cluster::Source,
    events::pollers::{Assignment, Turn},
};

/// With nothing to wait for, hands are looked at again after this.
const IDLE: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Poller {
    sqs: Arc<Sqs>,
    turn: Turn,
    assignment: Assignment,
    names: Listed,
    /// When the names are to be listed again.
    list_at: Moment,
    order: Order,
    troubles: HashMap<String, Patience>,
    lanes: Lanes<Origin>,
    keeper: Keeper,
    pace: Pace,
    paused_until: Option<Moment>,
    in_flight: u32,
    flights: JoinSet<Landed>,
    /// One question to the queues at a time: a list, or a look at one of them.
    asking: Option<BoxFuture<'static, Asked>>,
    extending: Option<BoxFuture<'static, Extended>>,
    settling: Settling,
}

struct Extended {
    extension: Extension,
    asked: Moment,
    result: QueueResult<NotDone>,
}

/// What came first.
enum Happened {
    Changed,
    Asked(Asked),
    Landed(Result<Landed, JoinError>),
    Settled(Settled),
    Extended(Extended),
}

// === impl Poller ===

impl Poller {
    pub(super) fn new(sqs: Arc<Sqs>, turn: Turn) -> Self {
        let assignment = turn.assignment();
        let settling = Settling::new(sqs.queues.clone(), sqs.clock.clone());
        let mut poller = Self {
            list_at: sqs.clock.now(),
            sqs,
            turn,
            assignment,
            names: Arc::new([]),
            order: Order::default(),
            troubles: HashMap::new(),
            lanes: Lanes::default(),
            keeper: Keeper::default(),
            pace: Pace::default(),
            paused_until: None,
            in_flight: 0,
            flights: JoinSet::new(),
            asking: None,
            extending: None,
            settling,
        };
        poller.name_queues();
        poller
    }

    pub(super) async fn run(mut self) {
        loop {
            self.follow();
            let share = self.turn.share();
            if share == 0 || self.is_paused() {
                self.give_back_free();
            }
            if share > 0 {
                self.begin(share);
                self.ask(share);
            }
            self.extend();
            self.settling.send(share == 0 || self.in_flight == 0);
            self.turn.report.hands(share, self.in_flight, self.waiting());
            if share == 0 && self.hands_are_empty() {
                return;
            }
            match self.wait(share == 0).await {
                Happened::Changed => {}
                Happened::Asked(asked) => self.asked(asked, share == 0),
                Happened::Landed(landed) => self.landed(landed),
                Happened::Settled(settled) => self.settled(settled),
                Happened::Extended(extended) => self.extended(extended),
            }
        }
    }

    fn hands_are_empty(&self) -> bool {
        self.asking.is_none()
            && self.extending.is_none()
            && self.in_flight == 0
            && self.lanes.is_empty()
            && self.settling.is_done()
    }

    fn waiting(&self) -> u32 {
        u32::try_from(self.lanes.len()).unwrap_or(u32::MAX)
    }

    fn source(&self) -> Arc<Source> {
        self.assignment.source.clone()
    }

    fn sqs_source(&self) -> Option<&SqsSource> {
        settings(&self.assignment.source)
    }

    /// Takes in what is to be done now. What was received for another queue or path goes back.
    fn follow(&mut self) {
        let now = self.turn.assignment();
        let before = std::mem::replace(&mut self.assignment, now);
        if !is_same_work(&before.source, &self.assignment.source) {
            self.give_back_all();
            self.name_queues();
        }
    }

    // === Beginning ===

    fn begin(&mut self, share: u32) {
        let now = self.sqs.clock.now();
        if self.is_paused() {
            return;
        }
        if self.paused_until.take().is_some() {
            self.turn.report.pauses(None);
        }
        self.drop_what_others_may_have(now);
        let batch = self.sqs_source().is_some_and(|source| source.batch);
        while self.in_flight < share {
            let free = usize::try_from(share - self.in_flight).unwrap_or(usize::MAX);
            let most = match batch {
                true => free.min(self.per_poll() as usize),
                false => 1,
            };
            let begun = self.lanes.begin(most);
            let Some((_, origin, _)) = begun.first() else { return };
            let origin = origin.clone();
            let (messages, lanes): (Vec<Message>, Vec<_>) =
                begun.into_iter().map(|(message, _, lane)| (message, lane)).unzip();
            self.in_flight += u32::try_from(messages.len()).unwrap_or(u32::MAX);
            let delivery = Delivery { origin, messages, batch };
            let (source, limit) = (self.source(), self.assignment.limit);
            let flight = Flight { source, delivery, lanes, limit };
            self.flights.spawn(flight.run(self.sqs.clone()));
        }
    }

    /// A message whose invisibility has run out, or could not be extended, is not this poller's any more.
    fn drop_what_others_may_have(&mut self, now: Moment) {
        let keeper = &self.keeper;
        for (message, origin) in self.lanes.lose(|message| keeper.is_held(&message.receipt, now)) {
            if self.keeper.is_held(&message.receipt, now) {
                self.give_back(&origin, message);
            } else {
                tracing::debug!(id = message.id, "a message waited too long here and comes again");
                self.release(&message.receipt);
            }
        }
    }

    // === Waiting ===

    async fn wait(&mut self, ending: bool) -> Happened {
        let next = self.next_moment();
        let jitter = rand::random();
        let happened = tokio::select! {
            () = self.turn.changed() => Happened::Changed,
            asked = or_never(&mut self.asking) => Happened::Asked(asked),
            Some(landed) = self.flights.join_next() => Happened::Landed(landed),
            settled = self.settling.next(ending, jitter) => Happened::Settled(settled),
            extended = or_never(&mut self.extending) => Happened::Extended(extended),
            () = self.sqs.clock.sleep_until(next) => Happened::Changed,
        };
        match happened {
            Happened::Asked(_) => self.asking = None,
            Happened::Extended(_) => self.extending = None,
            _ => {}
        }
        happened
    }

    /// When something is due by itself.
    fn next_moment(&self) -> Moment {
        let now = self.sqs.clock.now();
        let keeper = self.keeper.next().filter(|_| self.extending.is_none());
        let troubles = self.troubles.values().map(Patience::until).filter(|until| *until > now);
        let lists = self.asking.is_none() && self.names.is_empty() && self.paused_until.is_none();
        let list = (lists && self.turn.share() > 0).then_some(self.list_at);
        let pause = self.paused_until.filter(|until| *until > now);
        let all = [keeper, self.settling.next_due(), pause, list];
        all.into_iter().flatten().chain(troubles).min().unwrap_or(now + IDLE)
    }

    // === What happened ===

    fn landed(&mut self, landed: Result<Landed, JoinError>) {
        let landed = match landed {
            Ok(landed) => landed,
            // Panics are caught in there; what is cut off ends with this poller.
            Err(error) => return tracing::error!(%error, "a message's request was cut off"),
        };
        let Landed { source, queue, messages, pause, took, why } = landed;
        self.in_flight = self.in_flight.saturating_sub(u32::try_from(messages.len()).unwrap_or(u32::MAX));
        self.pace.took(took);
        let failed = messages.iter().filter(|message| message.verdict != Verdict::Delete).count() as u64;
        self.turn.report.ended(messages.len() as u64 - failed, failed);
        if let Some(why) = why {
            self.sqs.message_failed(&source.source, &queue, &why);
        }
        let now = self.sqs.clock.now();
        let mut behind = Vec::new();
        for message in messages {
            match message.verdict {
                // Held until it is deleted.
                Verdict::Delete => {
                    self.settling.delete(&queue, message.receipt);
                    self.lanes.ended(message.lane, false);
                }
                Verdict::Leave { back_after } => {
                    let remaining = self.keeper.remaining(&message.receipt, now);
                    let after = back_after.or_else(|| is_fifo(&queue).then_some(remaining));
                    let followers = self.lanes.ended(message.lane, true);
                    behind.extend(followers.into_iter().map(|(follower, _)| (follower.receipt, after)));
                    self.come_back(&queue, message.receipt, after);
                }
            }
        }
        // With what they follow, so that none is seen before it.
        for (receipt, after) in behind {
            self.come_back(&queue, receipt, after);
        }
        if let Some(pause) = pause {
            self.pause(pause);
        }
    }

    fn is_paused(&self) -> bool {
        self.paused_until.is_some_and(|until| self.sqs.clock.now() < until)
    }

    /// Once. What waits here would only wait longer.
    fn pause(&mut self, pause: Duration) {
        self.paused_until = Some(self.sqs.clock.now() + pause);
        self.turn.report.pauses(Some(self.sqs.clock.wall() + pause));
    }

    fn settled(&mut self, settled: Settled) {
        for receipt in &settled.released {
            self.release(receipt);
        }
        if let Some(error) = settled.trouble {
            self.troubled(&settled.queue, &error);
        }
    }

    // === Holding ===

    fn extend(&mut self) {
        if self.extending.is_some() {
            return;
        }
        let asked = self.sqs.clock.now();
        let Some(extension) = self.keeper.take_due(asked) else { return };
        let queues = self.sqs.queues.clone();
        self.extending = Some(Box::pin(async move {
            let result = queues.change_visibility(extension.queue.clone(), extension.changes.clone()).await;
            Extended { extension, asked, result }
        }));
    }

    fn extended(&mut self, extended: Extended) {
        let Extended { extension, asked, result } = extended;
        match result {
            Ok(not_done) => {
                for (receipt, to) in &extension.changes {
                    self.keeper.extended(receipt, *to, asked);
                }
                for (receipt, why) in not_done {
                    tracing::debug!(
                        queue = extension.queue,
                        receipt,
                        why,
                        "a message can't be held any longer"
                    );
                    self.keeper.refused(&receipt);
                }
            }
            Err(error) => {
                self.keeper.failed(&extension, self.sqs.clock.now());
                self.sqs.troubled(
                    &self.assignment.source.source,
                    &extension.queue,
                    error.kind(),
                    &error.to_string(),
                );
            }
        }
    }

    fn release(&mut self, receipt: &str) {
        self.keeper.release(receipt);
        self.turn.report.gave(receipt);
    }

    /// It comes back after so long, or with its visibility time-out.
    fn come_back(&mut self, queue: &str, receipt: String, after: Option<Duration>) {
        self.release(&receipt);
        if let Some(after) = after {
            self.settling.come_back(queue, receipt, after);
        }
    }

    fn give_back(&mut self, origin: &Origin, message: Message) {
        self.come_back(&origin.queue, message.receipt, Some(Duration::ZERO));
    }

    fn give_back_free(&mut self) {
        for (message, origin) in self.lanes.take_free() {
            self.give_back(&origin, message);
        }
    }

    fn give_back_all(&mut self) {
        for (message, origin) in self.lanes.take_all() {
            self.give_back(&origin, message);
        }
    }
}

/// Waits for what there is; for ever when there is nothing.
async fn or_never<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
