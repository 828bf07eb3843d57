//! The group in memory keeps the promises of its seam.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    autoscaling_conformance,
    lifecycle::{Action, Transition},
    ports::{
        BoxFuture,
        autoscaling::{Autoscaling, Standing},
    },
    testing::{
        autoscaling_conformance::{HOOK, Subject, TIMEOUT},
        clock::SimulatedClock,
        cloud::MemoryCloud,
    },
};

struct InMemory(MemoryCloud);

async fn in_memory() -> InMemory {
    let cloud = MemoryCloud::new(Arc::new(SimulatedClock::new()), "web", 4);
    cloud.put_hook(HOOK, Transition::Terminating, TIMEOUT);
    cloud.launch();
    cloud.launch();
    InMemory(cloud)
}

impl Subject for InMemory {
    fn scaling(&self) -> Arc<dyn Autoscaling> {
        Arc::new(self.0.clone())
    }

    fn group(&self) -> String {
        "web".into()
    }

    fn terminate(&self, instance: String) -> BoxFuture<'_, ()> {
        self.0.terminate(&instance);
        Box::pin(std::future::ready(()))
    }

    fn fail_launches(&self, why: &'static str) -> BoxFuture<'_, ()> {
        self.0.fail_launches(Some(why));
        Box::pin(std::future::ready(()))
    }
}

autoscaling_conformance!(in_memory);

#[tokio::test]
async fn an_action_without_signs_of_life_is_over_after_its_time() {
    let clock = SimulatedClock::new();
    let cloud = MemoryCloud::new(Arc::new(clock.clone()), "web", 4);
    cloud.put_hook(HOOK, Transition::Terminating, TIMEOUT);
    let instance = cloud.launch();
    cloud.terminate(&instance);
    let action = Action { group: "web".into(), hook: HOOK.into(), instance: instance.clone(), token: None };
    for _ in 0..5 {
        clock.advance(Duration::from_secs(50));
        assert_eq!(cloud.beat(action.clone()).await, Ok(Standing::Open));
    }
    clock.advance(Duration::from_secs(61));
    assert_eq!((cloud.held(&instance), cloud.state_of(&instance)), (0, None));
    assert_eq!(cloud.beat(action).await, Ok(Standing::Over));
}
