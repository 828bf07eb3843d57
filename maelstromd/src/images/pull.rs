//! Fetching images by each component's policy.
//!
//! * Missing: pulled, whatever the policy.
//! * `pullimageonstart`: pulled before each start. When that fails and the image is on the node, the
//!   start goes on with a warning: a registry that is away must not keep a service down.
//! * `pullimageonput`: pulled in the background when the component is put.
//!
//! An image is pulled once at a time; who asks meanwhile waits for the same pull. It goes on while
//! anybody waits and is given up when nobody does.

use std::{collections::HashMap, sync::Arc};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use maelstrom_core::{
    component::{Component, DockerSpec, PullSpec},
    journal::Kind,
    names::ComponentName,
    ports::{
        clock::Clock,
        engine::{ContainerEngine, EngineError, EngineResult},
    },
};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use crate::{
    cluster::Snapshot,
    journal::{Entry, Journal},
    node::{Images, Occasion},
    tasks::Tasks,
};

/// Pulls that nobody waits for, at a time: the network belongs to starts and requests first.
const BACKGROUND_PULLS: usize = 2;

/// Clones share what is under way.
#[derive(Clone)]
pub struct Pulls {
    shared: Arc<Inner>,
}

struct Inner {
    engine: Arc<dyn ContainerEngine>,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    under_way: Mutex<Vec<UnderWay>>,
}

type Pull = BoxFuture<'static, EngineResult<()>>;

struct UnderWay {
    image: String,
    pull: PullSpec,
    flight: WeakShared<Pull>,
}

// === impl Pulls ===

