"""Scaling activities: what a group did, why, and how it went.
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Activity.html"""

import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone

# AWS keeps six weeks of them; here a run of tests, so that memory stays bounded.
KEPT_PER_GROUP = 1000


def now():
    return datetime.now(timezone.utc)


@dataclass
class Activity:
    group: str
    group_arn: str
    description: str
    cause: str
    zone: str = None
    status: str = "InProgress"
    message: str = None
    progress: int = 0
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: datetime = field(default_factory=now)
    ended: datetime = None

    def end(self, status, message=None):
        self.status, self.message, self.progress, self.ended = status, message, 100, now()

    def described(self):
        fields = {
            "ActivityId": self.id,
            "AutoScalingGroupName": self.group,
            "AutoScalingGroupARN": self.group_arn,
            "Description": self.description,
            "Cause": f"At {self.started:%Y-%m-%dT%H:%M:%SZ} {self.cause}.",
            "StartTime": self.started,
            "EndTime": self.ended,
            "StatusCode": self.status,
            "StatusMessage": self.message,
            "Progress": self.progress,
            "Details": json.dumps({"Availability Zone": self.zone}) if self.zone else "{}",
        }
        return {name: value for name, value in fields.items() if value is not None}


class Journal:
    """The activities of one group, newest first."""

    def __init__(self):
        self.activities = []

    def add(self, activity):
        self.activities.insert(0, activity)
        del self.activities[KEPT_PER_GROUP:]
        return activity
