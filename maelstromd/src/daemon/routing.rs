//! Keeps the router at the newest configuration: at once for changes made on this node, so that a client
//! finds what it put, and as they are seen for changes by others.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{cluster::ConfigurationCache, router::Router};

/// See the module.
pub(super) struct Routing {
    configuration: Arc<ConfigurationCache>,
    router: Arc<Router>,
    /// The newest configuration is read under it, so that an older one can't replace it.
    order: Mutex<()>,
}

// === impl Routing ===

impl Routing {
    pub(super) fn new(configuration: Arc<ConfigurationCache>, router: Arc<Router>) -> Arc<Self> {
        let routing = Arc::new(Self { configuration, router, order: Mutex::default() });
        routing.put_in_place();
        routing
    }

    /// Routes by the newest configuration from now on.
    pub(super) fn put_in_place(&self) {
        let _order = self.order.lock();
        self.router.configure(&self.configuration.current());
    }

    /// Follows changes until `token` fires.
    pub(super) async fn run(self: Arc<Self>, token: CancellationToken) {
        let mut changes = self.configuration.subscribe();
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
            changes.mark_unchanged();
            self.put_in_place();
        }
    }
}
