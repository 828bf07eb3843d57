//! Activities in memory: tasks that a test hands out, how each ended, and trouble on demand. Clones share
//! them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    ports::{
        BoxFuture,
        activity::{Activities, Activity, ActivityError, ActivityResult, TASK_WAIT, Task},
        clock::Clock,
    },
    time::Moment,
};

/// How often a call that waits looks again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[derive(Clone)]
pub struct MemoryActivities {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<String, VecDeque<Task>>,
    tasks: BTreeMap<String, Progress>,
    trouble: Option<ActivityError>,
    handed_out: u64,
}

/// What became of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub taken_at: Option<Moment>,
    pub heartbeats: Vec<Moment>,
    /// Output, or error and cause.
    pub ended: Option<Result<String, (String, String)>>,
    /// Its state machine has given it up.
    pub given_up: bool,
}

// === impl MemoryActivities ===

impl MemoryActivities {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default() }
    }

    /// Hands out a task; returns its token.
    pub fn start(&self, activity: &str, input: &str) -> String {
        let mut state = self.state.lock();
        state.handed_out += 1;
        let token = format!("token-{}", state.handed_out);
        state.tasks.insert(token.clone(), Progress::default());
        let task = Task { token: token.clone(), input: input.to_owned() };
        state.waiting.entry(activity.to_owned()).or_default().push_back(task);
        token
    }

    /// Its time is over.
    pub fn give_up(&self, token: &str) {
        if let Some(task) = self.state.lock().tasks.get_mut(token) {
            task.given_up = true;
        }
    }

    pub fn progress(&self, token: &str) -> Progress {
        self.state.lock().tasks.get(token).cloned().unwrap_or_default()
    }

    pub fn exists(&self, activity: &str) -> bool {
        self.state.lock().waiting.contains_key(activity)
    }

    /// From now on each call fails so; `None`: no more.
    pub fn set_trouble(&self, trouble: Option<ActivityError>) {
        self.state.lock().trouble = trouble;
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> ActivityResult<T>) -> ActivityResult<T> {
        let mut state = self.state.lock();
        match &state.trouble {
            Some(trouble) => Err(trouble.clone()),
            None => act(&mut state),
        }
    }

    fn about(&self, token: &str, act: impl FnOnce(&mut Progress)) -> ActivityResult<()> {
        self.with(|state| match state.tasks.get_mut(token) {
            Some(task) if !task.given_up && task.ended.is_none() => {
                act(task);
                Ok(())
            }
            _ => Err(ActivityError::TaskGone),
        })
    }
}

impl Activities for MemoryActivities {
    fn find_or_create(&self, name: String) -> BoxFuture<'_, ActivityResult<Activity>> {
        Box::pin(std::future::ready(self.with(|state| {
            state.waiting.entry(name.clone()).or_default();
            Ok(Activity { arn: format!("arn:aws:states:test:1:activity:{name}"), name })
        })))
    }

    fn next_task(&self, activity: Activity, _worker: String) -> BoxFuture<'_, ActivityResult<Option<Task>>> {
        Box::pin(async move {
            let end = self.clock.now() + TASK_WAIT;
            loop {
                let now = self.clock.now();
                let task = self.with(|state| {
                    let Some(waiting) = state.waiting.get_mut(&activity.name) else {
                        return Err(ActivityError::NoSuchActivity { activity: activity.name.clone() });
                    };
                    let task = waiting.pop_front();
                    if let Some(progress) = task.as_ref().and_then(|task| state.tasks.get_mut(&task.token)) {
                        progress.taken_at = Some(now);
                    }
                    Ok(task)
                })?;
                if task.is_some() || now >= end {
                    return Ok(task);
                }
                self.clock.sleep_until((now + LOOK_EVERY).min(end)).await;
            }
        })
    }

    fn heartbeat(&self, _activity: Activity, token: String) -> BoxFuture<'_, ActivityResult<()>> {
        let now = self.clock.now();
        Box::pin(std::future::ready(self.about(&token, |task| task.heartbeats.push(now))))
    }

    fn succeed(
        &self,
        _activity: Activity,
        token: String,
        output: String,
    ) -> BoxFuture<'_, ActivityResult<()>> {
        Box::pin(std::future::ready(self.about(&token, |task| task.ended = Some(Ok(output)))))
    }

    fn fail(
        &self,
        _activity: Activity,
        token: String,
        error: String,
        cause: String,
    ) -> BoxFuture<'_, ActivityResult<()>> {
        Box::pin(std::future::ready(self.about(&token, |task| task.ended = Some(Err((error, cause))))))
    }
}
