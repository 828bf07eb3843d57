//! Event sources: what turns an outside event into an HTTP request to a component.
//!
//! Each of them
//! * acts only in its role, and makes the outside remember what it has begun before it begins;
//! * sends its requests by [`Dispatch`], so that queue, deadline and header rules are those of any request;
//! * limits what it has in flight, and at shutdown begins nothing new and awaits what runs;
//! * tells the journal what came of each event, with the source's name.

pub mod cron;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use maelstrom_core::{names::ComponentName, ports::BoxFuture};

use crate::gateway::{Body, Gateway};

/// The private gateway's own path, as event sources see it.
pub trait Dispatch: Send + Sync {
    /// Ends by the component's deadline at the latest; whatever goes wrong is a status.
    fn call<'a>(
        &'a self,
        component: &'a ComponentName,
        request: Request<Full<Bytes>>,
    ) -> BoxFuture<'a, Response<Body>>;
}

impl Dispatch for Gateway {
    fn call<'a>(
        &'a self,
        component: &'a ComponentName,
        request: Request<Full<Bytes>>,
    ) -> BoxFuture<'a, Response<Body>> {
        Box::pin(Gateway::call(self, component, request))
    }
}
