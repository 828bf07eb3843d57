"""The API's operations that instances and hooks are about. All others go to moto as
they are, and end here again where they change a group's size (groups.py).
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Operations.html"""

from localstack.services.moto import call_moto, call_moto_with_request

from . import errors, messages
from .groups import backend_of, find_group, find_instance, hooks_of, is_suspended, journal_of
from .hooks import LAUNCHING, TERMINATING, hook_from, require_result
from .outbox import Direct

# DescribeScalingActivities: "The default value is 100 and the maximum value is 100."
ACTIVITIES_PER_PAGE = 100


class Operations:
    """A method per operation, by its name. All are called under the engine's lock."""

    def __init__(self, engine):
        self._engine = engine

    # Groups

    def CreateAutoScalingGroup(self, context, request):
        name, low, high = request["AutoScalingGroupName"], request["MinSize"], request["MaxSize"]
        if name in backend_of(context).autoscaling_groups:
            raise errors.group_exists(name)
        _require_range(low, request.get("DesiredCapacity", low), high)
        call_moto(context)
        group = find_group(context, name)
        for specification in request.get("LifecycleHookSpecificationList") or []:
            self._put_hook(group, specification)
        self._engine.converge(group)
        return {}

    def UpdateAutoScalingGroup(self, context, request):
        group = find_group(context, request["AutoScalingGroupName"])
        low, high = request.get("MinSize", group.min_size), request.get("MaxSize", group.max_size)
        desired = request.get("DesiredCapacity")
        if desired is None:
            # "If the new min is over the desired capacity, the group is sized to it"; the max likewise.
            desired = min(max(group.desired_capacity, low), high)
        _require_range(low, desired, high)
        call_moto_with_request(context, {**request, "DesiredCapacity": desired})
        return {}

    def DeleteAutoScalingGroup(self, context, request):
        group = find_group(context, request["AutoScalingGroupName"])
        if group.instance_states and not request.get("ForceDelete"):
            raise errors.group_in_use()
        self._engine.forget(group)
        return call_moto(context)

    def SetDesiredCapacity(self, context, request):
        group, capacity = find_group(context, request["AutoScalingGroupName"]), request["DesiredCapacity"]
        if capacity > group.max_size:
            raise errors.validation(f"New SetDesiredCapacity value {capacity} is above max value {group.max_size} for the AutoScalingGroup.")
        if capacity < group.min_size:
            raise errors.validation(f"New SetDesiredCapacity value {capacity} is below min value {group.min_size} for the AutoScalingGroup.")
        group.set_desired_capacity(capacity)
        return {}

    def DescribeScalingActivities(self, context, request):
        name, ids = request.get("AutoScalingGroupName"), request.get("ActivityIds") or []
        groups = [find_group(context, name)] if name else backend_of(context).autoscaling_groups.values()
        found = [activity for group in groups for activity in journal_of(group).activities if not ids or activity.id in ids]
        found.sort(key=lambda activity: activity.started, reverse=True)
        try:
            start = int(request.get("NextToken") or 0)
        except ValueError as error:
            raise errors.validation("Invalid token") from error
        end = start + min(request.get("MaxRecords") or ACTIVITIES_PER_PAGE, ACTIVITIES_PER_PAGE)
        page = {"Activities": [activity.described() for activity in found[start:end]]}
        return {**page, "NextToken": str(end)} if end < len(found) else page

    # Instances

    def TerminateInstanceInAutoScalingGroup(self, context, request):
        group, instance = find_instance(context, request["InstanceId"])
        decrement = request["ShouldDecrementDesiredCapacity"]
        if instance.lifecycle_state.startswith("Terminating"):
            raise errors.activity_in_progress(instance.maelstrom_activity.id)
        cause = "an instance was taken out of service in response to a user request"
        if decrement:
            size = group.desired_capacity
            if size <= group.min_size:
                raise errors.validation(
                    f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without replacement will violate "
                    "group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
                )
            # Before the instance leaves: between the two the group would seem to lack one.
            group.desired_capacity = size - 1
            cause += f", shrinking the capacity from {size} to {size - 1}"
        activity = self._engine.terminate(group, instance, cause, replaced=not decrement)
        return {"Activity": activity.described()}

    def AttachInstances(self, context, request):
        group = find_group(context, request["AutoScalingGroupName"])
        desired = group.desired_capacity + len(request.get("InstanceIds") or [])
        if desired > group.max_size:
            raise errors.validation(
                f"AutoScalingGroup {group.name} has maximum size {group.max_size} and is scheduled for {desired} instances."
            )
        call_moto(context)
        group.desired_capacity = desired
        self._engine.converge(group)
        return {}

    def SetInstanceHealth(self, context, request):
        group, instance = find_instance(context, request["InstanceId"])
        young = self._engine.clock.now() < instance.maelstrom_in_service_at + (group.health_check_grace_period or 0)
        if young and request.get("ShouldRespectGracePeriod", True):
            return {}
        call_moto(context)
        replaceable = instance.lifecycle_state == "InService" and not is_suspended(group, "ReplaceUnhealthy")
        if instance.health_status == "Unhealthy" and replaceable:
            cause = "an instance was taken out of service in response to a user health-check"
            self._engine.terminate(group, instance, cause, replaced=True)
        return {}

    def SetInstanceProtection(self, context, request):
        group = find_group(context, request["AutoScalingGroupName"])
        known = {instance.instance_id for instance in group.instance_states}
        unknown = [instance_id for instance_id in request["InstanceIds"] if instance_id not in known]
        if unknown:
            raise errors.validation(f"The instance {unknown[0]} is not part of Auto Scaling group {group.name}.")
        call_moto(context)
        self._engine.converge(group)
        return {}

    # Hooks

    def PutLifecycleHook(self, context, request):
        self._put_hook(find_group(context, request["AutoScalingGroupName"]), request)
        return {}

    def DescribeLifecycleHooks(self, context, request):
        hooks = hooks_of(find_group(context, request["AutoScalingGroupName"])).values()
        names = request.get("LifecycleHookNames")
        return {"LifecycleHooks": [hook.described() for hook in hooks if not names or hook.name in names]}

    def DescribeLifecycleHookTypes(self, context, request):
        return {"LifecycleHookTypes": [LAUNCHING, TERMINATING]}

    def DeleteLifecycleHook(self, context, request):
        """"If there are any outstanding lifecycle actions, they are completed first
        (ABANDON for launching instances, CONTINUE for terminating instances)."""
        group, name = find_group(context, request["AutoScalingGroupName"]), request["LifecycleHookName"]
        if hooks_of(group).pop(name, None) is None:
            raise errors.validation(f"No Lifecycle Hook found with name {name} for group {group.name}")
        for other, instance, wait in self._engine.waits():
            if other is group and wait.hook.name == name and wait in instance.maelstrom_waits:
                self._engine.complete(group, instance, wait, "ABANDON" if wait.hook.transition == LAUNCHING else "CONTINUE")
        return {}

    def CompleteLifecycleAction(self, context, request):
        require_result(request["LifecycleActionResult"])
        group, instance, wait = self._find_wait(context, request)
        self._engine.complete(group, instance, wait, request["LifecycleActionResult"])
        return {}

    def RecordLifecycleActionHeartbeat(self, context, request):
        _, _, wait = self._find_wait(context, request)
        wait.heartbeat(self._engine.clock.now())
        return {}

    def _put_hook(self, group, request):
        hooks = hooks_of(group)
        hook = hook_from(request, group.name, hooks.get(request["LifecycleHookName"]))
        if hook.target:
            # At once, not by the outbox: an unreachable target refuses the hook.
            try:
                Direct(group.account_id, group.region, hook.target, messages.test_message(group)).send()
            except Exception as error:
                raise errors.validation(
                    f"Unable to publish test message to notification target {hook.target} using IAM role {hook.role}. "
                    "Please check your target and role configuration and try to put lifecycle hook again."
                ) from error
        hooks[hook.name] = hook

    def _find_wait(self, context, request):
        group = find_group(context, request["AutoScalingGroupName"])
        token, instance_id = request.get("LifecycleActionToken"), request.get("InstanceId")
        if not token and not instance_id:
            raise errors.validation("Either a lifecycle action token or an instance ID must be given")
        for other, instance, wait in self._engine.waits():
            named = wait.token == token if token else instance.instance_id == instance_id
            if other is group and wait.hook.name == request["LifecycleHookName"] and named:
                return group, instance, wait
        raise errors.no_action(token, instance_id)


def _require_range(low, desired, high):
    if low > high:
        raise errors.validation(f"Max bound, {high}, must be greater than or equal to min bound, {low}")
    if not low <= desired <= high:
        raise errors.validation(f"Desired capacity:{desired} must be between the specified min size:{low} and max size:{high}")
