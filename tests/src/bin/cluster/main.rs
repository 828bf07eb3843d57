//! A cluster to look at and to break: `cluster up` starts one and deploys the demo's project; the same
//! program with other words, in another terminal, does to it what `cluster help` lists.
//!
//! The one that runs holds everything; when it ends, by Ctrl-C, `cluster down` or `kill -9`, nothing is
//! left but its folder, which the next one removes.

mod commands;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};
use maelstrom_tests::{
    command,
    daemon::program,
    hosts::{Cluster, Host},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    signal::unix::{SignalKind, signal},
};

/// From the repository's folder, where `make` runs.
const SOCKET: &str = ".run/cluster/socket";
const PROJECT: &str = "tests/demo/maelstrom.yml";

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        Some("up") => up().await,
        None | Some("help") => say(commands::HELP),
        Some(_) => ask(&words.join(" ")).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "cluster: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{}", text.trim_end()).context("writing to standard output")
}

/// Tells the one that runs.
async fn ask(line: &str) -> Result<()> {
    let mut stream = UnixStream::connect(SOCKET)
        .await
        .context("no cluster runs here: start one with 'make cluster' in the same folder")?;
    stream.write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    match answer.strip_prefix("error: ") {
        Some(error) => bail!("{}", error.trim_end()),
        None => say(&answer),
    }
}

async fn up() -> Result<()> {
    let socket = PathBuf::from(SOCKET);
    ensure!(UnixStream::connect(&socket).await.is_err(), "one runs already: 'make cluster-down' ends it");
    std::fs::create_dir_all(socket.parent().context("a folder")?)?;
    let _ = std::fs::remove_file(&socket);
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let asked = std::env::var("HOSTS").ok().filter(|text| !text.is_empty());
    let hosts: usize = asked.as_deref().unwrap_or("3").parse().context("HOSTS is not a number")?;
    say(&format!("Starting {hosts} hosts, each with an engine and a daemon of its own"))?;
    let run = async {
        let mut cluster = Cluster::start(hosts).await?;
        cluster.settle().await?;
        deploy(&cluster)?;
        let listener = UnixListener::bind(&socket)?;
        say(&introduction(&cluster)?)?;
        serve(&mut cluster, &listener).await
    };
    tokio::select! {
        done = run => done?,
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    let _ = std::fs::remove_file(&socket);
    say("Removed: hosts, networks, table")
}

fn deploy(cluster: &Cluster) -> Result<()> {
    let maelctl = program("maelctl")?.display().to_string();
    let url = format!("http://{}", cluster[0].private_address());
    command::run(&[&maelctl, "--url", &url, "project", "put", "--file", PROJECT]).map(drop)
}

/// Until it is told to end.
async fn serve(cluster: &mut Cluster, listener: &UnixListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        // Whoever asks and goes away is not waited for.
        if stream.read_line(&mut line).await.is_err() {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words.as_slice() {
            ["down"] => return Ok(()),
            words => commands::run(cluster, words).await.unwrap_or_else(|error| format!("error: {error:#}")),
        };
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

fn introduction(cluster: &Cluster) -> Result<String> {
    let programs = program("maelctl")?.parent().context("a folder")?.display().to_string();
    let of = |host: &Host| {
        let (public, private) = (host.address(), host.private_address());
        format!("  {}   public http://{public}/   private http://{private}\n", host.node())
    };
    let hosts: String = cluster.hosts().iter().map(of).collect();
    let (first, second) = (cluster[0].address(), cluster.hosts().last().context("no host")?.address());
    Ok(format!(
        "\nA cluster of {} nodes on one table:\n{hosts}\n\
         In another terminal:\n  \
         export PATH={programs}:$PATH MAELSTROM_PRIVATE_URL=http://{first}:8374\n  \
         maelctl cluster nodes; maelctl cluster ps\n  \
         curl http://{first}/; curl http://{second}/\n  \
         for i in $(seq 12); do curl -s 'http://{second}/sleep?ms=2000' & done; sleep 1; maelctl cluster ps\n  \
         cluster kill 2; maelctl cluster nodes; cluster start 2     # 'cluster help' has more\n\n\
         Ctrl-C here, or 'make cluster-down', removes it all.\n",
        cluster.hosts().len()
    ))
}
