//! Takes away what nobody needs: exited containers of this node, images without a tag and, if so
//! configured, images of no component. The engine refuses to remove what a container uses, whosever it is.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use maelstrom_core::{
    journal::Kind,
    names::NodeId,
    ports::{
        clock::Clock,
        engine::{ContainerEngine, EngineError, EngineResult, Image},
    },
};
use tokio::sync::watch;

use super::name;
use crate::{
    cluster::Snapshot,
    glob,
    journal::{Entry, Journal},
};

/// From `MAEL_DOCKER_PRUNE_*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneSettings {
    /// `None`: never.
    pub every: Option<Duration>,
    /// Images of no component, too.
    pub unregistered: bool,
    /// Globs of images that stay in spite of `unregistered`; with or without tag.
    pub keep: Vec<String>,
}

/// See the module.
pub struct Pruner {
    pub node: NodeId,
    pub engine: Arc<dyn ContainerEngine>,
    pub journal: Arc<Journal>,
    pub clock: Arc<dyn Clock>,
    pub settings: PruneSettings,
}

// === impl Pruner ===

impl Pruner {
    /// Prunes at its interval until dropped; ends at once when that is switched off.
    pub async fn run(self, configuration: watch::Receiver<Arc<Snapshot>>) {
        let Some(every) = self.settings.every else { return };
        loop {
            self.clock.sleep_until(self.clock.now() + every).await;
            if let Err(error) = self.prune(&configuration).await {
                tracing::warn!(%error, "pruning was cut short; the next round does the rest");
            }
        }
    }

    async fn prune(&self, configuration: &watch::Receiver<Arc<Snapshot>>) -> EngineResult<()> {
        let containers = self.engine.prune(self.node.clone()).await?;
        let images = self.engine.images().await?;
        // Read after the list: what was put meanwhile is known by now.
        let registered = registered(&configuration.borrow());
        let mut removed = Vec::new();
        for image in images {
            let references: Vec<&String> = image.names.iter().chain(&image.digests).collect();
            let needed = |reference: &&String| registered.contains(&name::full(reference));
            if references.iter().any(needed) || registered.contains(&image.id) || !self.is_for_removal(&image)
            {
                continue;
            }
            if self.remove(&image).await? {
                removed.push(image.names.first().unwrap_or(&image.id).clone());
            }
        }
        if containers > 0 || !removed.is_empty() {
            let message = format!("pruned {containers} exited containers and {} images", removed.len());
            self.journal.record(Entry::new(Kind::Image, message).data("images", removed));
        }
        Ok(())
    }

    fn is_for_removal(&self, image: &Image) -> bool {
        let kept = |name: &String| {
            let full = name::full(name);
            let fits = |glob: &String| {
                [name.as_str(), &full, name::repository(name)].iter().any(|name| glob::matches(glob, name))
            };
            self.settings.keep.iter().any(fits)
        };
        image.names.is_empty() || (self.settings.unregistered && !image.names.iter().any(kept))
    }

    /// False when the engine refuses because a container uses it.
    async fn remove(&self, image: &Image) -> EngineResult<bool> {
        let mut references: Vec<String> = image.names.iter().chain(&image.digests).cloned().collect();
        if references.is_empty() {
            references.push(image.id.clone());
        }
        for reference in references {
            match self.engine.remove_image(reference).await {
                Ok(()) => {}
                Err(error @ EngineError::Unavailable { .. }) => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "left out of the pruning");
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Images of components in the form in which names are compared, of those that can't be parsed too.
fn registered(snapshot: &Snapshot) -> BTreeSet<String> {
    let images = snapshot.wire.components.iter().filter_map(|component| component.docker.as_ref());
    images.map(|docker| name::full(&docker.image)).collect()
}

#[cfg(test)]
mod tests {
    use maelstrom_core::ports::engine::ContainerSpec;

    use super::{
        super::testing::{World, component, snapshot, world},
        *,
    };

    fn pruner(world: &World, unregistered: bool, keep: &[&str]) -> Pruner {
        let keep = keep.iter().map(|&glob| glob.to_owned()).collect();
        world.pruner(PruneSettings { every: Some(Duration::from_secs(60)), unregistered, keep })
    }

    async fn left(world: &World) -> Vec<String> {
        let mut names: Vec<String> =
            world.engine.images().await.unwrap().into_iter().flat_map(|image| image.names).collect();
        names.sort();
        names
    }

    #[tokio::test(start_paused = true)]
    async fn untagged_images_go_and_named_ones_stay() {
        let world = world();
        world.engine.add_image("stray:1");
        let old = world.engine.add_image("web:1");
        world.engine.add_image("web:1");
        let (_sender, configuration) = watch::channel(snapshot([]));
        pruner(&world, false, &[]).prune(&configuration).await.unwrap();
        assert_eq!(left(&world).await, ["stray:1", "web:1"]);
        assert_eq!(world.engine.image_id(old).await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn images_of_no_component_go_unless_kept_or_used() {
        let world = world();
        for image in ["web", "stray:1", "base:1", "tools/build:2", "used:1"] {
            world.engine.add_image(image);
        }
        let web = component("web", "docker.io/library/web", |_| {});
        let spec = ContainerSpec {
            name: "other".into(),
            node: NodeId::new("other"),
            component: web.name.clone(),
            version: 1,
            environment: Vec::new(),
            docker: component("used", "used:1", |_| {}).docker.clone(),
        };
        world.engine.create(spec).await.unwrap();
        let (_sender, configuration) = watch::channel(snapshot([web]));
        pruner(&world, true, &["base", "tools/*"]).prune(&configuration).await.unwrap();
        assert_eq!(left(&world).await, ["base:1", "tools/build:2", "used:1", "web:latest"]);
    }

    #[tokio::test(start_paused = true)]
    async fn pruning_is_off_by_default_and_outlives_an_absent_engine() {
        let world = world();
        let (_sender, configuration) = watch::channel(snapshot([]));
        let off = world.pruner(PruneSettings::default()).run(configuration.clone());
        tokio::time::timeout(Duration::from_secs(1), off).await.unwrap();
        world.engine.add_image("stray:1");
        world.engine.go_away();
        let run = pruner(&world, true, &[]).run(configuration);
        let minutes = async {
            tokio::time::sleep(Duration::from_secs(90)).await;
            world.engine.come_back();
            tokio::time::sleep(Duration::from_secs(60)).await;
        };
        tokio::select! { () = run => {}, () = minutes => {} }
        assert!(left(&world).await.is_empty());
    }
}
