mod launches;
mod traffic;

use std::collections::BTreeMap;

use super::*;
use crate::{
    names::ComponentName,
    ports::autoscaling::{ActivityState, Member},
};

const SETTINGS: Settings = Settings { headroom_mib: 0, removals_per_hour: 6 };
const SIZE: u64 = 1_000;

fn at(seconds: u64) -> Moment {
    Moment::from_millis(1_000_000 + seconds * 1_000)
}

fn web(count: u32) -> Wanted {
    Wanted {
        component: ComponentName::parse("web").unwrap(),
        count,
        min_instances: 1,
        max_per_node: None,
        reserve_memory_mib: 250,
    }
}

fn machine(index: usize, web: u32) -> Machine {
    Machine {
        view: NodeView {
            id: NodeId::new(format!("n{index}")),
            version: 1,
            total_memory_mib: SIZE,
            other_memory_mib: 0,
            targets: BTreeMap::from([(ComponentName::parse("web").unwrap(), web)]),
            standby: BTreeMap::new(),
            draining: false,
            load: 0.0,
        },
        instance: Some(format!("i-{index}")),
        leaving: Leaving::Stays,
    }
}

fn group(least: u32, most: u32, members: usize) -> Group {
    let member = |index: usize| Member {
        instance: format!("i-{index}"),
        group: "web".into(),
        state: "InService".into(),
        protected: true,
    };
    Group {
        name: "web".into(),
        least,
        most,
        desired: u32::try_from(members).unwrap(),
        members: (0..members).map(member).collect(),
    }
}

/// The fewest machines that have room for so many instances.
fn needed(web: u32) -> u32 {
    web.div_ceil(4)
}

fn wall(now: Moment) -> WallTime {
    WallTime::from_millis(0) + now.since(Moment::ZERO)
}

/// The last launch.
fn activity(barren: Option<&str>, now: Moment) -> Activity {
    let state = if barren.is_some() { ActivityState::Failed } else { ActivityState::Done };
    let reason = barren.unwrap_or_default().to_owned();
    Activity { began: wall(now), state, what: "Launching a new EC2 instance".into(), reason }
}

/// A group that does what it is asked for, after a while, and a cluster that places at once.
struct World {
    capacity: Capacity,
    group: Group,
    machines: Vec<Machine>,
    /// When machines become nodes.
    launches: Vec<Moment>,
    wanted: u32,
    deploying: bool,
    steps: Vec<(Moment, Step)>,
    next: usize,
    /// Why no machine can be launched.
    barren: Option<&'static str>,
    looks: Vec<Moment>,
    told: Vec<Launches>,
}

impl World {
    fn new(least: u32, most: u32, machines: usize, wanted: u32) -> Self {
        let mut world = Self {
            capacity: Capacity::new(SETTINGS),
            group: group(least, most, machines),
            machines: (0..machines).map(|index| machine(index, 0)).collect(),
            launches: Vec::new(),
            wanted,
            deploying: false,
            steps: Vec::new(),
            next: machines,
            barren: None,
            looks: Vec::new(),
            told: Vec::new(),
        };
        world.place();
        world
    }

    /// Like the scheduler: what fits is placed, what drains is emptied.
    fn place(&mut self) {
        let views: Vec<NodeView> = self.machines.iter().map(|machine| machine.view.clone()).collect();
        for change in crate::decide::placement::place(&views, &[web(self.wanted)]).changes {
            let machine = self.machines.iter_mut().find(|machine| machine.view.id == change.node).unwrap();
            machine.view.targets.insert(change.component, change.to);
        }
        for machine in &mut self.machines {
            if let Leaving::Surplus { empty } = &mut machine.leaving {
                *empty = machine.view.targets.values().all(|count| *count == 0);
            }
        }
    }

