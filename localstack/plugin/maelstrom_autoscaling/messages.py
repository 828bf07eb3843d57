"""What hooks and groups say, in the shapes that AWS documents:
direct messages to SQS and SNS
https://docs.aws.amazon.com/autoscaling/ec2/userguide/prepare-for-lifecycle-notifications.html
and events on EventBridge
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html"""

import uuid
from datetime import datetime, timezone

from .hooks import LAUNCHING

SERVICE = "AWS Auto Scaling"


def timestamp():
    """ISO 8601 with milliseconds, as in AWS's messages."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ends(transition):
    """Where the instance comes from and goes to. Newer than the rest of the message."""
    if transition == LAUNCHING:
        return {"Origin": "EC2", "Destination": "AutoScalingGroup"}
    return {"Origin": "AutoScalingGroup", "Destination": "EC2"}


def _metadata(hook):
    return {"NotificationMetadata": hook.metadata} if hook.metadata else {}


def lifecycle_message(group, hook, instance_id, token):
    """To a hook's own target, when an instance begins to wait."""
    return {
        **_ends(hook.transition),
        "LifecycleHookName": hook.name,
        "AccountId": group.account_id,
        "RequestId": str(uuid.uuid4()),
        "LifecycleTransition": hook.transition,
        "AutoScalingGroupName": group.name,
        "Service": SERVICE,
        "Time": timestamp(),
        "EC2InstanceId": instance_id,
        **_metadata(hook),
        "LifecycleActionToken": token,
    }


def test_message(group):
    """To a hook's target when the hook is put, to see that it can be reached."""
    return {
        "AccountId": group.account_id,
        "RequestId": str(uuid.uuid4()),
        "AutoScalingGroupARN": group.arn,
        "AutoScalingGroupName": group.name,
        "Service": SERVICE,
        "Event": "autoscaling:TEST_NOTIFICATION",
        "Time": timestamp(),
    }


def lifecycle_event(group, hook, instance_id, token):
    """(detail-type, detail) to EventBridge, whether or not the hook has a target."""
    word = "launch" if hook.transition == LAUNCHING else "terminate"
    return f"EC2 Instance-{word} Lifecycle Action", {
        "LifecycleActionToken": token,
        "AutoScalingGroupName": group.name,
        "LifecycleHookName": hook.name,
        "EC2InstanceId": instance_id,
        "LifecycleTransition": hook.transition,
        **_metadata(hook),
        **_ends(hook.transition),
    }


def outcome_event(activity, instance_id, transition, successful):
    """(detail-type, detail) to EventBridge when an instance is in service, gone, or couldn't be launched."""
    word = "Launch" if transition == LAUNCHING else "Terminate"
    described = activity.described()
    return f"EC2 Instance {word} {'Successful' if successful else 'Unsuccessful'}", {
        "StatusCode": activity.status,
        "Description": activity.description,
        "AutoScalingGroupName": activity.group,
        "ActivityId": activity.id,
        "Details": {"Availability Zone": activity.zone},
        "RequestId": activity.id,
        "StatusMessage": activity.message or "",
        "StartTime": _seconds(described["StartTime"]),
        "EndTime": _seconds(described["EndTime"]),
        "EC2InstanceId": instance_id,
        "Cause": described["Cause"],
        **_ends(transition),
    }


def _seconds(moment):
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
