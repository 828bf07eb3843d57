//! The state of the engine in memory: a plain value with no lock and no time of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    task::Waker,
    time::Duration,
};

use crate::{
    names::InstanceId,
    ports::engine::*,
    time::{Moment, WallTime},
};

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Ping,
    Create,
    Start,
    Stop,
    Remove,
    Pause,
    Unpause,
    Inspect,
    List,
    Exec,
    Pull,
    ImageId,
    Images,
    RemoveImage,
    Prune,
}

/// One call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub operation: Operation,
    /// The container, image or node it was about.
    pub subject: String,
    pub at: Moment,
}

/// How long calls take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    pub create: Duration,
    pub start: Duration,
    pub stop: Duration,
    pub remove: Duration,
    pub pause: Duration,
    pub unpause: Duration,
    pub exec: Duration,
    pub pull: Duration,
}

/// How the containers of an image behave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageBehaviour {
    /// The engine can't start it, as with an entrypoint that doesn't exist.
    pub start_refused: Option<String>,
    /// Ends with this code as soon as it is started.
    pub exits_at_once: Option<i64>,
    /// Ends only by SIGKILL, after the grace.
    pub ignores_term: bool,
    /// What commands run inside answer; `None`: nothing, with code 0.
    pub exec: Option<ExecOutput>,
    /// Written at each start.
    pub prints: Vec<LogLine>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) available: bool,
    /// Counts how often the event streams were cut.
    pub(super) generation: u64,
    pub(super) generation_begins_at: usize,
    pub(super) events: Vec<EngineEvent>,
    pub(super) losing_events: bool,
    pub(super) delays: Delays,
    pub(super) failures: Vec<(Operation, EngineError)>,
    pub(super) calls: Vec<Call>,
    pub(super) watchers: Vec<Waker>,
    containers: BTreeMap<InstanceId, Made>,
    images: BTreeMap<String, BTreeSet<String>>,
    registry: BTreeMap<String, Published>,
    behaviours: BTreeMap<String, ImageBehaviour>,
    containers_made: u64,
    images_made: u64,
}

#[derive(Debug)]
struct Made {
    container: Container,
    spec: ContainerSpec,
    /// With the Unix second of each line.
    lines: Vec<(i64, LogLine)>,
}

#[derive(Clone, Debug)]
struct Published {
    id: String,
    credentials: Option<(String, String)>,
}

// === impl World ===

impl Default for World {
    fn default() -> Self {
        Self {
            available: true,
            generation: 1,
            generation_begins_at: 0,
            events: Vec::new(),
            losing_events: false,
            delays: Delays::default(),
            failures: Vec::new(),
            calls: Vec::new(),
            watchers: Vec::new(),
            containers: BTreeMap::new(),
            images: BTreeMap::new(),
            registry: BTreeMap::new(),
            behaviours: BTreeMap::new(),
            containers_made: 0,
            images_made: 0,
        }
    }
}

/// Containers.
impl World {
    pub(super) fn create(&mut self, spec: ContainerSpec) -> EngineResult<InstanceId> {
        let image = &spec.docker.image;
        let image_id = self.image_id(image).ok_or_else(|| EngineError::ImageMissing {
            image: image.clone(),
            reason: "no such image".into(),
        })?;
        if self.containers.values().any(|made| made.container.name == spec.name) {
            let reason = format!("the name {} is in use", spec.name);
            return Err(EngineError::Refused { action: "creating a container".into(), reason });
        }
        self.containers_made += 1;
        let id = InstanceId::new(format!("{:064x}", self.containers_made));
        let mut labels = vec![
            (LABEL_NODE, spec.node.to_string()),
            (LABEL_COMPONENT, spec.component.to_string()),
            (LABEL_VERSION, spec.version.to_string()),
        ];
        if spec.docker.log_driver.as_deref() == Some(LOG_INTO_DAEMON) {
            labels.push((LABEL_LOG, LOG_INTO_DAEMON.to_owned()));
        }
        let container = Container {
            id: id.clone(),
            name: spec.name.clone(),
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            state: ContainerState::Created,
            image_id,
            address: None,
            pid: None,
            started_at: 0,
        };
        self.containers.insert(id.clone(), Made { container, spec, lines: Vec::new() });
        Ok(id)
    }

