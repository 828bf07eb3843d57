//! Which image each component's name points at now. An instance of another one is outdated, though its
//! component has not changed: somebody built or pulled a new image under the same tag.
//!
//! The engine's events wake it, a slow check repairs what they missed. While the engine is away, and for
//! a name that is gone, the last answer stands: nothing is replaced because of an absence.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt};
use maelstrom_core::{
    journal::Kind,
    ports::{
        clock::Clock,
        engine::{ContainerEngine, EngineEvent},
    },
};
use tokio::sync::watch;

use super::name;
use crate::{
    cluster::Snapshot,
    journal::{Entry, Journal},
};

/// Repairs lost events; an image's question takes the engine a millisecond.
const SLOW_CHECK: Duration = Duration::from_secs(60);

/// See the module.
pub struct Tags {
    engine: Arc<dyn ContainerEngine>,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    current: watch::Sender<Arc<BTreeMap<String, String>>>,
}

// === impl Tags ===

impl Tags {
    pub fn new(engine: Arc<dyn ContainerEngine>, journal: Arc<Journal>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { engine, journal, clock, current: watch::Sender::default() })
    }

    /// Content ids by image, as the components write it; images never seen on the node are left out.
    /// Follows every change.
    pub fn watch(&self) -> watch::Receiver<Arc<BTreeMap<String, String>>> {
        self.current.subscribe()
    }

    /// False when `image` is known to point at another image than `id`.
    pub fn is_current(&self, image: &str, id: &str) -> bool {
        self.current.borrow().get(image).is_none_or(|current| current == id)
    }

    /// Keeps the answers current until dropped.
    pub async fn run(self: Arc<Self>, mut configuration: watch::Receiver<Arc<Snapshot>>) {
        let mut events = self.engine.events();
        loop {
            let snapshot = configuration.borrow_and_update().clone();
            self.refresh(&snapshot).await;
            let slow = self.clock.sleep_until(self.clock.now() + SLOW_CHECK);
            let woken = async {
                loop {
                    match events.next().await {
                        Some(EngineEvent::ImageChanged { .. } | EngineEvent::Resubscribed) => return,
                        Some(_) => {}
                        None => std::future::pending().await,
                    }
                }
            };
            tokio::select! {
                () = woken => {}
                () = slow => {}
                changed = configuration.changed() => if changed.is_err() { return },
            }
            // One look answers all that has been told up to now.
            while let Some(Some(_)) = events.next().now_or_never() {}
        }
    }

    async fn refresh(&self, snapshot: &Snapshot) {
        let images: BTreeSet<&str> =
            snapshot.components.values().map(|component| component.docker.image.as_str()).collect();
        let mut next = BTreeMap::new();
        for image in images {
            let known = self.current.borrow().get(image).cloned();
            let answer = match self.engine.image_id(image.to_owned()).await {
                Ok(Some(id)) => Some(id),
                Ok(None) => known.clone(),
                Err(error) => {
                    tracing::debug!(image, %error, "whether the image changed is not known now");
                    known.clone()
                }
            };
            if let (Some(before), Some(now)) = (&known, &answer)
                && before != now
            {
                let entry = Entry::new(Kind::Image, format!("{image} is another image now"));
                self.journal.record(
                    entry.data("image", image).data("before", before.as_str()).data("now", now.as_str()),
                );
            }
            if let Some(id) = answer {
                next.insert(image.to_owned(), id);
            }
        }
        self.current.send_if_modified(|current| {
            let changes = **current != next;
            if changes {
                *current = Arc::new(next);
            }
            changes
        });
    }
}

/// Images of components in the form in which names are compared, of those that can't be parsed too.
pub(super) fn registered(snapshot: &Snapshot) -> BTreeSet<String> {
    let images = snapshot.wire.components.iter().filter_map(|component| component.docker.as_ref());
    images.map(|docker| name::full(&docker.image)).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{component, snapshot, world},
        *,
    };
    use crate::tasks::Tasks;

    #[tokio::test(start_paused = true)]
    async fn a_retag_is_seen_at_once_and_without_events_after_the_slow_check() {
        let world = world();
        let first = world.engine.add_image("web:1");
        let (_sender, receiver) = watch::channel(snapshot([component("web", "web:1", |_| {})]));
        let tags = world.tags();
        let mut watch = tags.watch();
        let tasks = Tasks::new();
        tasks.spawn_cancellable("tags", tags.clone().run(receiver));
        watch.wait_for(|current| current.get("web:1") == Some(&first)).await.unwrap();
        assert!(tags.is_current("web:1", &first) && tags.is_current("unknown", "sha256:0"));

        tokio::time::sleep(Duration::from_secs(1)).await;
        let second = world.engine.add_image("web:1");
        let soon = watch.wait_for(|current| current.get("web:1") == Some(&second));
        tokio::time::timeout(SLOW_CHECK / 2, soon).await.unwrap().unwrap();
        assert!(!tags.is_current("web:1", &first));

        world.engine.lose_events(true);
        let third = world.engine.add_image("web:1");
        let late = watch.wait_for(|current| current.get("web:1") == Some(&third));
        tokio::time::timeout(SLOW_CHECK * 2, late).await.unwrap().unwrap();
        tasks.stop(Duration::from_secs(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_absence_changes_nothing() {
        let world = world();
        let first = world.engine.add_image("web:1");
        let snapshot = snapshot([component("web", "web:1", |_| {})]);
        let tags = world.tags();
        tags.refresh(&snapshot).await;
        world.engine.go_away();
        tags.refresh(&snapshot).await;
        world.engine.come_back();
        world.engine.remove_image("web:1".into()).await.unwrap();
        tags.refresh(&snapshot).await;
        assert_eq!(tags.watch().borrow().get("web:1"), Some(&first));
    }
}