    fn tick(&mut self, now: Moment) {
        while self.launches.first().is_some_and(|due| *due <= now) {
            self.launches.remove(0);
            self.machines.push(machine(self.next, 0));
            self.next += 1;
        }
        self.launch(now);
        self.place();
        let wanted = [web(self.wanted)];
        let view =
            View { group: &self.group, machines: &self.machines, wanted: &wanted, deploying: self.deploying };
        let decided = self.capacity.tick(view, now);
        self.told.extend(self.capacity.settled());
        let Some((step, why)) = decided else { return };
        assert!(!why.is_empty(), "{step:?}");
        match &step {
            Step::Raise { to } => {
                assert!(*to > self.group.desired, "{step:?} of {}", self.group.desired);
                assert_eq!(
                    *to,
                    needed(self.wanted).min(self.group.most),
                    "not what is needed: {}",
                    self.wanted
                );
                self.group.desired = *to;
                self.launch(now);
            }
            Step::Look => {
                let activities = [activity(self.barren, now)];
                self.looks.push(now);
                self.told.extend(self.capacity.looked(&activities, now, wall(now)));
                return;
            }
            Step::Drain { node } => self.leave(node, Leaving::Surplus { empty: false }),
            Step::Undrain { node } => self.leave(node, Leaving::Stays),
            Step::Remove { node, instance } => {
                assert!(self.group.desired > self.group.least, "below the minimum");
                assert!(!self.deploying, "while a deploy runs");
                self.group.desired -= 1;
                self.group.members.retain(|member| member.instance != *instance);
                let gone = self.machines.iter().position(|machine| machine.view.id == *node).unwrap();
                let gone = self.machines.remove(gone);
                assert!(gone.view.targets.values().all(|count| *count == 0), "it was not empty");
            }
        }
        self.steps.push((now, step));
    }

    /// What the group does by itself.
    fn launch(&mut self, now: Moment) {
        let missing = self.group.desired - u32::try_from(self.group.members.len()).unwrap();
        for _ in 0..if self.barren.is_some() { 0 } else { missing } {
            self.launches.push(now + Duration::from_secs(90));
            let base = self.next + self.launches.len() - 1;
            self.group.members.push(Member {
                instance: format!("i-{base}"),
                group: "web".into(),
                state: "Pending".into(),
                protected: true,
            });
        }
    }

    fn leave(&mut self, node: &NodeId, leaving: Leaving) {
        let machine = self.machines.iter_mut().find(|machine| machine.view.id == *node).unwrap();
        machine.leaving = leaving;
        machine.view.draining = leaving != Leaving::Stays;
    }

    fn run(&mut self, from: u64, to: u64, wanted: impl Fn(u64) -> u32) {
        for second in from..to {
            self.wanted = wanted(second);
            self.tick(at(second));
        }
    }

    fn count(&self, what: impl Fn(&Step) -> bool) -> usize {
        self.steps.iter().filter(|(_, step)| what(step)).count()
    }