    /// Runs it; `Ok(false)` when it runs already.
    pub(super) fn start(&mut self, id: &InstanceId, wall: WallTime) -> EngineResult<bool> {
        let behaviour = self.behaviour(id);
        let made = self.made(id)?;
        match made.container.state {
            ContainerState::Running => return Ok(false),
            ContainerState::Paused | ContainerState::Gone => {
                return Err(refused("starting", id, "it is paused or being removed"));
            }
            ContainerState::Created | ContainerState::Exited { .. } => {}
        }
        if let Some(reason) = behaviour.start_refused {
            return Err(refused("starting", id, &reason));
        }
        made.container.state = ContainerState::Running;
        made.container.address = Some(address(id));
        made.container.started_at = wall.as_millis();
        let second = wall.as_millis().div_euclid(1_000);
        made.lines.extend(behaviour.prints.into_iter().map(|line| (second, line)));
        if let Some(code) = behaviour.exits_at_once {
            self.end(id, code, false);
        }
        Ok(true)
    }

    /// Ends its processes; false when there were none.
    pub(super) fn end(&mut self, id: &InstanceId, code: i64, oom_killed: bool) -> bool {
        let Some(made) = self.containers.get_mut(id) else { return false };
        if !is_up(&made.container) {
            return false;
        }
        made.container.state = ContainerState::Exited { code, oom_killed };
        made.container.address = None;
        if oom_killed {
            self.emit(EngineEvent::OutOfMemory { id: id.clone() });
        }
        self.emit(EngineEvent::Died { id: id.clone(), exit_code: Some(code) });
        true
    }

    /// Moves it between running and paused; false when it is there already.
    pub(super) fn set_paused(&mut self, id: &InstanceId, paused: bool) -> EngineResult<bool> {
        let made = self.made(id)?;
        let wanted = if paused { ContainerState::Paused } else { ContainerState::Running };
        if !is_up(&made.container) {
            let action = if paused { "pausing" } else { "unpausing" };
            return Err(refused(action, id, "it is not running"));
        }
        let changes = made.container.state != wanted;
        made.container.state = wanted;
        Ok(changes)
    }

    pub(super) fn remove(&mut self, id: &InstanceId) {
        self.end(id, 137, false);
        self.containers.remove(id);
    }

    pub(super) fn container(&self, id: &InstanceId) -> EngineResult<Container> {
        self.containers.get(id).map(|made| made.container.clone()).ok_or_else(|| missing(id))
    }

    pub(super) fn containers(&self) -> Vec<Container> {
        self.containers.values().map(|made| made.container.clone()).collect()
    }

    pub(super) fn spec(&self, id: &InstanceId) -> Option<ContainerSpec> {
        self.containers.get(id).map(|made| made.spec.clone())
    }

    pub(super) fn behaviour(&self, id: &InstanceId) -> ImageBehaviour {
        let image = self.containers.get(id).map(|made| full_name(&made.spec.docker.image));
        image.and_then(|image| self.behaviours.get(&image).cloned()).unwrap_or_default()
    }

    pub(super) fn write(&mut self, id: &InstanceId, second: i64, line: LogLine) {
        if let Some(made) = self.containers.get_mut(id) {
            made.lines.push((second, line));
        }
    }

    pub(super) fn lines(&self, id: &InstanceId) -> EngineResult<&[(i64, LogLine)]> {
        self.containers.get(id).map(|made| made.lines.as_slice()).ok_or_else(|| missing(id))
    }

    fn made(&mut self, id: &InstanceId) -> EngineResult<&mut Made> {
        self.containers.get_mut(id).ok_or_else(|| missing(id))
    }
}

/// Images.
impl World {
    pub(super) fn tag_new(&mut self, name: &str) -> String {
        let id = self.new_image_id();
        self.tag(name, &id);
        id
    }

    pub(super) fn publish(&mut self, name: &str, credentials: Option<(String, String)>) -> String {
        let id = self.new_image_id();
        self.registry.insert(full_name(name), Published { id: id.clone(), credentials });
        id
    }

