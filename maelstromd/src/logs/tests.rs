//! On the engine in memory.

use futures_util::StreamExt;
use maelstrom_core::{
    component::Component, names::InstanceId, ports::engine::ContainerSpec, testing::engine::FakeEngine, wire,
};

use super::*;
use crate::clock::PausedClock;

struct World {
    engine: FakeEngine,
    source: InstanceLogs,
    changes: watch::Sender<i64>,
}

fn world() -> World {
    let clock: Arc<dyn Clock> = Arc::new(PausedClock::new());
    let engine = FakeEngine::new(clock.clone());
    engine.add_image("web:1");
    let (changes, receiver) = watch::channel(0);
    let source =
        InstanceLogs { node: NodeId::new("n1"), engine: Arc::new(engine.clone()), clock, changes: receiver };
    World { engine, source, changes }
}

impl World {
    async fn run(&self, name: &str, component: &str, log_driver: Option<&str>) -> InstanceId {
        let docker = wire::DockerComponent {
            image: "web:1".into(),
            log_driver: log_driver.map(str::to_owned),
            ..Default::default()
        };
        let wire = wire::Component { name: component.into(), docker: Some(docker), ..Default::default() };
        let parsed = Component::parse(&wire).unwrap();
        let spec = ContainerSpec {
            name: name.into(),
            node: self.source.node.clone(),
            component: parsed.name,
            version: 1,
            environment: Vec::new(),
            docker: parsed.docker,
        };
        let id = self.engine.create(spec).await.unwrap();
        self.engine.start(id).await.unwrap().id
    }

    fn lines(&self, wants: impl Fn(&ComponentName) -> bool + Send + Sync + 'static, span: Span) -> Lines {
        self.source.open(move |_, component| wants(component), span, WATCHED)
    }

    fn say(&self, id: &InstanceId, line: &str) {
        self.engine.write_log(id, LogStream::Stdout, line);
    }
}

async fn next(lines: &mut Lines) -> String {
    let line = tokio::time::timeout(Duration::from_secs(30), lines.next()).await.expect("a line comes");
    let line = line.expect("the stream is open");
    format!("{}: {}", line.component, String::from_utf8_lossy(&line.data))
}

fn follow(since: Option<Duration>) -> Span {
    Span { since, tail: None, follow: true }
}

#[tokio::test(start_paused = true)]
async fn instances_join_and_leave_an_open_stream() {
    let world = world();
    let first = world.run("a", "web", None).await;
    world.say(&first, "one");
    let mut lines = world.lines(|_| true, follow(None));
    assert_eq!(next(&mut lines).await, "web: one");
    let second = world.run("b", "api", None).await;
    world.say(&second, "two");
    assert_eq!(next(&mut lines).await, "api: two");
    world.engine.crash(&first, 1);
    world.say(&second, "three");
    assert_eq!(next(&mut lines).await, "api: three");
    // One that ended is not read a second time.
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.say(&second, "four");
    assert_eq!(next(&mut lines).await, "api: four");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_node_brings_new_instances_in_at_once() {
    let world = world();
    let mut lines = world.lines(|_| true, follow(None));
    tokio::time::sleep(Duration::from_millis(250)).await;
    let id = world.run("a", "web", None).await;
    world.say(&id, "one");
    let before = tokio::time::Instant::now();
    world.changes.send_replace(1);
    assert_eq!(next(&mut lines).await, "web: one");
    assert!(before.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn only_what_is_wanted_comes_and_only_since_then() {
    let world = world();
    let web = world.run("a", "web", None).await;
    let api = world.run("b", "api", None).await;
    world.say(&web, "old");
    world.say(&api, "other");
    tokio::time::sleep(Duration::from_secs(100)).await;
    world.say(&web, "new");
    let span = Span { since: Some(Duration::from_secs(60)), tail: None, follow: false };
    let lines: Vec<Line> = world.lines(|name| name.as_str() == "web", span).collect().await;
    assert_eq!(lines.iter().map(|line| &line.data[..]).collect::<Vec<_>>(), [b"new"]);
    let tail = Span { since: None, tail: Some(1), follow: false };
    let lines: Vec<Line> = world.lines(|_| true, tail).collect().await;
    assert_eq!(lines.len(), 2, "one of each: {lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_survives_an_absent_engine() {
    let world = world();
    let id = world.run("a", "web", None).await;
    let mut lines = world.lines(|_| true, follow(Some(Duration::ZERO)));
    world.say(&id, "one");
    assert_eq!(next(&mut lines).await, "web: one");
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.engine.go_away();
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.say(&id, "two");
    world.engine.come_back();
    assert_eq!(next(&mut lines).await, "web: two");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_reads_no_more() {
    let world = world();
    let lines = world.lines(|_| true, follow(None));
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(lines);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calls = world.engine.calls().len();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.engine.calls().len(), calls);
}

#[tokio::test(start_paused = true)]
async fn the_daemon_s_log_gets_only_lines_of_its_own_driver() {
    let world = world();
    let theirs = world.run("a", "web", None).await;
    let ours = world.run("b", "api", Some("maelstrom")).await;
    let span = Span { since: Some(Duration::ZERO), tail: None, follow: false };
    world.say(&theirs, "theirs");
    world.say(&ours, "ours");
    let lines: Vec<Line> = world.source.open(forward::is_forwarded, span, WATCHED).collect().await;
    assert_eq!(lines.iter().map(|line| &line.data[..]).collect::<Vec<_>>(), [b"ours"]);
}
