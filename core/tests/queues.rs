//! The queues and activities in memory keep the promises of their seams.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    activity_conformance,
    ports::{
        BoxFuture,
        activity::{Activities, Activity},
        queue::{Message, Queues},
    },
    queue_conformance,
    testing::{
        activity::MemoryActivities, activity_conformance, clock::SimulatedClock, queue::MemoryQueues,
        queue_conformance,
    },
};

struct InMemory {
    clock: SimulatedClock,
    queues: MemoryQueues,
    activities: MemoryActivities,
}

async fn in_memory() -> InMemory {
    let clock = SimulatedClock::new();
    let queues = MemoryQueues::new(Arc::new(clock.clone()));
    let activities = MemoryActivities::new(Arc::new(clock.clone()));
    InMemory { clock, queues, activities }
}

impl queue_conformance::Subject for InMemory {
    fn queues(&self) -> Arc<dyn Queues> {
        Arc::new(self.queues.clone())
    }

    fn prefix(&self) -> String {
        "p-".into()
    }

    fn create(&self, queue: String, redrive: Option<(String, u32)>) -> BoxFuture<'_, ()> {
        self.queues.create(&queue);
        if let Some((to, most)) = redrive {
            self.queues.set_redrive(&queue, &to, most);
        }
        Box::pin(std::future::ready(()))
    }

    fn send(&self, queue: String, message: Message) -> BoxFuture<'_, ()> {
        self.queues.send_message(&queue, message);
        Box::pin(std::future::ready(()))
    }

    fn pass(&self, time: Duration) -> BoxFuture<'_, ()> {
        self.clock.advance(time);
        Box::pin(std::future::ready(()))
    }
}

impl activity_conformance::Subject for InMemory {
    fn activities(&self) -> Arc<dyn Activities> {
        Arc::new(self.activities.clone())
    }

    fn name(&self) -> String {
        "activity".into()
    }

    fn start(&self, activity: Activity, input: String) -> BoxFuture<'_, String> {
        Box::pin(std::future::ready(self.activities.start(&activity.name, &input)))
    }

    fn end(&self, execution: String) -> BoxFuture<'_, Result<String, (String, String)>> {
        let ended = self.activities.progress(&execution).ended;
        Box::pin(std::future::ready(ended.expect("it has ended")))
    }
}

queue_conformance!(in_memory);
activity_conformance!(in_memory);
