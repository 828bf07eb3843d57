"""Leaving a group: the termination hook in all its ways."""

import datetime
import json

from aws import client, eventually, unique
from scaling import LAUNCHING, TERMINATING, GroupTest, controls

WAITING, SERVING = "Terminating:Wait", "InService"


class Termination(GroupTest):
    def test_the_hook_is_tested_when_it_is_put(self):
        test = self.put_hook()
        self.assertEqual(
            set(test), {"AccountId", "RequestId", "AutoScalingGroupARN", "AutoScalingGroupName", "Service", "Event", "Time"}
        )
        self.assertEqual(test["AutoScalingGroupName"], self.group)

    def test_a_hook_with_a_target_that_is_not_there_is_refused(self):
        self.refused(
            "ValidationError", "Unable to publish test message", self.put_hook, NotificationTargetARN="arn:aws:sqs:us-east-1:000000000000:none"
        )

    def test_a_terminated_instance_waits_is_told_of_and_goes_when_completed(self):
        self.put_hook(NotificationMetadata="extra")
        first, second = self.states()
        activity = self.terminate(first)
        self.assertEqual(activity["StatusCode"], "MidLifecycleAction")
        self.assertEqual(self.states(), {first: WAITING, second: SERVING})
        message = self.receive()
        self.assertEqual(
            {
                name: message[name]
                for name in message
                if name not in ("RequestId", "Time", "LifecycleActionToken")
            },
            {
                "Origin": "AutoScalingGroup",
                "Destination": "EC2",
                "LifecycleHookName": "hook",
                "AccountId": "000000000000",
                "LifecycleTransition": TERMINATING,
                "AutoScalingGroupName": self.group,
                "Service": "AWS Auto Scaling",
                "EC2InstanceId": first,
                "NotificationMetadata": "extra",
            },
        )
        datetime.datetime.strptime(message["Time"], "%Y-%m-%dT%H:%M:%S.%fZ")
        token = message["LifecycleActionToken"]
        self.complete(LifecycleActionToken=token)
        # Gone, and replaced since the desired capacity stayed.
        states = self.eventually_states(SERVING, SERVING)
        self.assertNotIn(first, states)
        state = self.ec2.describe_instances(InstanceIds=[first])["Reservations"][0]["Instances"][0]["State"]["Name"]
        self.assertEqual(state, "terminated")
        self.refused("ValidationError", f"No active Lifecycle Action found with token {token}", self.complete, LifecycleActionToken=token)
        self.refused("ValidationError", "No active Lifecycle Action found with instance ID", self.heartbeat, InstanceId=first)

    def test_the_instance_id_completes_too(self):
        self.put_hook()
        first, second = self.states()
        self.terminate(first, decrement=True)
        self.complete(InstanceId=first)
        self.assertEqual(self.states(), {second: SERVING})

    def test_the_wrong_hook_group_or_result_completes_nothing(self):
        self.put_hook()
        first, _ = self.states()
        self.terminate(first)
        self.refused("ValidationError", "No active Lifecycle Action", self.complete, hook="other", InstanceId=first)
        self.refused("ValidationError", "is invalid", self.complete, result="DONE", InstanceId=first)
        self.assertEqual(self.states()[first], WAITING)

    def test_a_heartbeat_starts_the_time_out_again(self):
        self.put_hook()
        first, _ = self.states()
        self.terminate(first)
        controls("PATCH", speed=10)
        eventually("ten seconds of the time-out pass", lambda: self.seconds_left(first) < 20)
        controls("PATCH", speed=1)
        self.heartbeat(InstanceId=first)
        self.assertGreater(self.seconds_left(first), 25)

    def test_heartbeats_end_after_a_hundred_time_outs(self):
        self.put_hook()
        first, _ = self.states()
        self.terminate(first, decrement=True)
        controls("PATCH", speed=300)
        beats = 0
        while self.seconds_left(first) is not None:
            try:
                self.heartbeat(InstanceId=first)
            except self.scaling.exceptions.ClientError:
                break
            beats += 1
            self.assertLess(beats, 2000)
        self.eventually_states(SERVING)

    def test_a_time_out_ends_the_wait_with_either_default_result(self):
        for result in ("CONTINUE", "ABANDON"):
            with self.subTest(result):
                self.put_hook(DefaultResult=result)
                first = next(iter(self.states()))
                self.terminate(first)
                self.assertEqual(self.states()[first], WAITING)
                controls("PATCH", speed=30)
                eventually("the instance is gone", lambda: first not in self.states())
                controls("DELETE")
                self.receive()

    def test_scale_in_takes_the_oldest_and_leaves_the_protected(self):
        self.put_hook()
        self.scaling.set_desired_capacity(AutoScalingGroupName=self.group, DesiredCapacity=4)
        a, b, c, d = self.eventually_states(*[SERVING] * 4)
        self.scaling.set_instance_protection(AutoScalingGroupName=self.group, InstanceIds=[a], ProtectedFromScaleIn=True)
        self.scaling.set_desired_capacity(AutoScalingGroupName=self.group, DesiredCapacity=2)
        self.assertEqual(self.states(), {a: SERVING, b: WAITING, c: WAITING, d: SERVING})
        self.assertEqual({self.receive()["EC2InstanceId"], self.receive()["EC2InstanceId"]}, {b, c})
        self.complete(InstanceId=b)
        self.complete(InstanceId=c)
        self.assertEqual(self.states(), {a: SERVING, d: SERVING})

    def test_protection_keeps_a_group_larger_and_is_told(self):
        first, second = self.states()
        self.scaling.set_instance_protection(
            AutoScalingGroupName=self.group, InstanceIds=[first, second], ProtectedFromScaleIn=True
        )
        self.scaling.set_desired_capacity(AutoScalingGroupName=self.group, DesiredCapacity=1)
        self.assertEqual(len(self.states()), 2)
        newest = self.activities()[0]
        self.assertEqual(newest["StatusCode"], "Failed")
        self.assertIn("protected from scale in", newest["StatusMessage"])
        self.scaling.set_instance_protection(AutoScalingGroupName=self.group, InstanceIds=[second], ProtectedFromScaleIn=False)
        self.assertEqual(list(self.states()), [first])

    def test_two_hooks_hold_until_both_are_completed(self):
        self.put_hook(name="one")
        self.put_hook(name="two")
        first, second = self.states()
        self.terminate(first, decrement=True)
        self.complete(hook="one", InstanceId=first)
        self.assertEqual(self.states()[first], WAITING)
        self.complete(hook="two", InstanceId=first)
        self.assertEqual(self.states(), {second: SERVING})

    def test_one_of_two_hooks_abandons_both(self):
        self.put_hook(name="one")
        self.put_hook(name="two")
        first, second = self.states()
        self.terminate(first, decrement=True)
        self.complete(hook="one", result="ABANDON", InstanceId=first)
        self.assertEqual(self.states(), {second: SERVING})
        self.refused("ValidationError", "No active Lifecycle Action", self.complete, hook="two", InstanceId=first)

    def test_a_terminating_instance_is_not_terminated_twice(self):
        self.put_hook()
        first, _ = self.states()
        self.terminate(first, decrement=True)
        self.refused("ScalingActivityInProgress", "in progress", self.terminate, first, decrement=True)
        self.assertEqual(self.desired(), 1)

    def test_a_termination_that_ec2_does_itself_runs_no_hook(self):
        self.put_hook()
        first, second = self.states()
        self.ec2.terminate_instances(InstanceIds=[first])
        states = self.eventually_states(SERVING, SERVING)
        self.assertNotIn(first, states)
        self.assertIn(second, states)
        self.assertIsNone(self.receive())

    def test_an_unhealthy_instance_leaves_by_the_hook(self):
        self.put_hook()
        first, _ = self.states()
        self.scaling.set_instance_health(InstanceId=first, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False)
        self.assertEqual(self.states()[first], WAITING)

    def test_deleting_the_hook_lets_go(self):
        self.put_hook()
        first, second = self.states()
        self.terminate(first, decrement=True)
        self.scaling.delete_lifecycle_hook(AutoScalingGroupName=self.group, LifecycleHookName="hook")
        self.assertEqual(self.states(), {second: SERVING})

    def test_event_bridge_is_told_in_its_envelope(self):
        events = client("events")
        name, queue = unique("rule"), self.make_queue()
        rule = events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.autoscaling"], "detail": {"AutoScalingGroupName": [self.group]}}))
        self.assertTrue(rule["RuleArn"])
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": self.queue_arn(queue)}])
        self.put_hook()
        first, _ = self.states()
        self.terminate(first, decrement=True)
        event = self.receive(queue)
        self.assertEqual((event["detail-type"], event["source"]), ("EC2 Instance-terminate Lifecycle Action", "aws.autoscaling"))
        self.assertEqual((event["detail"]["EC2InstanceId"], event["detail"]["LifecycleTransition"]), (first, TERMINATING))
        self.complete(LifecycleActionToken=event["detail"]["LifecycleActionToken"])
        self.assertEqual(self.receive(queue)["detail-type"], "EC2 Instance Terminate Successful")

    def test_a_topic_is_told_too(self):
        sns = client("sns")
        topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
        self.addCleanup(sns.delete_topic, TopicArn=topic)
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.queue_arn(self.queue))
        self.scaling.put_lifecycle_hook(
            AutoScalingGroupName=self.group, LifecycleHookName="hook", LifecycleTransition=TERMINATING, NotificationTargetARN=topic
        )
        self.assertEqual(json.loads(self.receive()["Message"])["Event"], "autoscaling:TEST_NOTIFICATION")
        first, _ = self.states()
        self.terminate(first)
        self.assertEqual(json.loads(self.receive()["Message"])["EC2InstanceId"], first)

    def test_hooks_are_described_as_put(self):
        self.put_hook(HeartbeatTimeout=60)
        self.scaling.put_lifecycle_hook(AutoScalingGroupName=self.group, LifecycleHookName="hook", DefaultResult="CONTINUE")
        hook = self.scaling.describe_lifecycle_hooks(AutoScalingGroupName=self.group)["LifecycleHooks"][0]
        self.assertEqual(
            (hook["HeartbeatTimeout"], hook["GlobalTimeout"], hook["DefaultResult"], hook["LifecycleTransition"]),
            (60, 6000, "CONTINUE", TERMINATING),
        )
        self.refused("ValidationError", "between 30 and 7200", self.put_hook, transition=LAUNCHING, HeartbeatTimeout=5)
