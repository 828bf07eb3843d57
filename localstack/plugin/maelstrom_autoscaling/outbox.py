"""Sends what was written while the lock was held, after it was given back: SQS, SNS
and EventBridge are services of the same LocalStack and must not be waited for inside."""

import json
import logging
from dataclasses import dataclass

from localstack.aws.connect import connect_to

LOG = logging.getLogger(__name__)


@dataclass
class Direct:
    """To the queue or topic of a hook."""

    account: str
    region: str
    target: str
    body: dict

    def send(self):
        # arn:aws:sqs:region:account:name
        _, _, service, region, account, name = self.target.split(":", 5)
        if service == "sqs":
            sqs = connect_to(aws_access_key_id=account, region_name=region).sqs
            url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody=json.dumps(self.body))
        elif service == "sns":
            sns = connect_to(aws_access_key_id=account, region_name=region).sns
            sns.publish(
                TopicArn=self.target,
                Subject=f'Auto Scaling: Lifecycle action for group "{self.body["AutoScalingGroupName"]}"',
                Message=json.dumps(self.body),
            )
        else:
            raise ValueError(f"a notification target is a queue or a topic, not {self.target}")


@dataclass
class Event:
    """To the default bus of EventBridge."""

    account: str
    region: str
    resources: list
    detail_type: str
    detail: dict

    def send(self):
        entry = {
            "Source": "aws.autoscaling",
            "DetailType": self.detail_type,
            "Detail": json.dumps(self.detail),
            "Resources": self.resources,
        }
        connect_to(aws_access_key_id=self.account, region_name=self.region).events.put_events(Entries=[entry])


def send_all(letters):
    """Best effort, as AWS's: what can't be delivered is logged and lost."""
    for letter in letters:
        try:
            letter.send()
        except Exception as error:
            LOG.warning("could not send %s: %s", letter, error)
