"""The script that makes a machine a node, run on a machine of its own."""

import base64
import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import cloud
import release
import sandbox
import user_data

SETTINGS = """MAEL_STORE=dynamodb:maelstrom
MAEL_TERMINATE_COMMAND=logger "it's over; $(date)" `id`
MAEL_AWS_TERMINATE_QUEUE_URL=https://sqs.eu-central-1.amazonaws.com/123456789012/maelstrom-hook"""
VALUES = {
    "archive_url": "https://releases.example.com/maelstrom.tar.gz?a=b&c=%24d",
    "region": "eu-central-1",
    "private_port": 8374,
    "docker_options": json.dumps({"live-restore": True, "log-opts": {"max-size": "10m"}}),
    "settings": SETTINGS,
    "registries": "",
    "extra_user_data": "",
}
FULL = {
    "registries": "123456789012.dkr.ecr.eu-central-1.amazonaws.com 210987654321.dkr.ecr.us-east-1.amazonaws.com",
    "extra_user_data": "echo \"$HOME has 'quotes' and \\$dollars\" >/extra",
}


class Text(unittest.TestCase):
    def test_shellcheck(self):
        for extra in ({}, FULL):
            script = user_data.render(VALUES | {"archive_sha256": "0" * 64} | extra)
            subprocess.run(["bash", "-n"], input=script, text=True, check=True)
            if shutil.which("shellcheck"):
                done = subprocess.run(["shellcheck", "-"], input=script, text=True, capture_output=True)
                self.assertEqual(done.stdout, "")

    @unittest.skipUnless(cloud.AVAILABLE, cloud.MISSING)
    def test_terraform_renders_the_same(self):
        with cloud.Cloud() as terraform:
            found, _ = terraform.apply(terraform.example("all-inputs"))
        rendered = base64.b64decode(found["aws_launch_template.node"]["user_data"]).decode()
        docker = rendered.split("END_OF_DOCKER_OPTIONS")[1].split("\n")[1]
        settings = rendered.split("END_OF_SETTINGS")[1].split("\n", 1)[1].rstrip()
        self.assertEqual(json.loads(docker)["live-restore"], True)
        self.assertEqual(json.loads(docker)["max-concurrent-downloads"], 6)
        self.assertIn("MAEL_SHUTDOWN_PAUSE_SECONDS=15", settings.split("\n"))
        expected = user_data.render(
            {
                "archive_url": "https://releases.example.com/maelstrom-0.1.0-linux-x86_64.tar.gz",
                "archive_sha256": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
                "region": "eu-central-1",
                "private_port": 8374,
                "docker_options": docker,
                "settings": settings,
                "registries": "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
                "extra_user_data": "sysctl --write net.core.somaxconn=4096",
            }
        )
        self.assertEqual(rendered, expected)


@unittest.skipUnless(sandbox.can_be_made(), "no namespaces to be had here (unshare)")
class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.archive = release.build("archive", release.programs(folder / "programs"), folder / "out")
        cls.sha256 = release.sha256(cls.archive)

    def machine(self, **options):
        machine = self.enterContext(sandbox.Sandbox(**options))
        shutil.copy(self.archive, machine.path("served"))
        return machine

    def boot(self, machine, **values):
        machine.write("/user-data", user_data.render(VALUES | {"archive_sha256": self.sha256} | values), 0o755)
        return machine.run("/user-data")

    def test_a_bare_machine_becomes_a_node(self):
        machine = self.machine()
        done = self.boot(machine)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("this machine is a node", done.stdout)
        self.assertEqual(json.loads(machine.read("/etc/docker/daemon.json")), json.loads(VALUES["docker_options"]))
        self.assertEqual(machine.read("/etc/maelstrom/maelstromd.env"), SETTINGS + "\n", "nothing is expanded")
        self.assertEqual(machine.mode("/etc/maelstrom/maelstromd.env"), 0o640)
        self.assertEqual(machine.read("/etc/default/maelstromd"), "AWS_REGION=eu-central-1\n")
        self.assertEqual(machine.mode("/usr/bin/maelstromd"), 0o755)
        self.assertTrue(machine.exists("/usr/lib/systemd/system/maelstromd.service"))
        self.assertRegex(machine.read("/etc/passwd"), r"(?m)^maelstrom:[x!]:\d+:\d+:.*:/var/lib/maelstrom:/usr/sbin/nologin$")
        calls = machine.calls()
        order = [
            next(i for i, call in enumerate(calls) if part in call)
            for part in ("apt-get -o DPkg", "docker.io", "enable --now docker", VALUES["archive_url"], "start maelstromd", "_mael_health")
        ]
        self.assertEqual(order, sorted(order), calls)
        self.assertNotIn("systemctl poweroff", calls)
        self.assertFalse(machine.exists("/var/lib/maelstrom/.docker"))

    def test_registries_and_extra_user_data(self):
        machine = self.machine()
        done = self.boot(machine, **FULL)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(
            json.loads(machine.read("/var/lib/maelstrom/.docker/config.json")),
            {"credHelpers": {registry: "ecr-login" for registry in FULL["registries"].split()}},
        )
        self.assertIn("chown -R maelstrom:maelstrom /var/lib/maelstrom/.docker", machine.calls())
        self.assertTrue(any("amazon-ecr-credential-helper" in call for call in machine.calls()))
        self.assertEqual(machine.read("/extra"), "/root has 'quotes' and $dollars\n")

    def test_a_busy_archive_is_tried_again(self):
        machine = self.machine()
        machine.write("/state/failures", "3")
        done = self.boot(machine)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("attempt 3 failed", done.stdout)

    def test_amazon_linux(self):
        machine = self.machine(without={"apt-get"}, stand_ins={"dnf": sandbox.FLAKY})
        machine.path("/usr/bin/apt-get").unlink()
        done = self.boot(machine)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        (call,) = [call for call in machine.calls() if call.startswith("dnf")]
        self.assertRegex(call, r"^dnf install --assumeyes docker ca-certificates +tar$")

    def power_off(self, machine, done, why):
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(why, done.stdout)
        self.assertEqual(machine.calls()[-1], "systemctl poweroff")
        self.assertNotIn("this machine is a node", done.stdout)

    def test_a_wrong_archive_is_not_installed(self):
        machine = self.machine()
        done = self.boot(machine, archive_sha256="0" * 64)
        self.power_off(machine, done, f"the archive's SHA-256 is {self.sha256}, not 0000")
        self.assertFalse(machine.exists("/usr/bin/maelstromd"))

    def test_a_daemon_that_does_not_start(self):
        machine = self.machine()
        machine.write("/state/does-not-start", "")
        self.power_off(machine, self.boot(machine), "does not become a node")

    def test_no_package_manager(self):
        machine = self.machine(without={"apt-get", "dnf"})
        machine.path("/usr/bin/apt-get").unlink()
        self.power_off(machine, self.boot(machine), "neither apt-get nor dnf")

    def test_extra_user_data_that_fails(self):
        machine = self.machine()
        self.power_off(machine, self.boot(machine, extra_user_data="false\ntrue"), "running extra_user_data")


if __name__ == "__main__":
    unittest.main()
