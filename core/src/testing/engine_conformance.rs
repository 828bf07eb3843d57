//! What every [`ContainerEngine`] must do. [`engine_conformance!`](crate::engine_conformance) makes one
//! test of each promise, for the engine in memory and for the real one alike.
//!
//! A case panics when the promise is broken. Cases run side by side on one engine: each has a node of its
//! own and takes its containers away at the end.

use std::{sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    future::{Either, select},
    stream::BoxStream,
};

use crate::{
    component::DockerSpec,
    names::{ComponentName, InstanceId, NodeId},
    ports::{BoxFuture, clock::Clock, engine::*},
};

/// What a case works with.
pub struct Subject {
    pub engine: Arc<dyn ContainerEngine>,
    pub clock: Arc<dyn Clock>,
    /// Of this case alone.
    pub node: NodeId,
    /// Writes a line to stdout when it starts, runs until SIGTERM, then ends within a second.
    pub runs: DockerSpec,
    /// The same, but with this environment SIGTERM doesn't end it.
    pub ignores_term: (DockerSpec, Vec<(String, String)>),
    /// Has its image, but can't be started.
    pub cannot_start: DockerSpec,
    /// A command that ends with code 0 inside a container of `runs`.
    pub command: Vec<String>,
    /// SIGKILLs the container's first process from outside.
    pub kill: Box<dyn Fn(InstanceId) -> BoxFuture<'static, ()> + Send + Sync>,
}

/// Long enough for a loaded machine, short enough to be told by name.
const PATIENCE: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(20);

/// Makes a module with one Tokio test for each case. `$subject` is a path to an `async fn` that takes
/// the case's name and returns a [`Subject`].
#[macro_export]
macro_rules! engine_conformance {
    ($subject:path) => {
        $crate::engine_conformance!(@cases $subject:
            lives_from_create_to_remove
            repeated_calls_succeed
            what_is_gone_is_told_apart_from_what_is_refused
            a_missing_image_is_told
            names_are_unique
            what_cannot_start_says_so
            a_paused_container_keeps_its_address_and_can_be_stopped
            a_deaf_container_is_killed_after_its_grace
            a_death_is_told
            a_running_container_can_be_removed
            only_the_node_s_own_containers_are_listed
            lines_are_read_and_followed_to_the_end
            commands_run_inside
            pruning_takes_only_what_has_exited
            images_are_known_by_name_and_id
        );
    };
    (@cases $subject:path: $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let subject = $subject(stringify!($case)).await;
                $crate::testing::engine_conformance::$case(&subject).await;
                subject.clean_up().await;
            }
        )*
    };
}

// === Cases ===

pub async fn lives_from_create_to_remove(subject: &Subject) {
    let engine = &subject.engine;
    let id = subject.create("a", &subject.runs).await;
    let made = engine.inspect(id.clone()).await.expect("inspect after create");
    assert_eq!(made.state, ContainerState::Created);
    assert_eq!((made.address, made.pid, made.started_at), (None, None, 0));
    assert_eq!(made.name, subject.name("a"));
    assert_eq!(made.labels.get(LABEL_NODE).map(String::as_str), Some(subject.node.as_str()));
    assert_eq!(made.labels.get(LABEL_COMPONENT).map(String::as_str), Some("web"));
    assert_eq!(made.labels.get(LABEL_VERSION).map(String::as_str), Some("7"));

    let started = engine.start(id.clone()).await.expect("start");
    assert_eq!(started.state, ContainerState::Running);
    assert!(started.address.is_some() && started.started_at > 0, "{started:?}");
    assert_eq!(engine.inspect(id.clone()).await, Ok(started.clone()));
    assert_eq!(engine.list(subject.node.clone()).await, Ok(vec![started]));

    engine.stop(id.clone(), GRACE).await.expect("stop");
    let stopped = engine.inspect(id.clone()).await.expect("inspect after stop");
    assert!(matches!(stopped.state, ContainerState::Exited { oom_killed: false, .. }), "{stopped:?}");
    assert_eq!((stopped.address, stopped.pid), (None, None));

    engine.remove(id.clone()).await.expect("remove");
    assert_eq!(engine.list(subject.node.clone()).await, Ok(vec![]));
    assert_eq!(engine.inspect(id.clone()).await, Err(EngineError::NoSuchContainer { id }));
}

