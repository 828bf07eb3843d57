"""A group of the emulated autoscaling service, for tests."""

import json
import os
import unittest
import urllib.request

from botocore.exceptions import ClientError

from aws import client, eventually, unique

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"


def controls(method, **settings):
    """The plugin's door for tests (controls.py there)."""
    request = urllib.request.Request(
        os.environ["AWS_ENDPOINT_URL"] + "/_maelstrom/autoscaling",
        method=method,
        data=json.dumps(settings).encode() if settings else None,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return json.load(answer)


class GroupTest(unittest.TestCase):
    """Each test has a group of its own, of two instances at first, and a queue."""

    size = {"MinSize": 1, "MaxSize": 5, "DesiredCapacity": 2}
    hooks = []

    def setUp(self):
        self.scaling, self.sqs, self.ec2 = client("autoscaling"), client("sqs"), client("ec2")
        self.addCleanup(controls, "DELETE")
        self.group = unique("group")
        self.queue = self.make_queue()
        self.scaling.create_launch_configuration(
            LaunchConfigurationName=self.group, ImageId="ami-12345678", InstanceType="t3.micro"
        )
        self.scaling.create_auto_scaling_group(
            AutoScalingGroupName=self.group,
            LaunchConfigurationName=self.group,
            AvailabilityZones=["us-east-1a", "us-east-1b"],
            LifecycleHookSpecificationList=self.hooks,
            **self.size,
        )
        self.addCleanup(self.scaling.delete_auto_scaling_group, AutoScalingGroupName=self.group, ForceDelete=True)

    def make_queue(self):
        url = self.sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        return url

    def queue_arn(self, url):
        return self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def receive(self, url=None):
        """The next message, or nothing after 5 seconds."""
        found = self.sqs.receive_message(QueueUrl=url or self.queue, WaitTimeSeconds=5).get("Messages", [])
        for message in found:
            self.sqs.delete_message(QueueUrl=url or self.queue, ReceiptHandle=message["ReceiptHandle"])
        return json.loads(found[0]["Body"]) if found else None

    def put_hook(self, transition=TERMINATING, name="hook", **more):
        """With this test's queue as its target; the test message is taken out."""
        self.scaling.put_lifecycle_hook(
            AutoScalingGroupName=self.group,
            LifecycleHookName=name,
            **{
                "LifecycleTransition": transition,
                "HeartbeatTimeout": 30,
                "NotificationTargetARN": self.queue_arn(self.queue),
                "RoleARN": "arn:aws:iam::000000000000:role/hook",
                **more,
            },
        )
        test = self.receive()
        self.assertEqual(test["Event"], "autoscaling:TEST_NOTIFICATION")
        return test

    def states(self):
        """Lifecycle states by instance, oldest first."""
        group = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.group])["AutoScalingGroups"][0]
        return {instance["InstanceId"]: instance["LifecycleState"] for instance in group["Instances"]}

    def desired(self):
        group = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.group])["AutoScalingGroups"][0]
        return group["DesiredCapacity"]

    def terminate(self, instance, decrement=False):
        return self.scaling.terminate_instance_in_auto_scaling_group(
            InstanceId=instance, ShouldDecrementDesiredCapacity=decrement
        )["Activity"]

    def complete(self, result="CONTINUE", hook="hook", **by):
        self.scaling.complete_lifecycle_action(
            AutoScalingGroupName=self.group, LifecycleHookName=hook, LifecycleActionResult=result, **by
        )

    def heartbeat(self, hook="hook", **by):
        self.scaling.record_lifecycle_action_heartbeat(AutoScalingGroupName=self.group, LifecycleHookName=hook, **by)

    def seconds_left(self, instance):
        waits = [wait for wait in controls("GET")["waits"] if wait["instance"] == instance]
        return waits[0]["seconds_left"] if waits else None

    def activities(self):
        return self.scaling.describe_scaling_activities(AutoScalingGroupName=self.group)["Activities"]

    def eventually_states(self, *wanted):
        return eventually(
            f"the instances are {wanted}", lambda: sorted((states := self.states()).values()) == sorted(wanted) and states
        )

    def refused(self, code, part, call, *arguments, **more):
        with self.assertRaises(ClientError) as refused:
            call(*arguments, **more)
        error = refused.exception.response["Error"]
        self.assertEqual(error["Code"], code)
        self.assertIn(part, error["Message"])
