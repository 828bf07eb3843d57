//! Event sources: what turns an outside event into an HTTP request to a component.
//!
//! Each of them
//! * acts only in its role, and makes the outside remember what it has begun before it begins;
//! * sends its requests by [`Dispatch`], so that queue, deadline and header rules are those of any request;
//! * limits what it has in flight, and at shutdown begins nothing new and awaits what runs;
//! * tells the journal what came of each event, with the source's name.

mod activities;
mod base64;
mod complaints;
pub mod cron;
mod exchange;
mod pollers;
mod sqs;
#[cfg(test)]
mod testing;
mod trial;

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use maelstrom_core::{
    names::ComponentName,
    ports::{BoxFuture, activity::Activities, queue::Queues},
};

use self::{activities::StepFunctions, complaints::Complaints, sqs::Sqs};
pub use self::{
    pollers::{Around, NodeAndPeers, Pollers, PollersParts, Serving},
    trial::{TrialError, Trials},
};
use crate::{
    gateway::{Body, Gateway},
    journal::Journal,
};

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

/// The gateway, for those that are there before it and are part of what it serves.
#[derive(Clone, Debug, Default)]
pub struct LaterGateway(Arc<OnceLock<Weak<Gateway>>>);

impl LaterGateway {
    /// From now on it is there. Only the first one counts.
    pub fn is(&self, gateway: &Arc<Gateway>) {
        self.0.get_or_init(|| Arc::downgrade(gateway));
    }
}

impl Dispatch for LaterGateway {
    fn call<'a>(
        &'a self,
        component: &'a ComponentName,
        request: Request<Full<Bytes>>,
    ) -> BoxFuture<'a, Response<Body>> {
        Box::pin(async move {
            match self.0.get().and_then(Weak::upgrade) {
                Some(gateway) => gateway.call(component, request).await,
                None => {
                    let mut response =
                        Response::new(Body::full(Bytes::from_static(b"the node starts or ends")));
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    response
                }
            }
        })
    }
}

/// The pollers of queues and activities. Nothing is polled yet.
pub fn pollers(
    parts: PollersParts,
    queues: Arc<dyn Queues>,
    activities: Arc<dyn Activities>,
    dispatch: &Arc<dyn Dispatch>,
    journal: &Arc<Journal>,
) -> Arc<Pollers> {
    let clock = parts.clock.clone();
    let sqs = Sqs::new(queues, dispatch.clone(), journal.clone(), clock.clone());
    let step_functions = StepFunctions {
        node: parts.node.clone(),
        activities,
        dispatch: dispatch.clone(),
        journal: journal.clone(),
        clock,
        complaints: Complaints::default(),
    };
    Arc::new(Pollers::new(parts, Arc::new(sqs), Arc::new(step_functions)))
}