pub async fn repeated_calls_succeed(subject: &Subject) {
    let engine = &subject.engine;
    let id = subject.create("a", &subject.runs).await;
    let first = engine.start(id.clone()).await.expect("start");
    assert_eq!(engine.start(id.clone()).await, Ok(first));
    for _ in 0..2 {
        engine.pause(id.clone()).await.expect("pause");
    }
    for _ in 0..2 {
        engine.unpause(id.clone()).await.expect("unpause");
    }
    for _ in 0..2 {
        engine.stop(id.clone(), GRACE).await.expect("stop");
    }
    for _ in 0..2 {
        engine.remove(id.clone()).await.expect("remove");
    }
    engine.stop(id, GRACE).await.expect("stop of what is gone");
}

pub async fn what_is_gone_is_told_apart_from_what_is_refused(subject: &Subject) {
    let engine = &subject.engine;
    let id = InstanceId::new("0123456789abcdef");
    let gone = EngineError::NoSuchContainer { id: id.clone() };
    assert_eq!(engine.start(id.clone()).await, Err(gone.clone()));
    assert_eq!(engine.pause(id.clone()).await, Err(gone.clone()));
    assert_eq!(engine.unpause(id.clone()).await, Err(gone.clone()));
    let command = subject.command.clone();
    assert_eq!(engine.exec(id.clone(), command.clone(), PATIENCE).await, Err(gone.clone()));
    let lines: Vec<_> = engine.logs(id, everything(true)).collect().await;
    assert_eq!(lines, [Err(gone)]);

    let idle = subject.create("a", &subject.runs).await;
    assert_refused(engine.pause(idle.clone()).await);
    assert_refused(engine.unpause(idle.clone()).await);
    assert_refused(engine.exec(idle, command, PATIENCE).await);
}

pub async fn a_missing_image_is_told(subject: &Subject) {
    let engine = &subject.engine;
    let image = "maelstrom-test/there-is-no-such-image:1".to_owned();
    let docker = DockerSpec { image: image.clone(), ..subject.runs.clone() };
    let error = engine.create(subject.spec("a", &docker)).await.expect_err("create without an image");
    assert!(matches!(&error, EngineError::ImageMissing { image: named, .. } if *named == image), "{error:?}");
    assert_eq!(engine.image_id(image.clone()).await, Ok(None));
    assert_eq!(engine.remove_image(image).await, Ok(()));
}

pub async fn names_are_unique(subject: &Subject) {
    subject.create("a", &subject.runs).await;
    assert_refused(subject.engine.create(subject.spec("a", &subject.runs)).await);
}

pub async fn what_cannot_start_says_so(subject: &Subject) {
    let id = subject.create("a", &subject.cannot_start).await;
    assert_refused(subject.engine.start(id.clone()).await);
    let seen = subject.engine.inspect(id).await.expect("inspect after a failed start");
    assert!(!matches!(seen.state, ContainerState::Running | ContainerState::Paused), "{seen:?}");
    assert_eq!((seen.address, seen.pid), (None, None));
}

