"""The metadata server answers as EC2's, and tests steer it."""

import http.client
import json
import pathlib
import signal
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

from botocore.utils import InstanceMetadataFetcher, InstanceMetadataRegionFetcher

from aws import eventually

SERVER = pathlib.Path(__file__).parents[1] / "metadata"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
ID = "i-0123456789abcdef0"


def call(method, url, body=None, timeout=10, **headers):
    """(status, text, headers) of an answer."""
    request = urllib.request.Request(url, method=method, data=body.encode() if body is not None else None)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with OPENER.open(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers


class Metadata(unittest.TestCase):
    def setUp(self):
        self.server = subprocess.Popen(
            [sys.executable, SERVER, "--control", "127.0.0.1:0", "--instance", f"{ID}@127.0.0.1:0", "--role", "node"],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.stop)
        self.control = self.server.stdout.readline().split()[1]
        name, self.url = self.server.stdout.readline().split()
        self.assertEqual(name, ID)

    def stop(self):
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()

    def token(self, seconds="60", url=None):
        status, token, headers = call("PUT", (url or self.url) + "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds=seconds)
        self.assertEqual((status, headers["X-aws-ec2-metadata-token-ttl-seconds"]), (200, seconds))
        return token

    def get(self, path, token=None, url=None):
        status, text, _ = call("GET", f"{url or self.url}/latest/meta-data/{path}", X_aws_ec2_metadata_token=token or self.token(url=url))
        return status, text

    def steer(self, method, path, body=None, instance=ID):
        return call(method, f"{self.control}/instances/{instance}{path}", body)

    def test_nothing_is_told_without_a_token(self):
        path = "/latest/meta-data/instance-id"
        self.assertEqual(call("GET", self.url + path)[0], 401)
        self.assertEqual(call("GET", self.url + path, X_aws_ec2_metadata_token="invented")[0], 401)
        self.assertEqual(self.get("instance-id"), (200, ID))

    def test_a_token_needs_a_time_to_live_and_no_proxy(self):
        path = self.url + "/latest/api/token"
        self.assertEqual(call("PUT", path)[0], 400)
        for seconds in ("0", "21601", "soon", "-1"):
            self.assertEqual(call("PUT", path, X_aws_ec2_metadata_token_ttl_seconds=seconds)[0], 400, seconds)
        self.assertEqual(call("PUT", path, X_aws_ec2_metadata_token_ttl_seconds="60", X_Forwarded_For="10.0.0.1")[0], 403)

    def test_tokens_end(self):
        token = self.token("1")
        self.assertEqual(self.get("instance-id", token)[0], 200)
        eventually("the token is over", lambda: self.get("instance-id", token)[0] == 401)
        token = self.token()
        self.assertEqual(self.steer("DELETE", "/tokens")[0], 200)
        self.assertEqual(self.get("instance-id", token)[0], 401)

    def test_notices_are_404_until_they_are_set_and_after_they_are_cleared(self):
        notice = json.dumps({"action": "terminate", "time": "2030-01-01T00:02:00Z"})
        for path in ("spot/instance-action", "events/recommendations/rebalance"):
            self.assertEqual(self.get(path)[0], 404)
            self.assertEqual(self.steer("PUT", f"/meta-data/{path}", notice)[0], 200)
            self.assertEqual(self.get(path), (200, notice))
            self.assertEqual(self.steer("DELETE", f"/meta-data/{path}")[0], 200)
            self.assertEqual(self.get(path)[0], 404)
            self.assertEqual(self.steer("DELETE", f"/meta-data/{path}")[0], 404)

    def test_the_target_state_changes(self):
        self.assertEqual(self.get("autoscaling/target-lifecycle-state"), (200, "InService"))
        self.steer("PUT", "/meta-data/autoscaling/target-lifecycle-state", "Terminated")
        self.assertEqual(self.get("autoscaling/target-lifecycle-state"), (200, "Terminated"))

    def test_folders_are_listed(self):
        self.assertEqual(self.get("placement/"), (200, "availability-zone\nregion"))
        self.assertIn("placement/\n", self.get("")[1] + "\n")
        self.assertEqual(self.get("iam/security-credentials/"), (200, "node"))

    def test_an_sdk_finds_credentials_and_region(self):
        credentials = InstanceMetadataFetcher(base_url=self.url + "/", config={"ec2_metadata_v1_disabled": True}).retrieve_iam_role_credentials()
        self.assertEqual((credentials["role_name"], credentials["access_key"]), ("node", "test"))
        self.assertEqual(InstanceMetadataRegionFetcher(base_url=self.url + "/").retrieve_region(), "us-east-1")

    def test_instances_come_and_go_and_know_nothing_of_each_other(self):
        other = "i-0fedcba9876543210"
        status, answer, _ = self.steer("PUT", "", json.dumps({"zone": "eu-west-1b"}), other)
        self.assertEqual(status, 200)
        url = json.loads(answer)["url"]
        self.assertEqual(json.loads(call("GET", self.control + "/instances")[1]), {ID: self.url, other: url})
        self.assertEqual(self.get("placement/region", url=url), (200, "eu-west-1"))
        self.assertEqual(self.get("instance-id", self.token(), url)[0], 401)
        self.steer("PUT", "/meta-data/spot/instance-action", "{}", other)
        self.assertEqual(self.get("spot/instance-action")[0], 404)
        self.assertEqual(self.steer("PUT", "", "{}", other)[0], 400)
        kept = http.client.HTTPConnection(url.split("//")[1], timeout=10)
        self.addCleanup(kept.close)
        kept.request("GET", "/")
        self.assertEqual(kept.getresponse().read(), b"")
        self.assertEqual(self.steer("DELETE", "", instance=other)[0], 200)
        with self.assertRaises(OSError):
            # Auto-reconnects are refused like anybody's connection.
            kept.request("GET", "/")
            kept.getresponse()
        with self.assertRaises(urllib.error.URLError):
            call("GET", url)

    def test_trouble_comes_and_goes(self):
        self.steer("PUT", "/trouble", '{"status": 503}')
        self.assertEqual(call("PUT", self.url + "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60")[0], 503)
        self.steer("PUT", "/trouble", '{"delay_seconds": 5}')
        with self.assertRaises(TimeoutError):
            call("GET", self.url + "/latest/meta-data/instance-id", timeout=0.5)
        self.steer("PUT", "/trouble", "{}")
        self.assertEqual(self.get("instance-id"), (200, ID))

    def test_a_taken_address_is_said(self):
        taken = self.url.split("//")[1]
        done = subprocess.run([sys.executable, SERVER, "--control", "127.0.0.1:0", "--instance", f"i-2@{taken}"], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"cannot listen on {taken} for i-2", done.stderr)

    def test_it_stops_when_told(self):
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(10), 0)
