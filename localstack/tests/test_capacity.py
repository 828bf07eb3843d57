"""Joining a group, and its size: limits, launches, faults."""

from aws import eventually, unique
from scaling import LAUNCHING, GroupTest, controls

SERVING, STARTING = "InService", "Pending:Wait"


class Capacity(GroupTest):
    def test_sizes_beyond_the_limits_are_refused(self):
        set_size = self.scaling.set_desired_capacity
        self.refused("ValidationError", "is above max value 5", set_size, AutoScalingGroupName=self.group, DesiredCapacity=6)
        self.refused("ValidationError", "is below min value 1", set_size, AutoScalingGroupName=self.group, DesiredCapacity=0)
        self.assertEqual(self.desired(), 2)

    def test_a_decrement_under_the_minimum_is_refused(self):
        first, second = self.states()
        self.terminate(first, decrement=True)
        self.refused("ValidationError", "desiredSize equals minSize (1)", self.terminate, second, decrement=True)
        self.assertEqual((self.states(), self.desired()), ({second: SERVING}, 1))

    def test_new_limits_move_the_desired_capacity(self):
        self.scaling.update_auto_scaling_group(AutoScalingGroupName=self.group, MinSize=3)
        self.assertEqual((len(self.states()), self.desired()), (3, 3))
        self.scaling.update_auto_scaling_group(AutoScalingGroupName=self.group, MinSize=0, MaxSize=1)
        self.assertEqual((len(self.states()), self.desired()), (1, 1))

    def test_what_no_group_has_is_refused(self):
        self.refused("ValidationError", "No managed instance found", self.terminate, "i-00000000000000000")
        self.refused("ValidationError", "not found", self.scaling.set_desired_capacity, AutoScalingGroupName="none", DesiredCapacity=1)
        self.refused(
            "AlreadyExists",
            self.group,
            self.scaling.create_auto_scaling_group,
            AutoScalingGroupName=self.group,
            LaunchConfigurationName=self.group,
            AvailabilityZones=["us-east-1a"],
            MinSize=0,
            MaxSize=1,
        )

    def test_a_group_with_instances_is_not_deleted(self):
        self.refused("ResourceInUse", "there are instances", self.scaling.delete_auto_scaling_group, AutoScalingGroupName=self.group)
        self.assertEqual(len(self.states()), 2)

    def test_instances_are_described_one_by_one(self):
        first, second = self.states()
        found = self.scaling.describe_auto_scaling_instances(InstanceIds=[second])["AutoScalingInstances"]
        self.assertEqual(
            [(one["InstanceId"], one["AutoScalingGroupName"], one["LifecycleState"], one["ProtectedFromScaleIn"]) for one in found],
            [(second, self.group, SERVING, False)],
        )
        self.assertIn(found[0]["AvailabilityZone"], ("us-east-1a", "us-east-1b"))

    def test_a_group_is_made_of_a_launch_template_in_a_subnet(self):
        subnet = self.ec2.describe_subnets()["Subnets"][0]
        name = unique("template")
        template = self.ec2.create_launch_template(
            LaunchTemplateName=name, LaunchTemplateData={"ImageId": "ami-12345678", "InstanceType": "t3.micro"}
        )["LaunchTemplate"]["LaunchTemplateId"]
        self.scaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"},
            VPCZoneIdentifier=subnet["SubnetId"],
            NewInstancesProtectedFromScaleIn=True,
            MinSize=0,
            MaxSize=2,
            DesiredCapacity=1,
        )
        self.addCleanup(self.scaling.delete_auto_scaling_group, AutoScalingGroupName=name, ForceDelete=True)
        found = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]["Instances"]
        self.assertEqual(
            [(one["LifecycleState"], one["AvailabilityZone"], one["ProtectedFromScaleIn"]) for one in found],
            [(SERVING, subnet["AvailabilityZone"], True)],
        )

    def test_activities_tell_what_happened(self):
        first, _ = self.states()
        self.terminate(first, decrement=True)
        newest, *others = self.activities()
        self.assertEqual((newest["StatusCode"], newest["Progress"]), ("Successful", 100))
        self.assertIn(first, newest["Description"])
        self.assertIn("shrinking the capacity from 2 to 1", newest["Cause"])
        self.assertEqual(len(others), 2)
        page = self.scaling.describe_scaling_activities(AutoScalingGroupName=self.group, MaxRecords=2)
        rest = self.scaling.describe_scaling_activities(AutoScalingGroupName=self.group, NextToken=page["NextToken"])
        self.assertEqual((len(page["Activities"]), len(rest["Activities"]), "NextToken" in rest), (2, 1, False))

    def test_a_suspended_group_neither_launches_nor_terminates(self):
        self.scaling.suspend_processes(AutoScalingGroupName=self.group, ScalingProcesses=["Launch", "Terminate"])
        before = self.states()
        self.scaling.set_desired_capacity(AutoScalingGroupName=self.group, DesiredCapacity=1)
        self.assertEqual(self.states(), before)
        self.scaling.resume_processes(AutoScalingGroupName=self.group)
        self.eventually_states(SERVING)

    def test_calls_fail_as_told_and_then_work(self):
        controls("PATCH", faults=[{"operation": "SetDesiredCapacity", "times": 2, "group": self.group}])
        for _ in range(2):
            self.refused("Throttling", "Rate exceeded", self.scaling.set_desired_capacity, AutoScalingGroupName=self.group, DesiredCapacity=3)
        self.scaling.set_desired_capacity(AutoScalingGroupName=self.group, DesiredCapacity=3)
        self.assertEqual(len(self.states()), 3)

    def test_a_launch_that_fails_is_an_activity_and_is_tried_again(self):
        fault = {"operation": "LaunchInstance", "code": "InsufficientInstanceCapacity", "message": "No capacity.", "times": 1}
        controls("PATCH", faults=[fault], speed=20)
        self.scaling.set_desired_capacity(AutoScalingGroupName=self.group, DesiredCapacity=3)
        self.assertEqual(len(self.states()), 2)
        failed = self.activities()[0]
        self.assertEqual(failed["StatusCode"], "Failed")
        self.assertIn("No capacity.", failed["StatusMessage"])
        self.eventually_states(SERVING, SERVING, SERVING)

    def test_a_slow_launch_is_pending(self):
        controls("PATCH", launch_seconds=30)
        self.scaling.set_desired_capacity(AutoScalingGroupName=self.group, DesiredCapacity=3)
        self.assertEqual(sorted(self.states().values()), [SERVING, SERVING, "Pending"])
        controls("PATCH", speed=60)
        self.eventually_states(SERVING, SERVING, SERVING)

    def test_policies_change_the_size_within_the_limits(self):
        self.scaling.put_scaling_policy(
            AutoScalingGroupName=self.group, PolicyName="more", AdjustmentType="ChangeInCapacity", ScalingAdjustment=9
        )
        self.scaling.execute_policy(AutoScalingGroupName=self.group, PolicyName="more")
        self.assertEqual((len(self.states()), self.desired()), (5, 5))


