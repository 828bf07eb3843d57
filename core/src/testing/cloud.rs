//! One autoscaling group in memory, with hooks that hold machines, and what its machines are told of
//! themselves. Clones share it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::json;

use crate::{
    lifecycle::{Action, Transition},
    ports::{
        BoxFuture,
        autoscaling::{
            Activity, ActivityState, Autoscaling, Group, Hook, Member, ScalingError, ScalingResult, Standing,
            Verdict,
        },
        clock::Clock,
        metadata::{Metadata, MetadataError, Notices},
    },
    time::{Moment, WallTime},
};

#[derive(Clone)]
pub struct MemoryCloud {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

struct State {
    group: Group,
    hooks: Vec<Hook>,
    /// By hook and machine: token, and when it is over by itself.
    open: BTreeMap<(String, String), (String, Moment)>,
    notices: BTreeMap<String, Notices>,
    /// Calls that fail from now on, by the name of the action in policies.
    failing: BTreeSet<&'static str>,
    /// Newest last.
    activities: Vec<Activity>,
    /// Why launches fail.
    barren: Option<String>,
    beats: u64,
    tokens: u64,
    machines: u64,
}

/// What one machine can ask.
pub struct MemoryMetadata {
    cloud: MemoryCloud,
    instance: String,
}

// === impl MemoryCloud ===

impl MemoryCloud {
    /// A group of at most `most` machines, of which there are none yet.
    pub fn new(clock: Arc<dyn Clock>, group: &str, most: u32) -> Self {
        let group = Group { name: group.to_owned(), most, ..Group::default() };
        let state = State {
            group,
            hooks: Vec::new(),
            open: BTreeMap::new(),
            notices: BTreeMap::new(),
            failing: BTreeSet::new(),
            activities: Vec::new(),
            barren: None,
            beats: 0,
            tokens: 0,
            machines: 0,
        };
        Self { clock, state: Arc::new(Mutex::new(state)) }
    }

    pub fn put_hook(&self, name: &str, transition: Transition, timeout: Duration) {
        self.state.lock().hooks.push(Hook { name: name.to_owned(), transition, timeout });
    }

    /// One more machine, held by the hooks for launches.
    pub fn launch(&self) -> String {
        let mut state = self.state.lock();
        state.group.desired += 1;
        state.launch(self.clock.now())
    }

    /// The machine is to go; what its hooks write into their queues.
    pub fn terminate(&self, instance: &str) -> Vec<String> {
        let mut state = self.state.lock();
        state.group.desired = state.group.desired.saturating_sub(1);
        state.terminate(instance, self.clock.now())
    }

    /// What the machine is told from now on.
    pub fn notice(&self, instance: &str, notices: Notices) {
        self.state.lock().notices.insert(instance.to_owned(), notices);
    }

    /// From now on calls with this name fail, or don't.
    pub fn set_failing(&self, action: &'static str, failing: bool) {
        let mut state = self.state.lock();
        match failing {
            true => state.failing.insert(action),
            false => state.failing.remove(action),
        };
    }

    /// From now on no machine can be launched, for this reason; or they can be again, and what is lacking is
    /// launched at once.
    pub fn fail_launches(&self, why: Option<&str>) {
        let mut state = self.state.lock();
        state.barren = why.map(str::to_owned);
        state.converge(self.clock.now(), self.clock.wall());
    }

    /// Signs of life so far.
    pub fn beats(&self) -> u64 {
        self.state.lock().beats
    }

    /// Hooks that hold the machine.
    pub fn held(&self, instance: &str) -> usize {
        let mut state = self.state.lock();
        state.expire(self.clock.now());
        state.open.keys().filter(|(_, held)| held == instance).count()
    }

    /// The state of a machine; `None`: it is gone.
    pub fn state_of(&self, instance: &str) -> Option<String> {
        let mut state = self.state.lock();
        state.expire(self.clock.now());
        state.group.members.iter().find(|member| member.instance == instance).map(|m| m.state.clone())
    }

    pub fn metadata(&self, instance: &str) -> MemoryMetadata {
        MemoryMetadata { cloud: self.clone(), instance: instance.to_owned() }
    }

