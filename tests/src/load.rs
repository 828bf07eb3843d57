//! Constant load from outside, and an exact account of what failed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::Method;
use tokio::{sync::Mutex, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::client::Client;

/// Workers that send one request after the other until told to stop.
pub struct Load {
    stop: CancellationToken,
    workers: JoinSet<()>,
    tally: Arc<Tally>,
}

#[derive(Default)]
struct Tally {
    sent: AtomicU64,
    failures: Mutex<Vec<Failure>>,
}

/// What was sent and what went wrong.
#[derive(Debug)]
pub struct Report {
    pub sent: u64,
    pub failures: Vec<Failure>,
}

#[derive(Clone, Debug)]
pub struct Failure {
    pub method: Method,
    pub what: String,
    /// Since the load began.
    pub at: Duration,
    pub took: Duration,
}

/// What one worker sends over and over.
#[derive(Clone, Debug)]
pub enum Job {
    /// `GET path`, expecting 200.
    Get(String),
    /// `POST /echo` with a body of so many bytes, expecting the same bytes back.
    Echo(usize),
}

// === impl Load ===

impl Load {
    /// One worker for each of `jobs`, each with a pause of `pause` between its requests.
    pub fn start(client: &Client, jobs: Vec<Job>, pause: Duration) -> Self {
        let stop = CancellationToken::new();
        let tally = Arc::new(Tally::default());
        let mut workers = JoinSet::new();
        let begun = Instant::now();
        for (index, job) in jobs.into_iter().enumerate() {
            let (client, stop, tally) = (client.clone(), stop.clone(), Arc::clone(&tally));
            workers.spawn(async move {
                while !stop.is_cancelled() {
                    let sent = Instant::now();
                    tally.sent.fetch_add(1, Ordering::Relaxed);
                    if let Err((method, what)) = job.run(&client, index).await {
                        let failure = Failure { method, what, at: begun.elapsed(), took: sent.elapsed() };
                        tally.failures.lock().await.push(failure);
                    }
                    tokio::time::sleep(pause).await;
                }
            });
        }
        Self { stop, workers, tally }
    }

    /// Requests begun so far.
    pub fn sent(&self) -> u64 {
        self.tally.sent.load(Ordering::Relaxed)
    }

    pub async fn failures(&self) -> usize {
        self.tally.failures.lock().await.len()
    }

    /// Lets the requests under way finish and tells how all went.
    pub async fn finish(mut self) -> Report {
        self.stop.cancel();
        while self.workers.join_next().await.is_some() {}
        let failures = std::mem::take(&mut *self.tally.failures.lock().await);
        Report { sent: self.sent(), failures }
    }
}

impl Job {
    async fn run(&self, client: &Client, index: usize) -> Result<(), (Method, String)> {
        let (method, path, body) = match self {
            Job::Get(path) => (Method::GET, path.as_str(), Bytes::new()),
            Job::Echo(size) => (Method::POST, "/echo", Bytes::from(vec![b'a' + (index % 26) as u8; *size])),
        };
        let answer = client.send(method.clone(), path, &[], body.clone()).await;
        match answer {
            Err(error) => Err((method, format!("{error:#}"))),
            Ok(answer) if answer.status != 200 => {
                Err((method, format!("{} {}", answer.status, answer.text().trim())))
            }
            Ok(answer) if method == Method::POST && answer.body != body => {
                Err((method, format!("{} bytes came back of {}", answer.body.len(), body.len())))
            }
            Ok(_) => Ok(()),
        }
    }
}

// === impl Report ===

impl Report {
    /// Fails with the first failures and their count unless there are none.
    pub fn expect_none_lost(&self, least: u64) -> anyhow::Result<()> {
        anyhow::ensure!(self.sent >= least, "only {} requests were sent, {least} are needed", self.sent);
        let shown: Vec<&Failure> = self.failures.iter().take(5).collect();
        anyhow::ensure!(
            self.failures.is_empty(),
            "{} of {} requests failed: {shown:#?}",
            self.failures.len(),
            self.sent
        );
        Ok(())
    }
}
