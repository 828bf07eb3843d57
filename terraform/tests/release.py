"""A release archive of programs that do nothing but say their version, built as real ones are."""

import hashlib
import os
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "maelstromd/package"


def programs(folder, version="maelstromd 0.1.0"):
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("maelstromd", "maelctl"):
        (folder / name).write_text(f"#!/bin/sh\n# needs GLIBC_2.34 and GLIBC_2.4\necho {version}\n")
        (folder / name).chmod(0o755)
    return folder


def build(what, folder, out):
    """The file that was made."""
    subprocess.run(
        [PACKAGE / "build", what, folder, out], check=True, capture_output=True, text=True, timeout=120,
        env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"},
    )  # fmt: skip
    (made,) = [path for path in out.iterdir() if path.suffix in (".gz", ".deb")]
    return made


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
