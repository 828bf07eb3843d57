//! The engine in memory keeps the promises of the seam.

use std::sync::Arc;

use maelstrom_core::{
    component::{Component, DockerSpec},
    engine_conformance,
    names::NodeId,
    ports::{
        BoxFuture,
        clock::Clock,
        engine::{LogLine, LogStream},
    },
    testing::{
        engine::{FakeEngine, ImageBehaviour},
        engine_conformance::Subject,
    },
    time::{Moment, WallTime},
    wire,
};

engine_conformance!(in_memory);

async fn in_memory(case: &str) -> Subject {
    // Nothing here waits for real: a case that would have to wait fails at once.
    tokio::time::pause();
    let clock = Arc::new(TokioClock(tokio::time::Instant::now()));
    let engine = FakeEngine::new(clock.clone());
    let prints = vec![LogLine { stream: LogStream::Stdout, line: "ready".into() }];
    let runs = ImageBehaviour { prints, ..Default::default() };
    let kill = engine.clone();
    engine.add_image("runs:1");
    engine.behave("runs:1", runs.clone());
    engine.add_image("deaf:1");
    engine.behave("deaf:1", ImageBehaviour { ignores_term: true, ..runs });
    engine.add_image("broken:1");
    let start_refused = Some("no such program".to_owned());
    engine.behave("broken:1", ImageBehaviour { start_refused, ..Default::default() });
    Subject {
        engine: Arc::new(engine),
        clock,
        node: NodeId::new(case),
        runs: docker("runs:1"),
        ignores_term: (docker("deaf:1"), Vec::new()),
        cannot_start: docker("broken:1"),
        command: vec!["true".into()],
        kill: Box::new(move |id| {
            kill.crash(&id, 137);
            Box::pin(std::future::ready(()))
        }),
    }
}

fn docker(image: &str) -> DockerSpec {
    let docker = wire::DockerComponent { image: image.into(), ..Default::default() };
    let component = wire::Component { name: "web".into(), docker: Some(docker), ..Default::default() };
    Component::parse(&component).expect("a good component").docker
}

struct TokioClock(tokio::time::Instant);

impl Clock for TokioClock {
    fn now(&self) -> Moment {
        Moment::from_millis(3_600_000) + self.0.elapsed()
    }

    fn wall(&self) -> WallTime {
        WallTime::from_millis(1_767_225_600_000) + self.0.elapsed()
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(moment.since(self.now())))
    }
}