    fn call<T>(
        &self,
        action: &'static str,
        resource: &str,
        act: impl FnOnce(&mut State, Moment) -> ScalingResult<T>,
    ) -> BoxFuture<'_, ScalingResult<T>>
    where
        T: Send + 'static,
    {
        let mut state = self.state.lock();
        let now = self.clock.now();
        state.expire(now);
        let done = match state.failing.contains(action) {
            true => {
                let reason = "a test wants it so".to_owned();
                Err(ScalingError::Denied { action, resource: resource.to_owned(), reason })
            }
            false => act(&mut state, now),
        };
        Box::pin(std::future::ready(done))
    }
}

// === impl State ===

impl State {
    fn launch(&mut self, now: Moment) -> String {
        self.machines += 1;
        let instance = format!("i-{:017}", self.machines);
        let held = self.hold(&instance, Transition::Launching, now);
        self.group.members.push(Member {
            instance: instance.clone(),
            group: self.group.name.clone(),
            state: if held.is_empty() { "InService" } else { "Pending:Wait" }.to_owned(),
            protected: false,
        });
        instance
    }

    fn terminate(&mut self, instance: &str, now: Moment) -> Vec<String> {
        let name = self.group.name.clone();
        self.open.retain(|(_, held), _| held != instance);
        let held = self.hold(instance, Transition::Terminating, now);
        match held.is_empty() {
            true => self.group.members.retain(|member| member.instance != instance),
            false => self.set_state(instance, "Terminating:Wait"),
        }
        let body = |(hook, token): (String, String)| {
            json!({
                "Origin": "AutoScalingGroup", "Destination": "EC2", "Service": "AWS Auto Scaling",
                "LifecycleHookName": hook, "AccountId": "000000000000", "RequestId": token,
                "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING", "AutoScalingGroupName": name,
                "Time": "2026-01-01T00:00:00.000Z", "EC2InstanceId": instance, "LifecycleActionToken": token,
            })
            .to_string()
        };
        held.into_iter().map(body).collect()
    }

    /// Opens the actions of all hooks for that way; their names and tokens.
    fn hold(&mut self, instance: &str, transition: Transition, now: Moment) -> Vec<(String, String)> {
        let hooks = self.hooks.iter().filter(|hook| hook.transition == transition);
        let mut held = Vec::new();
        for hook in hooks {
            self.tokens += 1;
            let token = format!("token-{}", self.tokens);
            self.open.insert((hook.name.clone(), instance.to_owned()), (token.clone(), now + hook.timeout));
            held.push((hook.name.clone(), token));
        }
        held
    }

    fn set_state(&mut self, instance: &str, to: &str) {
        if let Some(member) = self.group.members.iter_mut().find(|member| member.instance == instance) {
            to.clone_into(&mut member.state);
        }
    }

    fn expire(&mut self, now: Moment) {
        let over: Vec<(String, String)> =
            self.open.iter().filter(|(_, (_, until))| *until <= now).map(|(key, _)| key.clone()).collect();
        for (hook, instance) in over {
            self.open.remove(&(hook, instance.clone()));
            self.proceed(&instance);
        }
    }

    /// The machine goes on its way when nothing holds it any more.
    fn proceed(&mut self, instance: &str) {
        if self.open.keys().any(|(_, held)| held == instance) {
            return;
        }
        let state = self.group.members.iter().find(|member| member.instance == instance);
        match state.map(|member| member.state.as_str()) {
            Some("Pending:Wait") => self.set_state(instance, "InService"),
            Some("Terminating:Wait") => self.group.members.retain(|member| member.instance != instance),
            _ => {}
        }
    }

    fn key(&self, action: &Action) -> Option<(String, String)> {
        let key = (action.hook.clone(), action.instance.clone());
        let (token, _) = self.open.get(&key).filter(|_| action.group == self.group.name)?;
        action.token.as_ref().is_none_or(|given| given == token).then_some(key)
    }

    fn beat(&mut self, action: &Action, now: Moment) -> Standing {
        let Some(key) = self.key(action) else { return Standing::Over };
        let timeout = self.hooks.iter().find(|hook| hook.name == action.hook).map(|hook| hook.timeout);
        if let (Some((_, until)), Some(timeout)) = (self.open.get_mut(&key), timeout) {
            *until = now + timeout;
        }
        self.beats += 1;
        Standing::Open
    }

