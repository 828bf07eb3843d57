"""The module and its examples as Terraform evaluates them."""

import base64
import json
import re
import unittest
from pathlib import Path

import cloud
from cloud import SAMPLE, Cloud, Refused

REPOSITORY = Path(__file__).resolve().parents[2]
EXISTING = {
    "id": "vpc-1",
    "node_subnet_ids": ["subnet-1", "subnet-2"],
    "load_balancer_subnet_ids": ["subnet-3", "subnet-4"],
}


def allowed(found):
    """Sid of each statement of the nodes' policy → the statement."""
    policy = json.loads(found["aws_iam_role_policy.node"]["policy"])
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def kinds(found):
    return {address.split(".")[0] for address in found if not address.startswith("data.")}


def ports_in(found):
    """Who may reach which port of the nodes."""
    nodes = found["aws_security_group.nodes"]["id"]
    rules = (
        rule
        for address, rule in found.items()
        if address.startswith("aws_vpc_security_group_ingress_rule.") and rule["security_group_id"] == nodes
    )
    return sorted((rule["from_port"], rule["cidr_ipv4"] or rule["referenced_security_group_id"]) for rule in rules)


@unittest.skipUnless(cloud.AVAILABLE, cloud.MISSING)
class Plans(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cloud = cls.enterClassContext(Cloud())

    def test_format(self):
        self.cloud.terraform(self.cloud.module, "fmt", "-check", "-recursive", "-diff")

    def test_the_quickstart(self):
        found, outputs = self.cloud.apply(self.cloud.example("quickstart"), region="eu-central-1", **SAMPLE)
        self.assertRegex(outputs["url"], r"^http://maelstrom-public-\d+\.")
        self.assertEqual(outputs["group_name"], "maelstrom")
        group = found["aws_autoscaling_group.nodes"]
        self.assertEqual((group["min_size"], group["max_size"], group["desired_capacity"]), (2, 6, 2))
        self.assertEqual((group["health_check_type"], group["protect_from_scale_in"]), ("ELB", True))
        self.assertEqual(group["suspended_processes"], ["AZRebalance"])
        spread = group["mixed_instances_policy"][0]["instances_distribution"][0]
        self.assertEqual(spread["on_demand_percentage_above_base_capacity"], 100)
        template = found["aws_launch_template.node"]
        self.assertEqual(template["metadata_options"][0]["http_tokens"], "required")
        self.assertEqual(template["metadata_options"][0]["http_put_response_hop_limit"], 1)
        self.assertEqual(template["block_device_mappings"][0]["ebs"][0]["encrypted"], "true")
        self.assertIn("aws_autoscaling_lifecycle_hook.terminate", found)
        self.assertNotIn("aws_autoscaling_lifecycle_hook.launch[0]", found)
        balancer = found["aws_security_group.load_balancer[0]"]["id"]
        nodes = found["aws_security_group.nodes"]["id"]
        self.assertEqual(ports_in(found), [(80, balancer), (8374, nodes)], "8374 between nodes only")
        self.assertEqual(sum(address.startswith("aws_nat_gateway.") for address in found), 1)
        subnets = [subnet["cidr_block"] for address, subnet in found.items() if address.startswith("aws_subnet.")]
        self.assertEqual(len(set(subnets)), 4)
        self.assertEqual(set(allowed(found)), {"Store", "HookQueue", "LifecycleHooks", "SeeTheGroup"})

    def test_the_store_is_as_the_daemon_wants_it(self):
        found, _ = self.cloud.apply_module()
        table = found["aws_dynamodb_table.store"]
        self.assertEqual((table["hash_key"], table["range_key"], table["billing_mode"]), ("pk", "sk", "PAY_PER_REQUEST"))
        self.assertEqual(table["attribute"], [{"name": "pk", "type": "S"}, {"name": "sk", "type": "S"}])
        self.assertEqual(table["ttl"], [{"attribute_name": "expires", "enabled": True}])
        self.assertTrue(table["point_in_time_recovery"][0]["enabled"] and table["server_side_encryption"][0]["enabled"])
        self.assertTrue(table["deletion_protection_enabled"])
        self.assertEqual(allowed(found)["Store"]["Resource"], table["arn"])

    def test_production_in_an_existing_vpc(self):
        found, outputs = self.cloud.apply(
            self.cloud.example("existing-vpc"),
            region="eu-central-1",
            vpc_id="vpc-1",
            private_subnet_ids=["subnet-1", "subnet-2"],
            public_subnet_ids=["subnet-3", "subnet-4"],
            certificate_arn="arn:aws:acm:eu-central-1:123456789012:certificate/1",
            **SAMPLE,
        )
        self.assertTrue(outputs["load_balancer_dns_name"])
        self.assertTrue(kinds(found).isdisjoint({"aws_vpc", "aws_subnet", "aws_nat_gateway", "aws_route", "aws_eip"}))
        self.assertEqual(set(found["aws_autoscaling_group.nodes"]["vpc_zone_identifier"]), {"subnet-1", "subnet-2"})
        self.assertEqual(found["aws_lb_listener.http[0]"]["default_action"][0]["redirect"][0]["port"], "443")
        self.assertIn("aws_lb_listener.https[0]", found)
        group = found["aws_autoscaling_group.nodes"]
        self.assertTrue(group["capacity_rebalance"])
        spread = group["mixed_instances_policy"][0]["instances_distribution"][0]
        self.assertEqual((spread["on_demand_base_capacity"], spread["on_demand_percentage_above_base_capacity"]), (3, 25))
        rights = allowed(found)
        self.assertIn("autoscaling:SetDesiredCapacity", rights["ResizeTheGroup"]["Action"])
        self.assertEqual(rights["Queues"]["Resource"], found["aws_sqs_queue.orders"]["arn"])
        self.assertEqual(len(found["aws_cloudwatch_metric_alarm.missing_nodes[0]"]["alarm_actions"]), 1)

    def test_a_scaling_policy_follows_the_clusters_metrics(self):
        found, _ = self.cloud.apply(self.cloud.example("scaling-policy"), region="eu-central-1", **SAMPLE)
        group = found["aws_autoscaling_group.nodes"]
        self.assertFalse(group["protect_from_scale_in"], "the policy could not let a node go")
        condition = {"StringEquals": {"cloudwatch:namespace": "Maelstrom"}}
        self.assertEqual(allowed(found)["CapacityMetrics"]["Condition"], condition)
        data = base64.b64decode(found["aws_launch_template.node"]["user_data"]).decode()
        self.assertIn("MAEL_AWS_CAPACITY_METRICS=true\n", data)
        (tracking,) = found["aws_autoscaling_policy.memory"]["target_tracking_configuration"]
        (metric,) = tracking["customized_metric_specification"]
        self.assertEqual(metric["metric_dimension"], [{"name": "AutoScalingGroupName", "value": group["name"]}])
        # The name that the daemon writes.
        written = (REPOSITORY / "core/src/decide/capacity/measure.rs").read_text()
        self.assertIn(f'"{metric["metric_name"]}"', written)

    def test_all_inputs(self):
        found, outputs = self.cloud.apply(self.cloud.example("all-inputs"))
        self.only_what_knows_no_resources_is_allowed_on_everything(found)
        self.assertNotIn(None, outputs["maelstrom"].values())
        self.assertEqual(
            set(allowed(found)),
            {
                "Store", "StoreKey", "HookQueue", "LifecycleHooks", "SeeTheGroup", "ResizeTheGroup", "Queues", "FindQueues",
                "QueueKeys", "Activities", "ActivityTasks", "Images", "RegistryToken", "CapacityMetrics",
            },
        )  # fmt: skip
        self.assertEqual(sum(address.startswith("aws_nat_gateway.") for address in found), 3)
        data = base64.b64decode(found["aws_launch_template.node"]["user_data"]).decode()
        self.assertIn("MAEL_STORE=dynamodb:maelstrom-production\n", data)
        self.assertRegex(data, r"MAEL_AWS_TERMINATE_QUEUE_URL=https://sqs\.\S+/maelstrom-hook\n")

    def only_what_knows_no_resources_is_allowed_on_everything(self, found):
        everywhere = {sid for sid, statement in allowed(found).items() if statement["Resource"] == "*"}
        self.assertEqual(everywhere, {"SeeTheGroup", "FindQueues", "ActivityTasks", "RegistryToken", "CapacityMetrics"})
        for statement in allowed(found).values():
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            for action in actions:
                self.assertRegex(action, r"^[a-z]+:[A-Z][A-Za-z]+$|^kms:(GenerateDataKey|ReEncrypt)\*$")

    def test_without_load_balancer_nodes_face_clients(self):
        found, outputs = self.cloud.apply_module(
            load_balancer="null", nat_gateways="none", ingress_cidrs=["203.0.113.0/24"], settings={"MAEL_PUBLIC_PORT": "8080"}
        )
        nodes = found["aws_security_group.nodes"]["id"]
        self.assertEqual(ports_in(found), [(443, "203.0.113.0/24"), (8080, "203.0.113.0/24"), (8374, nodes)])
        self.assertIsNone(outputs.get("url"))
        self.assertEqual(found["aws_autoscaling_group.nodes"]["health_check_type"], "EC2")
        self.assertEqual(outputs["node_subnet_ids"], outputs["public_subnet_ids"])
        self.assertNotIn("aws_nat_gateway", kinds(found))
        self.assertFalse(any("aws_lb" in kind for kind in kinds(found)))

    def test_without_alarms(self):
        found, outputs = self.cloud.apply_module(alarms="null")
        self.assertNotIn("aws_cloudwatch_metric_alarm", kinds(found))
        self.assertEqual(outputs["alarm_names"], [])

    def test_bad_values_are_refused(self):
        folder = self.cloud.variables_only()
        self.cloud.check(folder, **SAMPLE)
        for values, about in (
            ({"maelstromd_url": "http://example.com/x"}, "https://"),
            ({"maelstromd_url": "https://example.com/x'; reboot; '"}, "https://"),
            ({"maelstromd_sha256": "abc"}, "64 hexadecimal"),
            ({"settings": {"PATH": "/"}}, "MAEL_"),
            ({"settings": {"MAEL_LOG_LEVEL": "info\nEND_OF_SETTINGS\nreboot"}}, "one line"),
            ({"settings": {"MAEL_PRIVATE_PORT": "0"}}, "numbers from 1"),
            ({"docker_options": "5"}, "object"),
            ({"name": "Maelstrom"}, "lower-case"),
            ({"vpc_cidr": "10.0.0.0/24"}, "/16 to /22"),
            ({"zone_count": "1"}, "2, 3 or 4"),
            ({"nat_gateways": "two"}, "per_zone"),
            ({"existing_vpc": EXISTING | {"load_balancer_subnet_ids": []}}, "two zones"),
            ({"ingress_cidrs": ["0.0.0.0"]}, "IPv4 ranges"),
            ({"load_balancer": {"idle_timeout_seconds": 310}}, "MAEL_HTTP_IDLE_TIMEOUT"),
            ({"load_balancer": {"idle_timeout_seconds": 60}, "settings": {"MAEL_HTTP_IDLE_TIMEOUT": "60"}}, "less than"),
            ({"instance_types": []}, "1 to 40"),
            ({"architecture": "riscv"}, "arm64"),
            ({"ami_id": "debian"}, "ami-"),
            ({"min_size": "7"}, "max_size"),
            ({"initial_size": "1"}, "between min_size"),
            ({"spot": {"on_demand_percentage": 101}}, "0 to 100"),
            ({"spot": {"allocation_strategy": "luck"}}, "price-capacity-optimized"),
            ({"root_volume": {"size_gib": 4}}, "10 or more"),
            ({"max_instance_lifetime_seconds": "60"}, "86400"),
            ({"instance_refresh": {"min_healthy_percentage": 50, "max_healthy_percentage": 200}}, "100 apart"),
            ({"wait_for_capacity": "soon"}, "10m"),
            ({"terminate_hook_timeout_seconds": "10"}, "30 to 7200"),
            ({"launch_hook_timeout_seconds": "9000"}, "30 to 7200"),
            ({"table_name": "a"}, "3 to 255"),
            ({"ecr_repository_arns": ["arn:aws:ecr:*:*:repository/x"]}, "with region and account"),
            ({"alarms": {"missing_nodes_minutes": 0}}, "1 to 1440"),
            ({"extra_user_data": "#" * 9_000}, "8 KiB"),
        ):
            with self.subTest(str(values)[:80]):
                with self.assertRaises(Refused) as refused:
                    self.cloud.check(folder, **(SAMPLE | values))
                self.assertIn(about, re.sub(r"\s+", " ", str(refused.exception)))


if __name__ == "__main__":
    unittest.main()