pub async fn a_paused_container_keeps_its_address_and_can_be_stopped(subject: &Subject) {
    let engine = &subject.engine;
    let started = subject.run("a").await;
    engine.pause(started.id.clone()).await.expect("pause");
    let paused = Container { state: ContainerState::Paused, ..started.clone() };
    assert_eq!(engine.inspect(started.id.clone()).await, Ok(paused.clone()));
    assert_eq!(engine.list(subject.node.clone()).await, Ok(vec![paused]));
    assert_refused(engine.start(started.id.clone()).await);
    engine.unpause(started.id.clone()).await.expect("unpause");
    assert_eq!(engine.inspect(started.id.clone()).await, Ok(started.clone()));

    engine.pause(started.id.clone()).await.expect("pause again");
    let before = subject.clock.now();
    engine.stop(started.id.clone(), GRACE).await.expect("stop of a paused one");
    assert!(subject.clock.now().since(before) < GRACE, "it could not hear the SIGTERM");
    let stopped = engine.inspect(started.id).await.expect("inspect after stop");
    assert!(matches!(stopped.state, ContainerState::Exited { .. }), "{stopped:?}");
}

pub async fn a_deaf_container_is_killed_after_its_grace(subject: &Subject) {
    let engine = &subject.engine;
    let (docker, environment) = subject.ignores_term.clone();
    let spec = ContainerSpec { environment, ..subject.spec("a", &docker) };
    let id = engine.create(spec).await.expect("create");
    engine.start(id.clone()).await.expect("start");
    // Only a program that has come up can ignore a signal: it has written its line by then.
    subject.soon("the first line", engine.logs(id.clone(), everything(true)).next()).await;
    let grace = Duration::from_secs(1);
    let before = subject.clock.now();
    engine.stop(id.clone(), grace).await.expect("stop");
    assert!(subject.clock.now().since(before) >= grace.mul_f64(0.9), "the grace was cut short");
    let state = engine.inspect(id).await.expect("inspect").state;
    assert_eq!(state, ContainerState::Exited { code: 137, oom_killed: false });
}

pub async fn a_death_is_told(subject: &Subject) {
    let mut events = subject.engine.events();
    let first = subject.soon("the subscription", events.next()).await;
    assert_eq!(first, Some(EngineEvent::Resubscribed));
    let killed = subject.run("a").await.id;
    (subject.kill)(killed.clone()).await;
    assert_eq!(subject.death(&mut events, &killed).await, Some(137));
    let state = subject.engine.inspect(killed).await.expect("inspect").state;
    assert_eq!(state, ContainerState::Exited { code: 137, oom_killed: false });

    let stopped = subject.run("b").await.id;
    subject.engine.stop(stopped.clone(), GRACE).await.expect("stop");
    subject.death(&mut events, &stopped).await;
}

pub async fn a_running_container_can_be_removed(subject: &Subject) {
    for (name, paused) in [("a", false), ("b", true)] {
        let id = subject.run(name).await.id;
        if paused {
            subject.engine.pause(id.clone()).await.expect("pause");
        }
        subject.engine.remove(id).await.expect("remove");
        assert_eq!(subject.engine.list(subject.node.clone()).await, Ok(vec![]));
    }
}

pub async fn only_the_node_s_own_containers_are_listed(subject: &Subject) {
    let other = NodeId::new(format!("{}-other", subject.node));
    let spec = ContainerSpec { node: other.clone(), ..subject.spec("other", &subject.runs) };
    let theirs = subject.engine.create(spec).await.expect("create for another node");
    let ours = subject.create("ours", &subject.runs).await;
    let ids = async |node: &NodeId| {
        let listed = subject.engine.list(node.clone()).await.expect("list");
        listed.into_iter().map(|container| container.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&subject.node).await, [ours]);
    assert_eq!(ids(&other).await, std::slice::from_ref(&theirs));
    subject.engine.prune(subject.node.clone()).await.expect("prune");
    assert_eq!(ids(&other).await, std::slice::from_ref(&theirs));
    subject.engine.remove(theirs).await.expect("remove");
}

