"""What Maelstrom uses of AWS answers, and answers as AWS does where it matters."""

import json
import threading
import unittest

from botocore.exceptions import ClientError

from aws import client, eventually, unique


class Tables(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dynamodb = client("dynamodb")
        cls.table = unique("table")
        cls.dynamodb.create_table(
            TableName=cls.table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
        )
        cls.addClassCleanup(cls.dynamodb.delete_table, TableName=cls.table)

    def put(self, pk, version, **condition):
        self.dynamodb.put_item(
            TableName=self.table, Item={"pk": {"S": pk}, "sk": {"S": "0"}, "version": {"N": str(version)}}, **condition
        )

    def test_a_conditional_put_wins_once(self):
        key = unique("lease")
        self.put(key, 1, ConditionExpression="attribute_not_exists(pk)")
        with self.assertRaises(ClientError) as refused:
            self.put(key, 2, ConditionExpression="attribute_not_exists(pk)")
        self.assertEqual(refused.exception.response["Error"]["Code"], "ConditionalCheckFailedException")

    def test_of_eight_racing_writers_one_wins(self):
        key = unique("race")
        won = []

        def race(number):
            try:
                self.put(key, number, ConditionExpression="attribute_not_exists(pk)")
                won.append(number)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    won.append(error)

        threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(won), 1, won)

    def test_a_transaction_is_all_or_nothing(self):
        held, free = unique("held"), unique("free")
        self.put(held, 1)

        def put(pk):
            return {
                "Put": {
                    "TableName": self.table,
                    "Item": {"pk": {"S": pk}, "sk": {"S": "0"}},
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            }

        with self.assertRaises(ClientError) as refused:
            self.dynamodb.transact_write_items(TransactItems=[put(free), put(held)])
        error = refused.exception.response
        self.assertEqual(error["Error"]["Code"], "TransactionCanceledException")
        self.assertEqual([reason["Code"] for reason in error["CancellationReasons"]], ["None", "ConditionalCheckFailed"])
        self.assertNotIn("Item", self.dynamodb.get_item(TableName=self.table, Key={"pk": {"S": free}, "sk": {"S": "0"}}))


class Queues(unittest.TestCase):
    def test_a_message_is_sent_received_and_deleted(self):
        sqs = client("sqs")
        url = sqs.create_queue(QueueName=unique("queue"), Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
        self.addCleanup(sqs.delete_queue, QueueUrl=url)
        sqs.send_message(QueueUrl=url, MessageBody="hello")
        first = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"][0]
        again = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, AttributeNames=["ApproximateReceiveCount"])["Messages"][0]
        self.assertEqual((first["Body"], again["Body"]), ("hello", "hello"))
        self.assertEqual(again["Attributes"]["ApproximateReceiveCount"], "2")
        sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
        self.assertNotIn("Messages", sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2))


class Activities(unittest.TestCase):
    def test_a_state_machine_waits_for_an_activity(self):
        states, iam = client("stepfunctions"), client("iam")
        name = unique("work")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        activity = states.create_activity(name=name)["activityArn"]
        self.addCleanup(states.delete_activity, activityArn=activity)
        machine = states.create_state_machine(
            name=name,
            roleArn=role,
            definition=json.dumps(
                {"StartAt": "Work", "States": {"Work": {"Type": "Task", "Resource": activity, "HeartbeatSeconds": 30, "End": True}}}
            ),
        )["stateMachineArn"]
        self.addCleanup(states.delete_state_machine, stateMachineArn=machine)
        execution = states.start_execution(stateMachineArn=machine, input='{"number": 4}')["executionArn"]
        task = states.get_activity_task(activityArn=activity, workerName="a worker")
        self.assertEqual(json.loads(task["input"]), {"number": 4})
        states.send_task_heartbeat(taskToken=task["taskToken"])
        states.send_task_success(taskToken=task["taskToken"], output='{"square": 16}')
        result = eventually(
            "the execution ends",
            lambda: (found := states.describe_execution(executionArn=execution))["status"] != "RUNNING" and found,
        )
        self.assertEqual((result["status"], json.loads(result["output"])), ("SUCCEEDED", {"square": 16}))


class Metrics(unittest.TestCase):
    def test_a_metric_is_taken(self):
        client("cloudwatch").put_metric_data(Namespace="Test", MetricData=[{"MetricName": unique("metric"), "Value": 1.0}])


class Identity(unittest.TestCase):
    def test_the_account_is_the_emulated_one(self):
        self.assertEqual(client("sts").get_caller_identity()["Account"], "000000000000")