impl Pulls {
    pub fn new(engine: Arc<dyn ContainerEngine>, journal: Arc<Journal>, clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Inner { engine, journal, clock, under_way: Mutex::default() }) }
    }

    async fn ensured(&self, docker: &DockerSpec, occasion: Occasion) -> EngineResult<()> {
        match occasion {
            Occasion::Missing => self.pull(docker).await,
            Occasion::EachStart if !docker.pull.on_start => Ok(()),
            Occasion::EachStart => match self.pull(docker).await {
                Err(error) => self.fall_back(docker, error).await,
                pulled => pulled,
            },
        }
    }

    /// Pulls in the background what is put with `pullimageonput`, until `configuration` ends. What there
    /// is at the beginning was put before.
    pub async fn run(self, mut configuration: watch::Receiver<Arc<Snapshot>>, tasks: Tasks) {
        let slots = Arc::new(Semaphore::new(BACKGROUND_PULLS));
        let mut known = versions(&configuration.borrow_and_update());
        while configuration.changed().await.is_ok() {
            let snapshot = configuration.borrow_and_update().clone();
            for component in snapshot.components.values() {
                let is_put = known.get(&component.name) != Some(&component.version);
                if is_put && component.docker.pull.on_put {
                    tasks.spawn_cancellable("image pull", self.clone().put(component.clone(), slots.clone()));
                }
            }
            known = versions(&snapshot);
        }
    }

    async fn put(self, component: Arc<Component>, slots: Arc<Semaphore>) {
        let _slot = slots.acquire().await;
        // Its outcome is in the journal; the next start finds out for itself what there is.
        let _ = self.pull(&component.docker).await;
    }

    async fn fall_back(&self, docker: &DockerSpec, error: EngineError) -> EngineResult<()> {
        match self.shared.engine.image_id(docker.image.clone()).await {
            Ok(Some(_)) => {
                tracing::warn!(image = docker.image, %error, "starting from the image on the node: the pull failed");
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Joins the pull under way, or begins one.
    fn pull(&self, docker: &DockerSpec) -> Shared<Pull> {
        let mut under_way = self.shared.under_way.lock();
        under_way.retain(|other| other.flight.upgrade().is_some_and(|flight| flight.peek().is_none()));
        let same = under_way.iter().find(|other| other.image == docker.image && other.pull == docker.pull);
        if let Some(flight) = same.and_then(|same| same.flight.upgrade()) {
            return flight;
        }
        let pull: Pull = self.shared.clone().fetch(docker.image.clone(), docker.pull.clone()).boxed();
        let flight = pull.shared();
        if let Some(weak) = flight.downgrade() {
            under_way.push(UnderWay { image: docker.image.clone(), pull: docker.pull.clone(), flight: weak });
        }
        flight
    }
}

impl Images for Pulls {
    /// At once when there is nothing to do; the caller sets the limit of its wait.
    fn ensure(&self, docker: &DockerSpec, occasion: Occasion) -> BoxFuture<'static, EngineResult<()>> {
        let (pulls, docker) = (self.clone(), docker.clone());
        async move { pulls.ensured(&docker, occasion).await }.boxed()
    }
}

// === impl Inner ===

impl Inner {
    async fn fetch(self: Arc<Self>, image: String, pull: PullSpec) -> EngineResult<()> {
        let began = self.clock.now();
        let pulled = self.engine.pull(image.clone(), pull).await;
        let took = self.clock.now().since(began).as_secs_f64();
        let entry = match &pulled {
            Ok(()) => Entry::new(Kind::Image, format!("pulled image {image}")),
            Err(error) => {
                Entry::new(Kind::Image, format!("could not pull image {image}")).because(error.to_string())
            }
        };
        self.journal.record(entry.data("image", image).data("ms", (took * 1_000.0).round()));
        pulled
    }
}

fn versions(snapshot: &Snapshot) -> HashMap<ComponentName, i64> {
    snapshot.components.values().map(|component| (component.name.clone(), component.version)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use maelstrom_core::testing::engine::{Delays, Operation};
    use tokio::join;

    use super::{
        super::testing::{World, component, snapshot, world},
        *,
    };

    fn slow_pulls(world: &World) {
        world.engine.set_delays(Delays { pull: Duration::from_secs(5), ..Delays::default() });
    }

    #[tokio::test(start_paused = true)]
    async fn one_image_is_pulled_once_at_a_time() {
        let world = world();
        slow_pulls(&world);
        world.engine.publish("web:1");
        let pulls = world.pulls();
        let web = component("web", "web:1", |_| {});
        let ensure = || pulls.ensure(&web.docker, Occasion::Missing);
        let (a, b, c) = join!(ensure(), ensure(), ensure());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(world.engine.count(Operation::Pull), 1);
        ensure().await.unwrap();
        assert_eq!(world.engine.count(Operation::Pull), 2, "a later one asks the registry anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_that_nobody_waits_for_is_given_up_and_begins_anew() {
        let world = world();
        slow_pulls(&world);
        world.engine.publish("web:1");
        let pulls = world.pulls();
        let web = component("web", "web:1", |_| {});
        let impatient = pulls.ensure(&web.docker, Occasion::Missing);
        assert!(tokio::time::timeout(Duration::from_secs(1), impatient).await.is_err());
        pulls.ensure(&web.docker, Occasion::Missing).await.unwrap();
        assert_eq!(world.engine.count(Operation::Pull), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_pulls_only_if_its_policy_says_so() {
        let world = world();
        world.engine.publish("web:1");
        let pulls = world.pulls();
        let lazy = component("web", "web:1", |_| {});
        pulls.ensure(&lazy.docker, Occasion::EachStart).await.unwrap();
        assert_eq!(world.engine.calls().len(), 0, "the way of a cold start is free of calls");
        let eager = component("web", "web:1", |docker| docker.pull_image_on_start = Some(true));
        pulls.ensure(&eager.docker, Occasion::EachStart).await.unwrap();
        assert_eq!(world.engine.count(Operation::Pull), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_pull_on_start_goes_on_with_the_image_on_the_node() {
        let world = world();
        world.engine.add_image("web:1");
        let pulls = world.pulls();
        let on_start =
            |image| component("web", image, |docker| docker.pull_image_on_start = Some(true)).docker.clone();
        pulls.ensure(&on_start("web:1"), Occasion::EachStart).await.unwrap();
        let missing = pulls.ensure(&on_start("web:2"), Occasion::EachStart).await;
        assert!(matches!(missing, Err(EngineError::ImageMissing { .. })), "{missing:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_is_pulled_in_the_background_once_a_version() {
        let world = world();
        let before = component("old", "old:1", |docker| docker.pull_image_on_put = Some(true));
        for image in ["old:1", "web:1", "lazy:1"] {
            world.engine.publish(image);
        }
        let (sender, receiver) = watch::channel(snapshot([before.clone()]));
        let tasks = Tasks::new();
        tasks.spawn_cancellable("pulls", world.pulls().run(receiver, tasks.child()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let put = component("web", "web:1", |docker| docker.pull_image_on_put = Some(true));
        let lazy = component("lazy", "lazy:1", |_| {});
        for _ in 0..2 {
            sender.send_replace(snapshot([before.clone(), put.clone(), lazy.clone()]));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let pulled: Vec<String> = world.engine.calls().into_iter().map(|call| call.subject).collect();
        assert_eq!(pulled, ["web:1"]);
        tasks.stop(Duration::from_secs(1)).await;
    }
}
