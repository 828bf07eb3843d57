//! The adapter keeps the promises of the seam.

use std::sync::Arc;

use bollard::{Docker, query_parameters::KillContainerOptionsBuilder};
use maelstrom_core::{engine_conformance, names::NodeId, testing::engine_conformance::Subject};
use maelstrom_tests::image;
use maelstromd::{clock::SystemClock, docker::DockerEngine};

use crate::harness::spec;

engine_conformance!(docker);

async fn docker(case: &str) -> Subject {
    let docker = Docker::connect_with_defaults().expect("a Docker engine: tests/setup/docker starts one");
    image::prepare(&docker).await.expect("the test image");
    let runs = spec(|_| {});
    Subject {
        engine: Arc::new(DockerEngine::new(None)),
        clock: Arc::new(SystemClock),
        node: NodeId::new(format!("conformance-{}-{}", std::process::id(), case.replace('_', "-"))),
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
