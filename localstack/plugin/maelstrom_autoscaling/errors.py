"""The API's errors, in AWS's own words where those are known: callers match on them."""

from localstack.aws.api import CommonServiceException


def validation(message):
    return CommonServiceException("ValidationError", message, 400, sender_fault=True)


def no_group(name):
    return validation(f"AutoScalingGroup name not found - AutoScalingGroup {name} not found")


def no_instance(instance_id):
    return validation(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


def no_action(token, instance_id):
    by = f"token {token}" if token else f"instance ID {instance_id}"
    return validation(f"No active Lifecycle Action found with {by}")


def group_exists(name):
    message = f"AutoScalingGroup by this name already exists - A group with the name {name} already exists"
    return CommonServiceException("AlreadyExists", message, 400, sender_fault=True)


def group_in_use():
    message = "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group."
    return CommonServiceException("ResourceInUse", message, 400, sender_fault=True)


def activity_in_progress(activity_id):
    return CommonServiceException("ScalingActivityInProgress", f"Activity {activity_id} is in progress.", 400, sender_fault=True)
