"""Instances on their way through their groups.

Level-triggered: `converge` looks at a group and does what brings it to its desired
capacity, whoever calls it and however often; the thread of time calls it too. One
lock guards everything, also moto's groups; what is to be sent is collected under
the lock and sent when the outermost holder has given it back."""

import logging
import threading
import uuid
from contextlib import contextmanager

from . import groups, messages
from .activities import Activity
from .clock import Clock
from .controls import Controls
from .hooks import LAUNCHING, TERMINATING, Wait
from .outbox import Direct, Event, send_all

LOG = logging.getLogger(__name__)

# How often time-outs are looked at, and groups converged without a call.
TICK_SECONDS = 0.1
# A group that could not launch tries again after this; AWS backs off too, to minutes.
LAUNCH_RETRY_SECONDS = 10

# What counts for the desired capacity.
COUNTED = ("Pending", "Pending:Wait", "InService")


class Engine:
    def __init__(self):
        self.clock = Clock()
        self.controls = Controls(self)
        self._lock = threading.RLock()
        self._depth = 0
        self._letters = []

    def start(self):
        groups.take_over(self)
        threading.Thread(target=self._keep_time, name="autoscaling", daemon=True).start()

    @contextmanager
    def transaction(self):
        """Holds the lock; sends what was written when the outermost one ends."""
        letters = []
        try:
            with self._lock:
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1
                    if self._depth == 0:
                        letters, self._letters = self._letters, []
        finally:
            send_all(letters)

    def converge(self, group):
        """Launches what is missing, terminates what is too much."""
        if group.__dict__.get("maelstrom_deleted"):
            return
        for instance in group.instance_states:
            self._adopt(instance)
        counted = [instance for instance in group.instance_states if instance.lifecycle_state in COUNTED]
        # A terminated instance keeps its place until it is gone: its replacement comes then.
        places = sum(instance.maelstrom_keeps_place for instance in group.instance_states)
        for _ in range(group.desired_capacity - len(counted) - places):
            if groups.is_suspended(group, "Launch") or not self._launch(group):
                break
        surplus = len(counted) - group.desired_capacity
        if surplus > 0 and not groups.is_suspended(group, "Terminate"):
            for instance in self._victims(group, counted)[:surplus]:
                self.terminate(group, instance, "an instance was taken out of service in response to a difference between desired and actual capacity")

    def terminate(self, group, instance, cause, replaced=False):
        """Begins to terminate: the hooks first. Returns the activity."""
        activity = self._record(group, f"Terminating EC2 instance: {instance.instance_id}", cause, instance.availability_zone)
        self._adopt(instance)
        # It may still have been on its way in.
        instance.maelstrom_waits.clear()
        if instance.maelstrom_activity:
            instance.maelstrom_activity.end("Cancelled")
        instance.maelstrom_activity = activity
        instance.maelstrom_keeps_place = replaced
        instance.lifecycle_state = "Terminating:Wait"
        groups.update_load_balancers(group)
        self._wait_for_hooks(group, instance, TERMINATING)
        return activity

    def lost(self, group, instance_ids):
        """EC2 terminated them on its own: no hook runs, what waits is over."""
        for instance in [found for found in group.instance_states if found.instance_id in instance_ids]:
            self._adopt(instance)
            activity = instance.maelstrom_activity or self._record(
                group,
                f"Terminating EC2 instance: {instance.instance_id}",
                "an instance was taken out of service in response to an EC2 health check indicating it has been terminated or stopped",
                instance.availability_zone,
            )
            self._gone(group, instance, activity)
        self.converge(group)

    def forget(self, group):
        """All instances at once and no hook: ForceDelete."""
        group.maelstrom_deleted = True
        for instance in group.instance_states:
            groups.destroy(group, instance)
        group.instance_states = []

    def complete(self, group, instance, wait, result):
        """Ends one wait; the last one to end lets the instance go on. To abandon ends
        all of them: a terminating instance then terminates, a launching one too."""
        instance.maelstrom_waits.remove(wait)
        if result == "ABANDON":
            instance.maelstrom_waits.clear()
        if wait.hook.transition == LAUNCHING and result == "ABANDON":
            self.terminate(group, instance, "an instance was taken out of service in response to an abandoned lifecycle action", replaced=True)
        elif not instance.maelstrom_waits:
            self._proceed(group, instance)

    def waits(self):
        """(group, instance, wait) of everything that a hook holds."""
        return [
            (group, instance, wait)
            for group in groups.all_groups()
            for instance in list(group.instance_states)
            for wait in list(instance.__dict__.get("maelstrom_waits", ()))
        ]

    def write_event(self, group, detail_type, detail, instance_arn=None):
        resources = [group.arn] + ([instance_arn] if instance_arn else [])
        self._letters.append(Event(group.account_id, group.region, resources, detail_type, detail))

    # How an instance comes

    def _launch(self, group):
        """Whether it worked. A failure is an activity, tried again after a while."""
        if self.clock.now() < group.__dict__.get("maelstrom_launch_after", 0.0):
            return False
        size = sum(instance.lifecycle_state in COUNTED for instance in group.instance_states)
        cause = f"an instance was started in response to a difference between desired and actual capacity, increasing the capacity from {size} to {size + 1}"
        try:
            self.controls.fail_if_told("LaunchInstance", group.name)
            instance = groups.launch(group)
        except Exception as error:
            LOG.warning("group %s could not launch an instance: %s", group.name, error)
            group.maelstrom_launch_after = self.clock.now() + LAUNCH_RETRY_SECONDS
            activity = self._record(group, "Launching a new EC2 instance", cause)
            activity.end("Failed", f"{error} Launching EC2 instance failed.")
            self.write_event(group, *messages.outcome_event(activity, "", LAUNCHING, False))
            return False
        self._adopt(instance)
        instance.lifecycle_state = "Pending"
        instance.maelstrom_ready_at = self.clock.now() + self.controls.launch_seconds
        instance.maelstrom_activity = self._record(
            group, f"Launching a new EC2 instance: {instance.instance_id}", cause, instance.availability_zone
        )
        self._arrive(group, instance)
        return True

    def _arrive(self, group, instance):
        """A launched instance that has started up: its hooks, else service."""
        if self.clock.now() >= instance.maelstrom_ready_at:
            instance.lifecycle_state = "Pending:Wait"
            self._wait_for_hooks(group, instance, LAUNCHING)

    def _wait_for_hooks(self, group, instance, transition):
        now = self.clock.now()
        for hook in groups.hooks_of(group).values():
            if hook.transition != transition:
                continue
            wait = Wait.begin(hook, str(uuid.uuid4()), now)
            instance.maelstrom_waits.append(wait)
            instance.maelstrom_activity.status = "MidLifecycleAction"
            if hook.target:
                body = messages.lifecycle_message(group, hook, instance.instance_id, wait.token)
                self._letters.append(Direct(group.account_id, group.region, hook.target, body))
            self.write_event(group, *messages.lifecycle_event(group, hook, instance.instance_id, wait.token))
        if not instance.maelstrom_waits:
            self._proceed(group, instance)

    def _proceed(self, group, instance):
        """Nothing holds it any more."""
        activity = instance.maelstrom_activity
        if instance.lifecycle_state.startswith("Pending"):
            instance.lifecycle_state = "InService"
            instance.maelstrom_activity = None
            instance.maelstrom_in_service_at = self.clock.now()
            activity.end("Successful")
            groups.update_load_balancers(group)
            self.write_event(
                group,
                *messages.outcome_event(activity, instance.instance_id, LAUNCHING, True),
                instance_arn=_arn(group, instance),
            )
        else:
            groups.destroy(group, instance)
            self._gone(group, instance, activity)
            self.converge(group)

    def _gone(self, group, instance, activity):
        activity.end("Successful")
        instance.maelstrom_waits.clear()
        instance.lifecycle_state = "Terminated"
        groups.remove(group, instance)
        self.write_event(
            group,
            *messages.outcome_event(activity, instance.instance_id, TERMINATING, True),
            instance_arn=_arn(group, instance),
        )

    # How an instance is chosen and kept

    def _victims(self, group, counted):
        """Who goes on scale-in, first first: in service before pending, then the oldest."""
        free = [instance for instance in counted if not instance.protected_from_scale_in]
        surplus = len(counted) - group.desired_capacity
        if len(free) < surplus and group.__dict__.get("maelstrom_blocked_at") != group.desired_capacity:
            # Said once for each size that was asked for.
            group.maelstrom_blocked_at = group.desired_capacity
            message = "Could not scale to desired capacity because all remaining instances are protected from scale in."
            self._record(group, message, "the group could not reach its desired capacity").end("Failed", message)
        return sorted(free, key=lambda instance: instance.lifecycle_state != "InService")

    def _record(self, group, description, cause, zone=None):
        return groups.journal_of(group).add(Activity(group.name, group.arn, description, cause, zone))

    def _adopt(self, instance):
        """What this engine keeps on moto's instances, also on attached ones."""
        if "maelstrom_waits" not in instance.__dict__:
            groups.correct_zone(instance)
            instance.maelstrom_waits = []
            instance.maelstrom_activity = None
            instance.maelstrom_keeps_place = False
            instance.maelstrom_ready_at = instance.maelstrom_in_service_at = self.clock.now()

    # Time

    def _keep_time(self):
        pause = threading.Event()
        while not pause.wait(TICK_SECONDS):
            try:
                with self.transaction():
                    self._tick()
            except Exception:
                LOG.exception("autoscaling: a tick failed")

    def _tick(self):
        now = self.clock.now()
        for group, instance, wait in self.waits():
            # An earlier time-out of this round may have ended it.
            if now >= wait.deadline and wait in instance.maelstrom_waits:
                LOG.info("hook %s of %s timed out: %s", wait.hook.name, instance.instance_id, wait.hook.default_result)
                self.complete(group, instance, wait, wait.hook.default_result)
        for group in groups.all_groups():
            for instance in list(group.instance_states):
                if instance.lifecycle_state == "Pending":
                    self._adopt(instance)
                    self._arrive(group, instance)
            self.converge(group)


def _arn(group, instance):
    return f"arn:aws:ec2:{group.region}:{group.account_id}:instance/{instance.instance_id}"
