//! The containers that answer behind everything that is measured.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bollard::Docker;
use bollard::models::{ContainerCreateBody, ContainerSummaryStateEnum};
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use maelstrom_tests::image;

use crate::daemon::Daemon;

/// A tag of its own tells the bench's containers from those of anything else.
pub(crate) const IMAGE: &str = "maelstrom-test/bench:1";
/// Where the service listens inside its container.
pub(crate) const PORT: u16 = 8080;

/// Removes what a killed bench left and brings the image in.
pub(crate) async fn prepare(docker: &Docker) -> Result<()> {
    image::prepare_as(docker, IMAGE, "1").await?;
    for filter in [("label", "maelstrom.test=bench"), ("ancestor", IMAGE)] {
        let filters = HashMap::from([(filter.0, vec![filter.1.to_owned()])]);
        let list = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        for container in docker.list_containers(Some(list)).await? {
            remove(docker, container.id.as_deref().unwrap_or_default()).await?;
        }
    }
    Ok(())
}

/// The warm instance that all proxies are put before: the daemon's own, so that no
/// two differ, or a bare one when no daemon is measured.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    bare: Option<String>,
}

impl Backend {
    pub(crate) async fn start(docker: &Docker, daemon: Option<&Daemon>) -> Result<Self> {
        let Some(daemon) = daemon else {
            let (id, _) = bare_start(docker).await?;
            return Ok(Self { address: address(docker, &id).await?, bare: Some(id) });
        };
        daemon.warm_up().await?;
        let running = containers(docker, ContainerSummaryStateEnum::RUNNING).await?;
        let [id] = running.as_slice() else {
            bail!("{} instances of {IMAGE} run, not one: see {}", running.len(), daemon.log.display());
        };
        Ok(Self { address: address(docker, id).await?, bare: None })
    }

    pub(crate) async fn stop(self, docker: &Docker) -> Result<()> {
        match self.bare {
            Some(id) => remove(docker, &id).await,
            None => Ok(()),
        }
    }
}

/// Ids of the containers made of [`IMAGE`] that are in a state.
pub(crate) async fn containers(docker: &Docker, state: ContainerSummaryStateEnum) -> Result<Vec<String>> {
    let filters = HashMap::from([("ancestor", vec![IMAGE.to_owned()])]);
    let list = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let found = docker.list_containers(Some(list)).await.context("listing containers")?;
    Ok(found.into_iter().filter(|one| one.state == Some(state)).filter_map(|one| one.id).collect())
}

/// A container straight from Docker, started and answering: the floor of a cold start.
/// Returns its id and the time from "create" to the first 200.
pub(crate) async fn bare_start(docker: &Docker) -> Result<(String, Duration)> {
    let body = ContainerCreateBody {
        image: Some(IMAGE.into()),
        labels: Some(HashMap::from([("maelstrom.test".into(), "bench".into())])),
        ..ContainerCreateBody::default()
    };
    let begin = Instant::now();
    let id =
        docker.create_container(None::<bollard::query_parameters::CreateContainerOptions>, body).await?.id;
    docker.start_container(&id, None::<bollard::query_parameters::StartContainerOptions>).await?;
    let address = address(docker, &id).await?;
    let answered = tokio::task::spawn_blocking(move || until_200(address, begin)).await?;
    match answered {
        Ok(took) => Ok((id, took)),
        Err(error) => {
            remove(docker, &id).await?;
            Err(error)
        }
    }
}

pub(crate) async fn remove(docker: &Docker, id: &str) -> Result<()> {
    let force = RemoveContainerOptionsBuilder::default().force(true).build();
    match docker.remove_container(id, Some(force)).await {
        Ok(()) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("removing container {id}")),
    }
}

async fn address(docker: &Docker, id: &str) -> Result<SocketAddr> {
    let inspected = docker
        .inspect_container(id, None::<bollard::query_parameters::InspectContainerOptions>)
        .await
        .with_context(|| format!("inspecting container {id}"))?;
    let networks = inspected.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let ip: IpAddr = networks
        .into_values()
        .filter_map(|network| network.ip_address)
        .find_map(|address| address.parse().ok())
        .with_context(|| format!("container {id} has no address"))?;
    Ok((ip, PORT).into())
}

fn until_200(address: SocketAddr, begin: Instant) -> Result<Duration> {
    let patience = Duration::from_secs(20);
    loop {
        let answer = crate::client::Client::connect(address).and_then(|mut client| client.get("floor", "/"));
        if answer.is_ok_and(|answer| answer.status == 200) {
            return Ok(begin.elapsed());
        }
        if begin.elapsed() > patience {
            bail!("a bare container did not answer within {} s", patience.as_secs());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
