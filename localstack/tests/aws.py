"""Clients of the test environment, as `localstack/run env` describes it."""

import time
import uuid

import boto3
from botocore.config import Config

# No retries: a test wants to see the first answer. The time-out is over the 60 s
# after which an empty GetActivityTask returns. A proxy never has to do with loopback.
SETTINGS = Config(retries={"total_max_attempts": 1}, read_timeout=70, proxies={})


def client(service):
    """Endpoint, region and credentials come from the environment."""
    return boto3.client(service, config=SETTINGS)


def unique(prefix):
    """The environment has no reset, so every test uses names of its own."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def eventually(what, condition, seconds=20):
    """The first true value of condition(); fails when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not so within {seconds} s")
        time.sleep(0.1)
