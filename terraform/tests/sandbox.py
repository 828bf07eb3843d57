"""A machine to install things on that is not this one: a root of its own with this machine's programs in
it, and stand-ins for those that would reach outside or need a running system. Every call of a stand-in is
written down.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

OUTSIDE = ["/bin/sh", "-c", "true"]
UNSHARE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]

# Every stand-in begins like this.
RECORD = '#!/bin/sh\necho "$(basename "$0") $*" >>/calls\n'
SYSTEMCTL = RECORD + """
case "$1" in
  is-active) [ -e "/state/active-$3" ] ;;
  is-enabled) [ -e "/state/enabled-$3" ] ;;
  enable) for unit; do touch "/state/enabled-$unit"; done ;;
  start | restart) [ ! -e /state/does-not-start ] && touch "/state/active-$2" ;;
  stop) rm -f "/state/active-$2" ;;
esac
"""
CURL = RECORD + """
for last; do :; done
case "$last" in
  */_mael_health_check) [ -e /state/active-maelstromd.service ] ;;
  *)
    while [ $# -gt 0 ]; do
      if [ "$1" = --output ]; then cp /served "$2"; fi
      shift
    done
    ;;
esac
"""
# Fails as often as a file says.
FLAKY = RECORD + """
left=$(cat /state/failures 2>/dev/null || echo 0)
if [ "$left" -gt 0 ]; then
  echo $((left - 1)) >/state/failures
  exit 100
fi
"""
STAND_INS = {"systemctl": SYSTEMCTL, "curl": CURL, "apt-get": FLAKY, "chown": RECORD, "sleep": RECORD}


def can_be_made():
    try:
        return subprocess.run([*UNSHARE, *OUTSIDE], capture_output=True, timeout=30).returncode == 0
    except OSError:
        return False


class Sandbox:
    """Used as a context. `without`: programs that are not there."""

    def __init__(self, without=(), stand_ins=()):
        self.without = set(without)
        self.stand_ins = STAND_INS | dict(stand_ins)

    def __enter__(self):
        self.root = Path(tempfile.mkdtemp())
        self.root.chmod(0o755)
        for folder in ("etc", "dev", "proc", "host", "tmp", "run/systemd/system", "var/lib", "state", "usr/lib/systemd"):
            (self.root / folder).mkdir(parents=True)
        for folder in ("bin", "sbin", "lib"):
            (self.root / "usr" / folder).mkdir(exist_ok=True)
            for program in Path("/usr", folder).iterdir():
                if program.name not in self.without | set(self.stand_ins) | {"systemd", "maelstromd", "maelctl"}:
                    (self.root / "usr" / folder / program.name).symlink_to(f"/host/{folder}/{program.name}")
            (self.root / folder).symlink_to(f"usr/{folder}")
        for folder in ("lib64", "share"):
            (self.root / "usr" / folder).symlink_to(f"/host/{folder}")
        (self.root / "lib64").symlink_to("usr/lib64")
        for name, text in self.stand_ins.items():
            self.write(f"usr/bin/{name}", text, 0o755)
        for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache", "login.defs"):
            if Path("/etc", name).exists():
                shutil.copy(Path("/etc", name), self.root / "etc")
        shutil.copytree("/etc/alternatives", self.root / "etc/alternatives", symlinks=True)
        self.write("calls", "")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root)

    def path(self, path):
        return self.root / path.lstrip("/")

    def write(self, path, text, mode=0o644):
        path = self.path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def read(self, path):
        return self.path(path).read_text()

    def exists(self, path):
        return os.path.lexists(self.path(path))

    def mode(self, path):
        return self.path(path).stat().st_mode & 0o7777

    def calls(self):
        """Of stand-ins so far, without waiting."""
        return [call for call in self.read("calls").splitlines() if not call.startswith("sleep ")]

    def run(self, *command):
        """Runs it in there, as root of there."""
        inside = (
            'set -e; cd "$0"; mount --rbind /usr host; mount --rbind /dev dev; mount --rbind /proc proc; '
            'exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin HOME=/root "$@"'
        )
        return subprocess.run(
            [*UNSHARE, "bash", "-c", inside, str(self.root), *command], capture_output=True, text=True, timeout=120
        )
