//! Messages a second from a queue to a component, against a loop that does nothing but receive and delete.
//!
//! Both empty a queue of the same size on the same LocalStack, with as many receivers, one after the other
//! in each round.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use maelstrom_tests::aws::Aws;
use maelstrom_tests::command::finish;

use crate::daemon::Daemon;
use crate::options::Options;
use crate::report::{Goal, Report, say};
use crate::stats::{median, paired_ratio};

const ROUNDS: usize = 4;
const MESSAGES: usize = 2_000;
/// Each takes ten messages at a time.
const RECEIVERS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) async fn measure(options: &Options, program: &Path, report: &mut Report) -> Result<()> {
    let bare = options.queue_loop.display();
    ensure!(options.queue_loop.is_file(), "{bare} is missing: run 'make bench', which builds it");
    let aws = Aws::new()?;
    let daemon = Daemon::start_with(options, program, &Aws::environment(aws.address())).await?;
    daemon.put_queue_component().await?;
    let rounds = options.rounds(ROUNDS);
    say(&format!("\nQueues: {rounds} rounds of {MESSAGES} messages, {RECEIVERS} receivers of ten"));
    let (mut bare, mut own) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // The first of two has a colder LocalStack: they take turns.
        let first_own = round % 2 == 0;
        if first_own {
            own.push(through_component(&aws, &daemon, &format!("own-{round}")).await?);
        }
        bare.push(bare_loop(&aws, options, &format!("bare-{round}")).await?);
        if !first_own {
            own.push(through_component(&aws, &daemon, &format!("own-{round}")).await?);
        }
    }
    say(&format!("  bare loop   {:>6.0} messages/s", median(&bare)));
    say(&format!("  maelstromd  {:>6.0} messages/s", median(&own)));
    report.add(
        "messages/s from SQS to a component",
        paired_ratio(&own, &bare),
        "× bare loop",
        Goal::AtLeast { must: 0.8, target: 1.0 },
    );
    daemon.stop().await
}

async fn fill(aws: &Aws, queue: &str) -> Result<()> {
    aws.create_queue(queue).await?;
    let bodies: Vec<String> = (0..MESSAGES).map(|number| format!("message {number}")).collect();
    aws.send_all(queue, &bodies, None).await
}

async fn through_component(aws: &Aws, daemon: &Daemon, queue: &str) -> Result<f64> {
    fill(aws, queue).await?;
    let begin = Instant::now();
    daemon.put_queue(queue, &aws.name(queue), RECEIVERS).await?;
    while daemon.messages_done(queue).await? < MESSAGES {
        ensure!(begin.elapsed() < PATIENCE, "{queue} is not empty after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    aws.wait_empty(queue, PATIENCE).await?;
    let rate = MESSAGES as f64 / begin.elapsed().as_secs_f64();
    daemon.remove_queue(queue).await?;
    aws.delete_queue(queue).await?;
    Ok(rate)
}

async fn bare_loop(aws: &Aws, options: &Options, queue: &str) -> Result<f64> {
    fill(aws, queue).await?;
    let mut command = Command::new(&options.queue_loop);
    command.args([aws.url(queue), RECEIVERS.to_string()]).envs(Aws::environment(aws.address()));
    let said = tokio::task::spawn_blocking(move || finish(&mut command)).await??;
    let mut words = said.split_whitespace();
    let messages: usize = words.next().context("queue-loop said nothing")?.parse()?;
    let seconds: f64 = words.next().context("queue-loop told no time")?.parse()?;
    ensure!(messages == MESSAGES, "queue-loop took {messages} of {MESSAGES} messages");
    aws.delete_queue(queue).await?;
    Ok(MESSAGES as f64 / seconds)
}
