//! The task of one peer: asks whether it is there when that is due, tells it this node's status when that
//! changed, and that the configuration changed. One exchange of statuses at a time, each bounded; a peer
//! that doesn't answer delays nobody else.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    decide::membership::Contact,
    names::NodeId,
    rpc::{self, CallError},
    wire::{self, Method, NodeStatus},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{Peers, client::PeerClient, routing::Routed};
use crate::access::PeerSecret;

/// Between peers an answer takes a millisecond; beyond this the peer is not there.
const STATUS_LIMIT: Duration = Duration::from_secs(1);
/// The peer looks at the store before it answers.
const NOTICE_LIMIT: Duration = Duration::from_secs(10);
/// Changes of the configuration within this time are told as one.
const NOTICE_PAUSE: Duration = Duration::from_millis(3);

/// One peer's connections and task.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) node: NodeId,
    /// What is due may have changed.
    pub(super) wake: Notify,
    /// Fires when the peer has left.
    pub(super) end: CancellationToken,
    /// The last announcement of this node's status that the peer has got.
    pub(super) told: watch::Sender<u64>,
    pub(super) routed: Mutex<Routed>,
    client: Mutex<Arc<rpc::Client<PeerClient>>>,
    secret: PeerSecret,
    /// The run of its daemon that was told of last.
    run: Mutex<Option<String>>,
}

// === impl Link ===

impl Link {
    pub(super) fn new(node: NodeId, url: &str, secret: &PeerSecret, end: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            node,
            wake: Notify::new(),
            end,
            told: watch::Sender::new(0),
            routed: Mutex::default(),
            client: Mutex::new(Arc::new(rpc::Client::new(PeerClient::new(url, secret)))),
            secret: secret.clone(),
            run: Mutex::default(),
        })
    }

    /// The peer is at `url` by now.
    pub(super) fn lead_to(&self, url: &str) {
        let mut client = self.client.lock();
        if !client.transport().leads_to(url) {
            *client = Arc::new(rpc::Client::new(PeerClient::new(url, &self.secret)));
        }
    }

    /// Whether its daemon is another run than the last time this was asked.
    pub(super) fn is_another_run(&self, run: Option<&str>) -> bool {
        let mut known = self.run.lock();
        let another = known.as_deref().is_some_and(|known| Some(known) != run);
        *known = run.map(str::to_owned);
        another
    }

    pub(super) fn client(&self) -> Arc<rpc::Client<PeerClient>> {
        self.client.lock().clone()
    }

    /// Calls the peer; `None`: it did not answer in time.
    pub(super) async fn call<M: Method>(
        &self,
        method: M,
        input: &M::Input,
        limit: Duration,
    ) -> Option<Result<M::Output, CallError>>
    where
        M::Input: Sync,
    {
        let client = self.client();
        tokio::time::timeout(limit, client.call(method, input)).await.ok()
    }

    /// Keeps the peer until it leaves.
    pub(super) async fn keep(self: Arc<Self>, peers: Arc<Peers>) {
        let status = self.keep_status(&peers);
        let notices = self.pass_on_notices(&peers);
        tokio::select! {
            () = self.end.cancelled() => {}
            () = status => {}
            () = notices => {}
        }
    }

    async fn keep_status(&self, peers: &Peers) {
        let mut announced = peers.announced.subscribe();
        loop {
            let now = peers.clock.now();
            peers.sweep(now);
            let Some((due, contact)) = peers.next_contact(&self.node) else { return };
            let newest = announced.borrow_and_update().clone();
            if due <= now {
                self.contact(peers, contact, newest.number).await;
                continue;
            }
            if let Some(status) = newest.status
                && newest.number > *self.told.borrow()
                && peers.is_reachable(&self.node)
            {
                self.push(peers, &status, newest.number).await;
                continue;
            }
            let client = self.client();
            let due = peers.next_sweep(&self.node).map_or(due, |sweep| sweep.min(due));
            tokio::select! {
                () = peers.clock.sleep_until(due) => {}
                changed = announced.changed() => if changed.is_err() { return },
                () = self.wake.notified() => {}
                () = client.transport().lost() => peers.doubt(&self.node),
            }
        }
    }

    async fn contact(&self, peers: &Peers, contact: Contact, announced: u64) {
        let asked = peers.clock.now();
        let answer = match contact {
            Contact::Exchange => {
                let input = wire::GetStatusInput {
                    status: Some(peers.own_status()),
                    ..wire::GetStatusInput::default()
                };
                let answer = self.call(wire::GetStatus, &input, STATUS_LIMIT).await;
                answer.map(|answer| answer.map(|output| Some(output.status)))
            }
            Contact::Ping => {
                let answer =
                    self.call(wire::GetVersion, &wire::GetVersionInput::default(), STATUS_LIMIT).await;
                match answer {
                    // Its address is another node's by now: the exchange tells all.
                    Some(Ok(output)) if output.node_id != self.node.as_str() => {
                        peers.want_exchange(&self.node);
                        return;
                    }
                    answer => answer.map(|answer| answer.map(|_| None)),
                }
            }
        };
        match answer {
            Some(Ok(status)) => {
                if status.is_some() {
                    self.has_got(announced);
                }
                peers.answered(&self.node, status, asked);
            }
            failed => peers.failed(&self.node, asked, &why(failed)),
        }
    }

    async fn push(&self, peers: &Peers, status: &NodeStatus, number: u64) {
        let input = wire::StatusChangedInput {
            node_id: status.node_id.clone(),
            exiting: false,
            status: Some(status.clone()),
        };
        let asked = peers.clock.now();
        match self.call(wire::StatusChanged, &input, STATUS_LIMIT).await {
            Some(Ok(output)) if output.node_id == self.node.as_str() => {
                self.has_got(number);
                peers.answered(&self.node, None, asked);
            }
            Some(Ok(_)) => peers.want_exchange(&self.node),
            failed => peers.failed(&self.node, asked, &why(failed)),
        }
    }

    fn has_got(&self, number: u64) {
        self.told.send_if_modified(|told| {
            let newer = number > *told;
            *told = number.max(*told);
            newer
        });
    }

    /// What gets lost here is found by the peer itself within a second or so.
    async fn pass_on_notices(&self, peers: &Peers) {
        let mut commits = peers.commits.clone();
        commits.mark_unchanged();
        while commits.changed().await.is_ok() {
            tokio::time::sleep(NOTICE_PAUSE).await;
            commits.mark_unchanged();
            if !peers.is_reachable(&self.node) {
                continue;
            }
            let input = wire::NotifyDataChangedInput {
                node_id: peers.settings.node.to_string(),
                changes: Vec::new(),
            };
            if let Some(Err(error)) = self.call(wire::NotifyDataChanged, &input, NOTICE_LIMIT).await {
                tracing::debug!(peer = %self.node, %error, "a change of the configuration could not be told");
            }
        }
        // Without its sender nothing is committed any more; the peer is kept as before.
        std::future::pending::<()>().await;
    }
}

fn why<T>(failed: Option<Result<T, CallError>>) -> String {
    match failed {
        Some(Err(error)) => error.to_string(),
        _ => format!("no answer within {} s", STATUS_LIMIT.as_secs()),
    }
}