pub async fn lines_are_read_and_followed_to_the_end(subject: &Subject) {
    let engine = &subject.engine;
    let id = subject.run("a").await.id;
    let mut following = engine.logs(id.clone(), everything(true));
    let first = subject.soon("the first line", following.next()).await.expect("a line").expect("a line");
    assert_eq!(first.stream, LogStream::Stdout);
    assert!(!first.line.is_empty() && !first.line.ends_with(b"\n"), "{first:?}");
    let read: Vec<_> = engine.logs(id.clone(), everything(false)).collect().await;
    assert_eq!(read.first(), Some(&Ok(first)));
    let none = LogQuery { since: None, tail: Some(0), follow: false };
    assert_eq!(engine.logs(id.clone(), none).collect::<Vec<_>>().await, []);
    engine.stop(id, GRACE).await.expect("stop");
    let rest = subject.soon("the end of the lines", following.collect::<Vec<_>>()).await;
    assert!(rest.iter().all(Result::is_ok), "{rest:?}");
}

pub async fn commands_run_inside(subject: &Subject) {
    let id = subject.run("a").await.id;
    let output = subject.engine.exec(id, subject.command.clone(), PATIENCE).await.expect("exec");
    assert_eq!(output.exit_code, 0, "{output:?}");
}

pub async fn pruning_takes_only_what_has_exited(subject: &Subject) {
    let engine = &subject.engine;
    let made = subject.create("made", &subject.runs).await;
    let runs = subject.run("runs").await.id;
    let ended = subject.run("ended").await.id;
    engine.stop(ended, GRACE).await.expect("stop");
    assert!(engine.prune(subject.node.clone()).await.expect("prune") >= 1);
    let mut left: Vec<InstanceId> =
        engine.list(subject.node.clone()).await.expect("list").into_iter().map(|c| c.id).collect();
    let mut expected = vec![made, runs];
    left.sort();
    expected.sort();
    assert_eq!(left, expected);
}

pub async fn images_are_known_by_name_and_id(subject: &Subject) {
    let engine = &subject.engine;
    let name = subject.runs.image.clone();
    let id = engine.image_id(name.clone()).await.expect("image_id").expect("the image is there");
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(subject.run("a").await.image_id, id);
    let listed = engine.images().await.expect("images");
    assert!(listed.iter().any(|image| image.id == id && image.names.contains(&name)), "{listed:?}");
    assert_refused(engine.remove_image(name).await);
}

// === impl Subject ===

impl Subject {
    /// Takes away all containers of the case.
    pub async fn clean_up(&self) {
        for container in self.engine.list(self.node.clone()).await.expect("list") {
            self.engine.remove(container.id).await.expect("remove");
        }
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.node)
    }

    fn spec(&self, name: &str, docker: &DockerSpec) -> ContainerSpec {
        ContainerSpec {
            name: self.name(name),
            node: self.node.clone(),
            component: ComponentName::parse("web").expect("a good name"),
            version: 7,
            environment: vec![("A".into(), "b".into())],
            docker: docker.clone(),
        }
    }

    async fn create(&self, name: &str, docker: &DockerSpec) -> InstanceId {
        self.engine.create(self.spec(name, docker)).await.expect("create")
    }

    async fn run(&self, name: &str) -> Container {
        let id = self.create(name, &self.runs).await;
        self.engine.start(id).await.expect("start")
    }

    /// The exit code that the death of `id` is told with.
    async fn death(&self, events: &mut BoxStream<'static, EngineEvent>, id: &InstanceId) -> Option<i64> {
        let told = async {
            loop {
                match events.next().await.expect("events never end") {
                    EngineEvent::Died { id: died, exit_code } if died == *id => return exit_code,
                    _ => {}
                }
            }
        };
        self.soon("the death", told).await
    }

    async fn soon<T>(&self, what: &str, event: impl Future<Output = T>) -> T {
        let limit = self.clock.sleep_until(self.clock.now() + PATIENCE);
        match select(std::pin::pin!(event), limit).await {
            Either::Left((value, _)) => value,
            Either::Right(_) => panic!("{what} did not come within {PATIENCE:?}"),
        }
    }
}

fn everything(follow: bool) -> LogQuery {
    LogQuery { since: None, tail: None, follow }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: EngineResult<T>) {
    assert!(matches!(answer, Err(EngineError::Refused { .. })), "{answer:?}");
}
