"""What is installed: units, release archive, install script, Debian package, container image."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import release
import sandbox

PACKAGE = release.PACKAGE
UNITS = ["maelstromd.service", "maelstromd-public.socket", "maelstromd-private.socket"]


def sections(unit):
    """Section → name → values, in order."""
    found = {}
    for line in (PACKAGE / unit).read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = found.setdefault(match[1], {})
        elif line and not line.startswith("#"):
            name, value = line.split("=", 1)
            section.setdefault(name, []).append(value)
    return found


class Units(unittest.TestCase):
    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze here")
    def test_systemd_understands_them(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for unit in UNITS:
                shutil.copy(PACKAGE / unit, root)
            # The program is not installed here.
            service = root / "maelstromd.service"
            service.write_text(service.read_text().replace("/usr/bin/maelstromd", "/bin/true"))
            done = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", *(root / unit for unit in UNITS)], capture_output=True, text=True
            )
            # About this machine's other units it may say what it likes.
            ours = [line for line in done.stderr.splitlines() if "maelstromd" in line]
            self.assertEqual(ours, [])
            done = subprocess.run(
                ["systemd-analyze", "security", "--offline=true", "--threshold=25", service], capture_output=True, text=True
            )
            self.assertEqual(done.returncode, 0, f"exposed more than 2.5 of 10:\n{done.stdout[-400:]}{done.stderr}")

    def test_the_service_fits_the_daemon(self):
        service = sections("maelstromd.service")["Service"]
        self.assertEqual(service["Type"], ["notify"])
        self.assertEqual(service["Restart"], ["always"])
        self.assertEqual(service["ExecReload"], ["/bin/kill -HUP $MAINPID"])
        self.assertEqual(service["AmbientCapabilities"], service["CapabilityBoundingSet"])
        self.assertIn("docker", service["SupplementaryGroups"])
        self.assertIn("MALLOC_ARENA_MAX=2", service["Environment"])
        # How it takes sockets over; not in @system-service.
        self.assertIn("pidfd_getfd", service["SystemCallFilter"][0])
        # It watches the ends of containers by their process ids.
        self.assertNotIn("ProtectProc", service)

    def test_a_watchdog_needs_a_daemon_that_pings(self):
        pings = "WATCHDOG=1" in (PACKAGE.parent / "src/daemon/notify.rs").read_text()
        service = sections("maelstromd.service")["Service"]
        self.assertEqual("WatchdogSec" in service, pings, "the one without the other kills it, or does nothing")

    def test_the_sockets_are_the_gateways(self):
        for side, port in (("public", "80"), ("private", "8374")):
            socket = sections(f"maelstromd-{side}.socket")["Socket"]
            self.assertEqual(socket["FileDescriptorName"], [side])
            self.assertEqual(socket["ListenStream"], [port])
            self.assertEqual(socket["Service"], ["maelstromd.service"])

    def test_the_image(self):
        lines = (PACKAGE / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
        words = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
        known = {
            "ARG", "FROM", "RUN", "COPY", "ENV", "WORKDIR", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT",
        }  # fmt: skip
        self.assertLessEqual({name for name, _ in words}, known)
        self.assertEqual([name for name, _ in words[:2]], ["ARG", "FROM"])
        instructions = dict(words)
        self.assertEqual(instructions["COPY"], "maelstromd maelctl /usr/bin/")
        self.assertEqual(instructions["STOPSIGNAL"], "SIGTERM")


class Archives(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.programs = release.programs(cls.folder / "programs")
        cls.archive = release.build("archive", cls.programs, cls.folder / "archive")

    def test_the_same_programs_give_the_same_archive(self):
        again = release.build("archive", self.programs, self.folder / "again")
        self.assertEqual(release.sha256(again), release.sha256(self.archive))
        told = Path(f"{self.archive}.sha256").read_text()
        self.assertEqual(told, f"{release.sha256(self.archive)}  {self.archive.name}\n")

    def test_missing_programs_are_told(self):
        done = subprocess.run([PACKAGE / "build", "archive", self.folder / "none"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cargo build --release", done.stderr)

    @unittest.skipUnless(shutil.which("dpkg-deb"), "no dpkg-deb here")
    def test_the_debian_package(self):
        deb = release.build("deb", self.programs, self.folder / "deb")
        fields = subprocess.run(["dpkg-deb", "--field", deb], capture_output=True, text=True, check=True).stdout
        self.assertRegex(fields, r"(?m)^Package: maelstrom$")
        self.assertRegex(fields, r"(?m)^Depends: libc6 \(>= 2\.34\), ")
        self.assertNotIn("@", fields.replace("maintainers@", ""))
        listed = subprocess.run(["dpkg-deb", "--contents", deb], capture_output=True, text=True, check=True).stdout
        for mode, path in (
            ("-rwxr-xr-x root/root", "/usr/bin/maelstromd"),
            ("-rwxr-xr-x root/root", "/usr/bin/maelctl"),
            ("-rw-r--r-- root/root", "/usr/lib/systemd/system/maelstromd.service"),
            ("-rw-r----- root/root", "/etc/maelstrom/maelstromd.env"),
        ):
            self.assertRegex(listed, rf"(?m)^{re.escape(mode)} .* \.{re.escape(path)}$")
        self.assertNotRegex(listed, r"\.new$")


@unittest.skipUnless(sandbox.can_be_made(), "no namespaces to be had here (unshare)")
class Installs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.archive = release.build("archive", release.programs(folder / "programs"), folder / "out")

    def machine(self):
        machine = self.enterContext(sandbox.Sandbox())
        shutil.copy(self.archive, machine.path("served"))
        subprocess.run(["tar", "-xzf", self.archive, "-C", machine.path("tmp")], check=True)
        return machine

    def install(self, machine, *arguments):
        return machine.run("/tmp/maelstrom/package/install", *arguments)

    def test_from_the_archive(self):
        machine = self.machine()
        done = self.install(machine)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("maelstromd runs: maelstromd 0.1.0", done.stdout)
        self.assertEqual(
            [call for call in machine.calls() if "is-" not in call],
            [
                "chown root:maelstrom /etc/maelstrom/maelstromd.env",
                "systemctl daemon-reload",
                "systemctl enable --quiet maelstromd.service",
                "systemctl start maelstromd.service",
            ],
        )
        self.assertRegex(machine.read("/etc/group"), r"(?m)^docker:")

    def test_an_upgrade_reloads_and_leaves_settings(self):
        machine = self.machine()
        self.install(machine)
        machine.write("/etc/maelstrom/maelstromd.env", "MAEL_PUBLIC_PORT=8080\n", 0o600)
        release.programs(machine.path("/tmp/maelstrom"), "maelstromd 0.2.0")
        machine.write("calls", "")
        done = self.install(machine)
        self.assertIn("maelstromd runs: maelstromd 0.2.0", done.stdout)
        self.assertEqual(machine.read("/etc/maelstrom/maelstromd.env"), "MAEL_PUBLIC_PORT=8080\n")
        calls = machine.calls()
        self.assertIn("systemctl reload maelstromd.service", calls, "in place")
        self.assertFalse({"start", "stop", "restart", "enable"} & {call.split()[1] for call in calls}, calls)

    def test_sockets_come_before_the_service(self):
        machine = self.machine()
        self.assertEqual(self.install(machine, "--sockets").returncode, 0)
        calls = machine.calls()
        sockets = calls.index("systemctl enable --now maelstromd-public.socket maelstromd-private.socket")
        self.assertLess(sockets, calls.index("systemctl start maelstromd.service"))

    def test_one_that_does_not_start_is_told(self):
        machine = self.machine()
        machine.write("/state/does-not-start", "")
        done = self.install(machine)
        self.assertEqual(done.returncode, 1)
        self.assertIn("journalctl -u maelstromd", done.stderr)

    def test_no_start(self):
        machine = self.machine()
        self.assertEqual(self.install(machine, "--no-start").returncode, 0)
        self.assertFalse(any("start" in call or "enable" in call for call in machine.calls()), machine.calls())

    def test_a_download_is_checked(self):
        machine = self.machine()
        url = ["--url", "https://releases.example.com/maelstrom.tar.gz"]
        for arguments, why in (
            (url, "--sha256"),
            ([*url, "--sha256", "1234"], "64 hexadecimal digits"),
            ([*url, "--sha256", "0" * 64], "nothing is installed"),
            (["--url", "http://example.com", "--sha256", "0" * 64], "https://"),
            (["--sha256", "0" * 64], "goes with --url"),
            (["--speed"], "no such option"),
            (["--root"], "needs a value"),
        ):
            done = self.install(machine, *arguments)
            self.assertEqual(done.returncode, 1)
            self.assertIn(why, done.stderr)
            self.assertFalse(machine.exists("/usr/bin/maelstromd"))
        done = self.install(machine, *url, "--sha256", release.sha256(self.archive))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(machine.exists("/usr/bin/maelstromd"))


if __name__ == "__main__":
    unittest.main()