    pub(super) fn pull(&mut self, name: &str, given: Option<(String, String)>) -> EngineResult<()> {
        let failed = |reason: &str| EngineError::ImageMissing { image: name.into(), reason: reason.into() };
        let published =
            self.registry.get(&full_name(name)).cloned().ok_or_else(|| failed("manifest unknown"))?;
        if published.credentials.is_some() && published.credentials != given {
            return Err(failed("unauthorized: authentication required"));
        }
        if self.image_id(name).as_ref() != Some(&published.id) {
            self.tag(name, &published.id);
        }
        Ok(())
    }

    pub(super) fn image_id(&self, image: &str) -> Option<String> {
        let name = full_name(image);
        let found = self.images.iter().find(|(id, names)| *id == image || names.contains(&name));
        found.map(|(id, _)| id.clone())
    }

    pub(super) fn images(&self) -> Vec<Image> {
        let image = |(id, names): (&String, &BTreeSet<String>)| Image {
            id: id.clone(),
            names: names.iter().cloned().collect(),
            digests: Vec::new(),
        };
        self.images.iter().map(image).collect()
    }

    pub(super) fn remove_image(&mut self, image: &str) -> EngineResult<()> {
        let Some(id) = self.image_id(image) else { return Ok(()) };
        if self.containers.values().any(|made| made.container.image_id == id) {
            let reason = "a container uses it".into();
            return Err(EngineError::Refused { action: format!("removing image {image}"), reason });
        }
        let names = self.images.entry(id.clone()).or_default();
        names.remove(&full_name(image));
        if names.is_empty() || image == id {
            self.images.remove(&id);
        }
        self.emit(EngineEvent::ImageChanged { image: image.to_owned() });
        Ok(())
    }

    pub(super) fn behave(&mut self, image: &str, behaviour: ImageBehaviour) {
        self.behaviours.insert(full_name(image), behaviour);
    }

    fn tag(&mut self, name: &str, id: &str) {
        let name = full_name(name);
        for names in self.images.values_mut() {
            names.remove(&name);
        }
        self.images.entry(id.to_owned()).or_default().insert(name.clone());
        self.emit(EngineEvent::ImageChanged { image: name });
    }

    fn new_image_id(&mut self) -> String {
        self.images_made += 1;
        format!("sha256:{:064x}", self.images_made)
    }
}

/// Events and faults.
impl World {
    pub(super) fn emit(&mut self, event: EngineEvent) {
        if self.available && !self.losing_events {
            self.events.push(event);
        }
    }

    pub(super) fn come_back(&mut self) {
        if !self.available {
            self.available = true;
            self.generation += 1;
            self.generation_begins_at = self.events.len();
        }
    }

    pub(super) fn check_available(&self) -> EngineResult<()> {
        if self.available {
            return Ok(());
        }
        Err(EngineError::Unavailable { reason: "connection refused".into() })
    }

    /// Notes the call; fails as the test asked for.
    pub(super) fn enter(&mut self, operation: Operation, subject: &str, at: Moment) -> EngineResult<()> {
        self.calls.push(Call { operation, subject: subject.to_owned(), at });
        self.check_available()?;
        match self.failures.iter().position(|(failing, _)| *failing == operation) {
            Some(index) => Err(self.failures.remove(index).1),
            None => Ok(()),
        }
    }
}

pub(super) fn is_up(container: &Container) -> bool {
    matches!(container.state, ContainerState::Running | ContainerState::Paused)
}

pub(super) fn refused(action: &str, id: &InstanceId, reason: &str) -> EngineError {
    EngineError::Refused { action: format!("{action} container {id}"), reason: reason.to_owned() }
}

fn missing(id: &InstanceId) -> EngineError {
    EngineError::NoSuchContainer { id: id.clone() }
}

/// The name with its tag, `latest` when it has none.
fn full_name(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains([':', '@']) { name.to_owned() } else { format!("{name}:latest") }
}

/// One loopback address for each container: all of 127/8 is this host on Linux.
fn address(id: &InstanceId) -> IpAddr {
    let serial = u32::from_str_radix(id.as_str(), 16).unwrap_or_default();
    let [_, _, high, low] = serial.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low).into()
}
