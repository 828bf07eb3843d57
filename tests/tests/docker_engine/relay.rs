//! An engine that goes away and comes back, without touching the one that others use: a relay before its
//! socket is cut.

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures_util::StreamExt;
use maelstrom_core::ports::engine::{ContainerEngine, EngineError, EngineEvent, LogQuery};
use maelstromd::docker::DockerEngine;
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

use crate::harness::{bench, soon, spec};

const ENGINE: &str = "/var/run/docker.sock";

struct Relay {
    path: PathBuf,
    serving: Option<JoinSet<()>>,
}

impl Relay {
    fn new(folder: &tempfile::TempDir) -> Self {
        Self { path: folder.path().join("relay.sock"), serving: None }
    }

    fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    fn connect(&mut self) {
        let listener = UnixListener::bind(&self.path).expect("a socket");
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut engine = UnixStream::connect(ENGINE).await.expect("the engine");
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
                });
            }
        });
        self.serving = Some(serving);
    }

    async fn cut(&mut self) {
        if let Some(mut serving) = self.serving.take() {
            serving.shutdown().await;
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The original never subscribed again after dockerd restarted.
#[tokio::test]
async fn events_are_subscribed_to_again_after_the_engine_was_away() {
    let bench = bench("relay").await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut relay = Relay::new(&folder);
    // Before there is an engine at all.
    let engine: Arc<dyn ContainerEngine> = Arc::new(DockerEngine::new(Some(relay.host())));
    let mut events = engine.events();
    let nothing = tokio::time::timeout(Duration::from_millis(300), events.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    assert!(matches!(engine.ping().await, Err(EngineError::Unavailable { .. })));

    relay.connect();
    assert_eq!(soon("the subscription", events.next()).await, Some(EngineEvent::Resubscribed));
    let container = bench.run("a", spec(|_| {})).await;
    let follow = LogQuery { since: None, tail: None, follow: true };
    let mut log = engine.logs(container.id.clone(), follow);
    soon("the first line", log.next()).await.expect("a line").expect("a line");

    relay.cut().await;
    let cut: Vec<_> = soon("the end of the log", log.collect()).await;
    assert!(matches!(cut.last(), Some(Err(EngineError::Unavailable { .. }))), "{cut:?}");
    let error = engine.inspect(container.id.clone()).await.expect_err("the engine is away");
    assert!(error.to_string().contains(&relay.host()), "{error}");

    relay.connect();
    let again = async { while events.next().await != Some(EngineEvent::Resubscribed) {} };
    soon("the second subscription", again).await;
    bench.engine.remove(container.id.clone()).await.expect("remove");
    let died = async {
        loop {
            match events.next().await {
                Some(EngineEvent::Died { id, .. }) if id == container.id => return,
                other => assert!(other.is_some(), "events never end"),
            }
        }
    };
    soon("the death", died).await;
    relay.cut().await;
}
