"""The launcher does what its head says, also after the worst. DynamoDB stands for
both parts: it starts in two seconds and the launcher treats them alike."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from aws import eventually

LAUNCHER = pathlib.Path(__file__).parents[1] / "run"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Launcher(unittest.TestCase):
    def setUp(self):
        self.state = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.state)
        self.port = free_port()
        self.addCleanup(self.run_launcher, "down")

    def environment(self, **more):
        return {
            **os.environ,
            "MAEL_TEST_LOCALSTACK_STATE": str(self.state),
            "MAEL_TEST_DYNAMODB_PORT": str(self.port),
            **more,
        }

    def run_launcher(self, *arguments, **more):
        return subprocess.run([LAUNCHER, *arguments], env=self.environment(**more), capture_output=True, text=True, timeout=200)

    def up(self):
        done = self.run_launcher("up", "dynamodb")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(self.listens())
        return done.stderr

    def pid(self):
        return int((self.state / "dynamodb.pid").read_text())

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def test_a_second_up_leaves_a_healthy_part_alone(self):
        self.up()
        first = self.pid()
        self.up()
        self.assertEqual(self.pid(), first)

    def test_a_killed_part_is_started_again(self):
        self.up()
        first = self.pid()
        os.kill(first, signal.SIGKILL)
        eventually("the port is free", lambda: not self.listens())
        self.assertIn("dynamodb: not running", self.run_launcher("status").stdout)
        self.up()
        self.assertNotEqual(self.pid(), first)

    def test_a_part_whose_process_id_was_lost_is_found_and_replaced(self):
        self.up()
        first = self.pid()
        (self.state / "dynamodb.pid").unlink()
        self.up()
        self.assertNotEqual(self.pid(), first)
        self.assertFalse(pathlib.Path(f"/proc/{first}/exe").exists())

    def test_a_stranger_with_the_recorded_process_id_is_left_alone(self):
        with subprocess.Popen(["sleep", "60"]) as stranger:
            (self.state / "dynamodb.pid").write_text(f"{stranger.pid}\n")
            self.up()
            self.run_launcher("down")
            self.assertIsNone(stranger.poll())
            stranger.kill()

    def test_a_frozen_part_is_replaced(self):
        self.up()
        first = self.pid()
        os.kill(first, signal.SIGSTOP)
        self.assertIn("does not answer", self.up())
        self.assertNotEqual(self.pid(), first)

    def test_ups_at_once_start_one(self):
        starts = [
            subprocess.Popen([LAUNCHER, "up", "dynamodb"], env=self.environment(), stderr=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        for start in starts:
            _, said = start.communicate(timeout=200)
            self.assertEqual(start.returncode, 0, said)
        self.assertEqual((self.state / "dynamodb.log").read_text().count("=== "), 1)

    def test_a_taken_port_is_named_with_the_setting(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", self.port))
            taken.listen()
            done = self.run_launcher("up", "dynamodb")
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(self.port), done.stderr)
        self.assertIn("MAEL_TEST_DYNAMODB_PORT", done.stderr)

    def test_the_next_free_port_is_taken_where_none_was_asked_for(self):
        with socket.socket() as taken:
            try:
                taken.bind(("127.0.0.1", 8000))
                taken.listen()
            except OSError:
                pass  # Somebody else has it: all the same.
            done = self.run_launcher("up", "dynamodb", MAEL_TEST_DYNAMODB_PORT="")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("port 8000 is taken", done.stderr)
        self.port = int((self.state / "dynamodb.port").read_text())
        self.assertGreater(self.port, 8000)
        self.assertTrue(self.listens())

    def test_another_port_than_the_running_one_is_refused(self):
        self.up()
        done = self.run_launcher("up", "dynamodb", MAEL_TEST_DYNAMODB_PORT=str(free_port()))
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"runs on port {self.port}", done.stderr)

    def test_the_running_port_is_remembered(self):
        self.up()
        self.assertIn(f"AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:{self.port}\n", self.run_launcher("env", MAEL_TEST_DYNAMODB_PORT="").stdout)

    def test_down_leaves_nothing(self):
        self.up()
        self.assertEqual(self.run_launcher("down").returncode, 0)
        self.assertFalse(self.listens())
        self.assertEqual(self.run_launcher("down").returncode, 0)