class Launching(GroupTest):
    hooks = [{"LifecycleHookName": "hook", "LifecycleTransition": LAUNCHING, "HeartbeatTimeout": 30}]

    def test_new_instances_wait_until_completed(self):
        first, second = self.states()
        self.assertEqual(self.states(), {first: STARTING, second: STARTING})
        self.complete(InstanceId=first)
        self.assertEqual(self.states(), {first: SERVING, second: STARTING})

    def test_an_abandoned_launch_is_replaced(self):
        first, second = self.states()
        self.complete(InstanceId=first, result="ABANDON")
        states = eventually("it is replaced", lambda: len(states := self.states()) == 2 and first not in states and states)
        self.assertEqual(set(states.values()), {STARTING})
        self.assertIn(second, states)

    def test_a_launch_that_nobody_completes_is_abandoned_by_default(self):
        first, second = self.states()
        self.complete(InstanceId=second)
        controls("PATCH", speed=30)
        eventually("it is replaced", lambda: len(states := self.states()) == 2 and first not in states)
        self.assertEqual(self.states()[second], SERVING)

    def test_an_instance_that_is_terminated_on_its_way_in_is_told_of_once(self):
        first, second = self.states()
        self.terminate(first, decrement=True)
        self.assertEqual(self.states(), {second: STARTING})
        self.refused("ValidationError", "No active Lifecycle Action", self.complete, InstanceId=first)
