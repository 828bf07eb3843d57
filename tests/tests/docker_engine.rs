//! The adapter to Docker keeps the promises of the seam, on the real engine.

use std::sync::Arc;

use bollard::{Docker, query_parameters::KillContainerOptionsBuilder};
use maelstrom_core::{
    component::{Component, DockerSpec},
    engine_conformance,
    names::NodeId,
    testing::engine_conformance::Subject,
    wire,
};
use maelstrom_tests::image;
use maelstromd::{clock::SystemClock, docker::DockerEngine};

engine_conformance!(docker);

async fn docker(case: &str) -> Subject {
    let docker = Docker::connect_with_defaults().expect("a Docker engine: tests/setup/docker starts one");
    image::prepare(&docker).await.expect("the test image");
    // Of this process alone, so that a run that was killed doesn't stand in the way of the next.
    let node = NodeId::new(format!("conformance-{}-{}", std::process::id(), case.replace('_', "-")));
    let runs = spec(|_| {});
    Subject {
        engine: Arc::new(DockerEngine::new(None)),
        clock: Arc::new(SystemClock),
        node,
        ignores_term: (runs.clone(), vec![("APP_IGNORE_TERM".into(), "1".into())]),
        cannot_start: spec(|docker| docker.entrypoint = Some(vec!["/no/such/program".into()])),
        command: vec!["/mael-app".into(), "mark".into(), "here".into()],
        kill: Box::new(move |id| {
            let docker = docker.clone();
            Box::pin(async move {
                let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
                docker.kill_container(id.as_str(), Some(options)).await.expect("kill");
            })
        }),
        runs,
    }
}

fn spec(change: impl FnOnce(&mut wire::DockerComponent)) -> DockerSpec {
    let mut docker = wire::DockerComponent { image: image::APP.into(), ..Default::default() };
    change(&mut docker);
    let component = wire::Component { name: "web".into(), docker: Some(docker), ..Default::default() };
    Component::parse(&component).expect("a good component").docker
}
