//! What a queue gives at most: workers that do nothing but receive ten messages and delete them, with the SDK
//! as it comes. `make bench PART=queues` measures the product against it.
//!
//! `queue-loop URL WORKERS` ends when the queue is empty and prints how many messages it took and in how many
//! seconds.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use aws_sdk_sqs::{Client, types::DeleteMessageBatchRequestEntry};
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok((messages, took)) => {
            tell(&format!("{messages} {}", took.as_secs_f64()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            tell(&format!("queue-loop: error: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout)]
fn tell(text: &str) {
    println!("{text}");
}

async fn run() -> Result<(u64, Duration), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(workers)) = (arguments.next(), arguments.next()) else {
        return Err("usage: queue-loop URL WORKERS".into());
    };
    let client = Client::new(&aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await);
    let messages = Arc::new(AtomicU64::new(0));
    let mut all = JoinSet::new();
    let began = Instant::now();
    for _ in 0..workers.parse::<usize>()? {
        all.spawn(work(client.clone(), url.clone(), Arc::clone(&messages)));
    }
    while let Some(ended) = all.join_next().await {
        ended??;
    }
    Ok((messages.load(Relaxed), began.elapsed()))
}

async fn work(client: Client, url: String, messages: Arc<AtomicU64>) -> Result<(), Failure> {
    loop {
        let received = client.receive_message().queue_url(&url).max_number_of_messages(10).send().await?;
        let received = received.messages.unwrap_or_default();
        if received.is_empty() {
            return Ok(());
        }
        let entries: Result<Vec<_>, _> = received
            .iter()
            .enumerate()
            .map(|(index, message)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(message.receipt_handle().unwrap_or_default())
                    .build()
            })
            .collect();
        client.delete_message_batch().queue_url(&url).set_entries(Some(entries?)).send().await?;
        messages.fetch_add(received.len() as u64, Relaxed);
    }
}
