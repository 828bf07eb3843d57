//! Output as lines, whatever pieces Docker makes of it.

use std::net::SocketAddr;

use futures_util::StreamExt;
use maelstrom_core::ports::engine::{Container, LogLine, LogQuery, LogStream};

use crate::harness::{Bench, bench, get, soon, spec};

async fn say(container: &Container, query: &str) {
    let address = SocketAddr::new(container.address.expect("an address"), 8080);
    get(address, &format!("/log?{query}")).await;
}

async fn lines(bench: &Bench, container: &Container) -> Vec<LogLine> {
    let everything = LogQuery { since: None, tail: None, follow: false };
    let read = bench.engine.logs(container.id.clone(), everything).collect::<Vec<_>>();
    soon("all lines", read).await.into_iter().map(|line| line.expect("a line")).collect()
}

#[tokio::test]
async fn long_lines_and_many_lines_arrive_whole_from_each_driver() {
    let bench = bench("output").await;
    for driver in ["json-file", "local", "maelstrom"] {
        let container = bench.run(driver, spec(|docker| docker.log_driver = Some(driver.into()))).await;
        // Docker cuts at 16 KiB.
        let long = "x".repeat(40_000);
        say(&container, &format!("line={long}")).await;
        say(&container, "line=short&stream=stderr&n=500").await;
        let is_long = |line: &&LogLine| line.line == long.as_bytes() && line.stream == LogStream::Stdout;
        let is_short = |line: &&LogLine| line.line == "short" && line.stream == LogStream::Stderr;
        // Docker takes what was written a little later.
        soon(driver, async {
            loop {
                let read = lines(&bench, &container).await;
                let counts = (read.iter().filter(is_long).count(), read.iter().filter(is_short).count());
                assert!(counts.0 <= 1 && counts.1 <= 500, "{driver}: {counts:?}");
                if counts == (1, 500) {
                    return;
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_driver_that_keeps_nothing_says_so() {
    let bench = bench("none").await;
    let container = bench.run("a", spec(|docker| docker.log_driver = Some("none".into()))).await;
    let everything = LogQuery { since: None, tail: None, follow: true };
    let read: Vec<_> = soon("an end", bench.engine.logs(container.id, everything).collect()).await;
    assert!(matches!(read.as_slice(), [Err(_)]), "{read:?}");
}
