//! What these tests share: containers of a node of their own, removed even when a test fails.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bollard::{Docker, query_parameters::RemoveContainerOptionsBuilder};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use maelstrom_core::{
    component::{Component, DockerSpec},
    names::{ComponentName, InstanceId, NodeId},
    ports::engine::{Container, ContainerEngine, ContainerSpec, EngineResult, LABEL_NODE},
    wire,
};
use maelstrom_tests::image;
use maelstromd::docker::DockerEngine;

/// For things that happen at once on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A node with containers on the real engine.
pub(crate) struct Bench {
    pub(crate) engine: Arc<dyn ContainerEngine>,
    pub(crate) docker: Docker,
    pub(crate) node: NodeId,
}

pub(crate) async fn bench(test: &str) -> Bench {
    let docker = Docker::connect_with_defaults().expect("a Docker engine: tests/setup/docker starts one");
    image::prepare(&docker).await.expect("the test image");
    // Of this process alone, so that a run that was killed doesn't stand in the way of the next.
    let node = NodeId::new(format!("engine-{}-{}", std::process::id(), test));
    Bench { engine: Arc::new(DockerEngine::new(None)), docker, node }
}

/// A component's part with the test service as image.
pub(crate) fn spec(change: impl FnOnce(&mut wire::DockerComponent)) -> DockerSpec {
    let mut docker = wire::DockerComponent { image: image::APP.into(), ..Default::default() };
    change(&mut docker);
    let component = wire::Component { name: "web".into(), docker: Some(docker), ..Default::default() };
    Component::parse(&component).expect("a good component").docker
}

// === impl Bench ===

impl Bench {
    pub(crate) async fn create(
        &self,
        name: &str,
        docker: DockerSpec,
        environment: &[(&str, &str)],
    ) -> EngineResult<InstanceId> {
        let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let spec = ContainerSpec {
            name: format!("{}-{name}", self.node),
            node: self.node.clone(),
            component: ComponentName::parse("web").expect("a good name"),
            version: 1,
            environment: environment.collect(),
            docker,
        };
        self.engine.create(spec).await
    }

    pub(crate) async fn run(&self, name: &str, docker: DockerSpec) -> Container {
        self.run_with(name, docker, &[]).await
    }

    pub(crate) async fn run_with(
        &self,
        name: &str,
        docker: DockerSpec,
        environment: &[(&str, &str)],
    ) -> Container {
        let id = self.create(name, docker, environment).await.expect("create");
        self.engine.start(id).await.expect("start")
    }
}

impl Drop for Bench {
    /// On a thread of its own: a test that panicked still has its runtime busy.
    fn drop(&mut self) {
        let (docker, label) = (self.docker.clone(), format!("{LABEL_NODE}={}", self.node));
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(remove_all(&docker, label))
        });
        if !matches!(removal.join(), Ok(Ok(()))) && !std::thread::panicking() {
            panic!("containers of {} were left behind", self.node);
        }
    }
}

async fn remove_all(docker: &Docker, label: String) -> anyhow::Result<()> {
    let filters = std::collections::HashMap::from([("label", vec![label])]);
    let options = bollard::query_parameters::ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    for container in docker.list_containers(Some(options)).await? {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        docker.remove_container(&container.id.unwrap_or_default(), Some(options)).await?;
    }
    Ok(())
}

/// The body of a 200 from the service, asked again until it listens.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let uri: hyper::Uri = format!("http://{address}{path}").parse().expect("a good path");
    soon("an answer", async {
        loop {
            if let Ok(response) = client.get(uri.clone()).await {
                let body = response.into_body().collect().await.expect("a body").to_bytes();
                return String::from_utf8_lossy(&body).into_owned();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not come within {PATIENCE:?}"),
    }
}