    /// How often it became larger after it had become smaller, or the other way round.
    fn turns(&self) -> usize {
        let ways = self.steps.iter().filter_map(|(_, step)| match step {
            Step::Raise { .. } => Some(true),
            Step::Remove { .. } => Some(false),
            _ => None,
        });
        let ways: Vec<bool> = ways.collect();
        ways.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    fn missing(&self) -> u32 {
        let placed: u32 = self.machines.iter().flat_map(|machine| machine.view.targets.values()).sum();
        self.wanted.saturating_sub(placed)
    }
}

#[test]
fn what_has_no_room_raises_the_capacity_by_what_is_needed_and_once() {
    let mut world = World::new(1, 10, 2, 8);
    world.run(0, 60, |_| 8);
    assert_eq!(world.steps, [], "everything has room");
    world.run(60, 400, |_| 15);
    assert_eq!(world.steps.len(), 1, "{:?}", world.steps);
    assert_eq!(world.steps[0].1, Step::Raise { to: 4 });
    assert!(world.steps[0].0.since(at(60)) <= Duration::from_secs(2));
    assert_eq!(world.missing(), 0);
}

#[test]
fn a_need_that_grows_is_asked_for_together_and_not_twice() {
    let mut world = World::new(1, 20, 1, 4);
    // One more each half a second or so: never quiet, so that ten seconds are the most that it waits.
    world.run(0, 9, |second| 4 + 4 * u32::try_from(second).unwrap());
    assert_eq!(world.steps, []);
    world.run(9, 300, |_| 40);
    assert_eq!(world.count(|step| matches!(step, Step::Raise { .. })), 1, "{:?}", world.steps);
    assert_eq!((world.group.desired, world.missing()), (10, 0));
}

#[test]
fn the_maximum_of_the_group_is_kept_and_what_fits_on_no_machine_asks_for_none() {
    let mut world = World::new(1, 3, 1, 40);
    world.run(0, 300, |_| 40);
    assert_eq!(world.steps.len(), 1);
    assert_eq!(world.group.desired, 3);
    let huge = Wanted { reserve_memory_mib: 5_000, ..web(1) };
    assert_eq!(lacking(&[machine(0, 0).view], &[huge], 0, 9), Lacking::default());
}

#[test]
fn a_machine_that_is_not_needed_for_ten_minutes_is_drained_and_then_taken() {
    let mut world = World::new(1, 10, 3, 12);
    world.run(0, 10, |_| 12);
    world.run(10, 620, |_| 4);
    assert_eq!(world.steps, [], "not before its time");
    world.run(620, 640, |_| 4);
    let kinds: Vec<&Step> = world.steps.iter().map(|(_, step)| step).collect();
    assert!(matches!(kinds[..], [Step::Drain { .. }, Step::Remove { .. }]), "{kinds:?}");
    assert_eq!((world.group.desired, world.missing()), (2, 0));
    world.run(640, 4_000, |_| 4);
    assert_eq!((world.group.desired, world.machines.len()), (1, 1), "and no further");
}

#[test]
fn nothing_is_taken_below_the_minimum_or_while_a_deploy_runs() {
    let mut world = World::new(3, 10, 3, 1);
    world.run(0, 3_600, |_| 1);
    assert_eq!(world.steps, []);
    let mut world = World::new(1, 10, 3, 1);
    world.deploying = true;
    world.run(0, 3_600, |_| 1);
    assert_eq!(world.steps, []);
}

#[test]
fn a_drain_is_undone_when_room_is_wanted_again() {
    let mut world = World::new(1, 10, 2, 2);
    world.run(0, 10, |_| 2);
    // As left by another owner of the role.
    let node = world.machines[0].view.id.clone();
    world.leave(&node, Leaving::Surplus { empty: false });
    world.wanted = 8;
    world.tick(at(11));
    assert_eq!(world.steps[0].1, Step::Undrain { node });
    world.run(12, 60, |_| 8);
    assert_eq!(world.steps.len(), 1, "{:?}", world.steps);
}

#[test]
fn what_does_not_become_empty_is_taken_back() {
    let mut capacity = Capacity::new(SETTINGS);
    let mut machines = vec![machine(0, 1), machine(1, 0)];
    machines[0].leaving = Leaving::Surplus { empty: false };
    let (group, wanted) = (group(1, 4, 2), [web(1)]);
    let view = View { group: &group, machines: &machines, wanted: &wanted, deploying: false };
    let mut steps = (0..700).filter_map(|second| capacity.tick(view, at(second)));
    let (step, _) = steps.next().unwrap();
    assert_eq!(step, Step::Undrain { node: machines[0].view.id.clone() });
}

#[test]
fn headroom_is_kept_on_some_node() {
    let nodes = [machine(0, 3).view, machine(1, 3).view];
    assert_eq!(lacking(&nodes, &[web(6)], 250, 9).machines, 0);
    let lacks = lacking(&nodes, &[web(6)], 500, 9);
    assert_eq!(lacks.machines, 1);
    assert!(lacks.reasons[0].contains("250 MiB at most are free"), "{:?}", lacks.reasons);
    let all: Vec<NodeId> = nodes.iter().map(|node| node.id.clone()).collect();
    assert_eq!(spare(&all, &nodes, &[web(3)], 250), Some(all[0].clone()));
    assert_eq!(spare(&all, &nodes, &[web(3)], 500), None);
}

#[test]
fn removals_have_a_budget() {
    let mut world = World::new(1, 30, 20, 1);
    world.capacity = Capacity::new(Settings { removals_per_hour: 2, ..SETTINGS });
    world.run(0, 3_600, |_| 1);
    assert_eq!(world.count(|step| matches!(step, Step::Remove { .. })), 2);
}
