"""One instance: what its metadata says, and its tokens. No network here.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html"""

import json
import secrets
import threading
import time
from datetime import datetime, timedelta, timezone

# "The minimum is 1 second, the maximum 21600 seconds (six hours)."
TOKEN_SECONDS = range(1, 21601)
# More living tokens than any one client has; the oldest go, so that memory stays bounded.
TOKENS_KEPT = 1000


class Instance:
    """Values are texts by their path under /latest/, as meta-data/instance-id."""

    def __init__(self, instance_id, zone, role=None):
        self._lock = threading.Lock()
        self._tokens = {}
        self.unwell = {}
        self._values = {
            "meta-data/instance-id": instance_id,
            "meta-data/instance-type": "t3.micro",
            "meta-data/instance-life-cycle": "on-demand",
            "meta-data/placement/availability-zone": zone,
            "meta-data/placement/region": zone[:-1],
            # What it is while nothing happens to an instance of a group:
            # https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
            "meta-data/autoscaling/target-lifecycle-state": "InService",
        }
        if role:
            self._values[f"meta-data/iam/security-credentials/{role}"] = _credentials()

    def issue_token(self, seconds):
        with self._lock:
            token = secrets.token_urlsafe(42)
            self._tokens[token] = time.monotonic() + seconds
            while len(self._tokens) > TOKENS_KEPT:
                del self._tokens[next(iter(self._tokens))]
            return token

    def accepts(self, token):
        with self._lock:
            return time.monotonic() < self._tokens.get(token, 0.0)

    def forget_tokens(self):
        """As when an instance's metadata service starts anew."""
        with self._lock:
            self._tokens.clear()

    def set(self, path, value):
        with self._lock:
            self._values[path] = value

    def clear(self, path):
        """Whether it was there."""
        with self._lock:
            return self._values.pop(path, None) is not None

    def values(self):
        with self._lock:
            return dict(self._values)

    def read(self, path):
        """The value at a path, else a listing of what is below it, else None."""
        with self._lock:
            # SDKs ask for some values with a slash behind.
            path = path.rstrip("/")
            if path in self._values:
                return self._values[path]
            folder = path + "/" if path else ""
            below = [known[len(folder) :] for known in self._values if known.startswith(folder)]
            names = {name.split("/", 1)[0] + ("/" if "/" in name else "") for name in below}
            return "\n".join(sorted(names)) or None


def _credentials():
    """Keys that the emulated AWS takes, in the shape of
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html"""
    now = datetime.now(timezone.utc)
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "Type": "AWS-HMAC",
            "AccessKeyId": "test",
            "SecretAccessKey": "test",
            "Token": "test",
            "Expiration": f"{now + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
        }
    )
