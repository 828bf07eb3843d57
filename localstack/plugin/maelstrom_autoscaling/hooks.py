"""Lifecycle hooks as they are put: defaults, limits and updates as in
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutLifecycleHook.html"""

from dataclasses import dataclass, field, replace

from .errors import validation

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"

# "The range is from 30 to 7200 seconds. The default value is 3600 seconds (1 hour)."
TIMEOUT_SECONDS = (30, 7200)
DEFAULT_TIMEOUT_SECONDS = 3600
# "The maximum is 172800 seconds (48 hours) or 100 times HeartbeatTimeout, whichever is smaller."
GLOBAL_TIMEOUT_SECONDS = 172_800
GLOBAL_TIMEOUT_HEARTBEATS = 100


@dataclass(frozen=True)
class Hook:
    group: str
    name: str
    transition: str
    timeout: int = DEFAULT_TIMEOUT_SECONDS
    default_result: str = "ABANDON"
    target: str = None
    role: str = None
    metadata: str = None

    @property
    def global_timeout(self):
        return min(GLOBAL_TIMEOUT_SECONDS, GLOBAL_TIMEOUT_HEARTBEATS * self.timeout)

    def described(self):
        """As DescribeLifecycleHooks shows it; what was not given is left out."""
        fields = {
            "LifecycleHookName": self.name,
            "AutoScalingGroupName": self.group,
            "LifecycleTransition": self.transition,
            "NotificationTargetARN": self.target,
            "RoleARN": self.role,
            "NotificationMetadata": self.metadata,
            "HeartbeatTimeout": self.timeout,
            "GlobalTimeout": self.global_timeout,
            "DefaultResult": self.default_result,
        }
        return {name: value for name, value in fields.items() if value is not None}


def hook_from(request, group, existing):
    """The hook that a request asks for: an update leaves alone what it doesn't name."""
    transition = request.get("LifecycleTransition") or (existing and existing.transition)
    if transition not in (LAUNCHING, TERMINATING):
        raise validation(f"Lifecycle transition {transition} is invalid. It must be one of [{LAUNCHING}, {TERMINATING}]")
    hook = existing or Hook(group, request["LifecycleHookName"], transition)
    given = {
        "transition": transition,
        "timeout": request.get("HeartbeatTimeout"),
        "default_result": request.get("DefaultResult"),
        "target": request.get("NotificationTargetARN"),
        "role": request.get("RoleARN"),
        "metadata": request.get("NotificationMetadata"),
    }
    hook = replace(hook, **{name: value for name, value in given.items() if value is not None})
    low, high = TIMEOUT_SECONDS
    if not low <= hook.timeout <= high:
        raise validation(f"Lifecycle hook heartbeat timeout {hook.timeout} must be between {low} and {high} seconds")
    require_result(hook.default_result)
    # An empty target is how a request takes the target away.
    return replace(hook, target=hook.target or None)


def require_result(result):
    if result not in ("CONTINUE", "ABANDON"):
        raise validation(f"Lifecycle action result {result} is invalid. It must be one of [CONTINUE, ABANDON]")


@dataclass
class Wait:
    """An instance that a hook holds."""

    hook: Hook
    token: str
    deadline: float
    # No heartbeat moves the deadline beyond this.
    end: float = field(default=0.0)

    @classmethod
    def begin(cls, hook, token, now):
        return cls(hook, token, now + hook.timeout, now + hook.global_timeout)

    def heartbeat(self, now):
        self.deadline = min(now + self.hook.timeout, self.end)