    fn complete(&mut self, action: &Action) -> Standing {
        if let Some(key) = self.key(action) {
            self.open.remove(&key);
            self.proceed(&action.instance);
        }
        Standing::Over
    }

    fn set_desired(&mut self, desired: u32, now: Moment, wall: WallTime) -> ScalingResult<()> {
        let Group { least, most, .. } = self.group;
        if !(least..=most).contains(&desired) {
            return Err(ScalingError::Refused {
                action: "autoscaling:SetDesiredCapacity",
                resource: self.group.name.clone(),
                reason: format!("{desired} is not between {least} and {most}"),
            });
        }
        self.group.desired = desired;
        self.converge(now, wall);
        Ok(())
    }

    /// Launches what is lacking.
    fn converge(&mut self, now: Moment, wall: WallTime) {
        let count = self.group.members.iter().filter(|member| member.counts()).count();
        for _ in count..self.group.desired as usize {
            let (state, reason) = match self.barren.clone() {
                Some(why) => (ActivityState::Failed, why),
                None => (ActivityState::Done, String::new()),
            };
            let what = match state {
                ActivityState::Done => format!("Launching a new EC2 instance: {}", self.launch(now)),
                _ => "Launching a new EC2 instance".to_owned(),
            };
            self.activities.push(Activity { began: wall, state, what, reason });
        }
    }
}

impl Autoscaling for MemoryCloud {
    fn member(&self, instance: String) -> BoxFuture<'_, ScalingResult<Option<Member>>> {
        self.call("autoscaling:DescribeAutoScalingInstances", &instance, |state, _| {
            Ok(state.group.members.iter().find(|member| member.instance == instance).cloned())
        })
    }

    fn group(&self, group: String) -> BoxFuture<'_, ScalingResult<Option<Group>>> {
        self.call("autoscaling:DescribeAutoScalingGroups", &group, |state, _| {
            Ok((state.group.name == group).then(|| state.group.clone()))
        })
    }

    fn hooks(&self, group: String) -> BoxFuture<'_, ScalingResult<Vec<Hook>>> {
        self.call("autoscaling:DescribeLifecycleHooks", &group, |state, _| Ok(state.hooks.clone()))
    }

    fn activities(&self, group: String) -> BoxFuture<'_, ScalingResult<Vec<Activity>>> {
        self.call("autoscaling:DescribeScalingActivities", &group, |state, _| {
            Ok(state.activities.iter().rev().cloned().collect())
        })
    }

    fn beat(&self, action: Action) -> BoxFuture<'_, ScalingResult<Standing>> {
        let resource = action.to_string();
        self.call("autoscaling:RecordLifecycleActionHeartbeat", &resource, |state, now| {
            Ok(state.beat(&action, now))
        })
    }

    fn complete(&self, action: Action, _: Verdict) -> BoxFuture<'_, ScalingResult<Standing>> {
        let resource = action.to_string();
        self.call("autoscaling:CompleteLifecycleAction", &resource, |state, _| Ok(state.complete(&action)))
    }

    fn set_desired(&self, group: String, desired: u32) -> BoxFuture<'_, ScalingResult<()>> {
        let wall = self.clock.wall();
        self.call("autoscaling:SetDesiredCapacity", &group, |state, now| {
            state.set_desired(desired, now, wall)
        })
    }

    fn remove(&self, instance: String) -> BoxFuture<'_, ScalingResult<()>> {
        self.call("autoscaling:TerminateInstanceInAutoScalingGroup", &instance, |state, now| {
            state.group.desired = state.group.desired.saturating_sub(1);
            state.terminate(&instance, now);
            Ok(())
        })
    }
}

impl Metadata for MemoryMetadata {
    fn instance(&self) -> BoxFuture<'_, Result<String, MetadataError>> {
        Box::pin(std::future::ready(Ok(self.instance.clone())))
    }

    fn notices(&self) -> BoxFuture<'_, Result<Notices, MetadataError>> {
        let notices = self.cloud.state.lock().notices.get(&self.instance).cloned();
        Box::pin(std::future::ready(Ok(notices.unwrap_or_default())))
    }
}
