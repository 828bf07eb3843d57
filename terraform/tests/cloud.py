"""Terraform itself, with the stand-in for the AWS provider (provider.py): applies a configuration and
tells what would be there."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

MODULE = Path(__file__).resolve().parent.parent
PYTHON = os.environ.get("MAEL_TERRAFORM_PYTHON")
MISSING = "no terraform on the PATH" if not shutil.which("terraform") else "start this by terraform/tests/run"
AVAILABLE = bool(shutil.which("terraform") and PYTHON)

SAMPLE = {
    "maelstromd_url": "https://releases.example.com/maelstrom.tar.gz",
    "maelstromd_sha256": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
}


class Refused(Exception):
    """What Terraform says against a configuration, in one line."""


class Cloud:
    """A copy of the module with a place for Terraform's files. Used as a context."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp())
        self.module = self.folder / "terraform"
        shutil.copytree(MODULE, self.module, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        provider = self.folder / "bin/terraform-provider-aws"
        provider.parent.mkdir()
        provider.write_text(f"#!/bin/sh\nexec {PYTHON} -B {Path(__file__).with_name('provider.py')}\n")
        provider.chmod(0o755)
        settings = self.folder / "terraform.rc"
        settings.write_text(
            f'provider_installation {{\n  dev_overrides {{\n    "hashicorp/aws" = "{provider.parent}"\n  }}\n}}\n'
        )
        self.environment = os.environ | {
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": str(settings),
            "TF_DISABLE_PLUGIN_TLS": "1",
            "TF_IN_AUTOMATION": "1",
            "TMPDIR": str(self.folder),
        }
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def terraform(self, folder, *arguments):
        done = subprocess.run(
            ["terraform", *arguments], cwd=folder, env=self.environment, capture_output=True, text=True, timeout=300
        )
        if done.returncode:
            said = re.sub(r"[│╷╵\s]+", " ", done.stderr).strip()
            raise Refused(said.split("Error: ", 1)[-1])
        return done.stdout

    def variables(self, values):
        return [f"-var={name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items()]

    def apply(self, folder, **values):
        """Everything that is there after an apply, by address, and the outputs."""
        state = folder / "terraform.tfstate"
        state.unlink(missing_ok=True)
        if (folder / "main.tf").exists():
            self.terraform(folder, "get", "-no-color")
        self.terraform(folder, "validate", "-no-color")
        self.terraform(folder, "apply", "-no-color", "-input=false", "-auto-approve", *self.variables(values))
        # A second plan has nothing to do.
        self.terraform(folder, "plan", "-no-color", "-input=false", "-detailed-exitcode", *self.variables(values))
        shown = json.loads(self.terraform(folder, "show", "-json", "-no-color"))["values"]
        found, rest = {}, [shown["root_module"]]
        while rest:
            module = rest.pop()
            found |= {r["address"].removeprefix("module.maelstrom."): r["values"] for r in module.get("resources", [])}
            rest += module.get("child_modules", [])
        return found, {name: output["value"] for name, output in shown.get("outputs", {}).items()}

    def apply_module(self, **values):
        return self.apply(self.module, **(SAMPLE | values))

    def variables_only(self):
        """A folder in which only the variables are: their validations need no provider."""
        folder = self.folder / "variables"
        folder.mkdir()
        shutil.copy(self.module / "variables.tf", folder)
        return folder

    def check(self, folder, **values):
        self.terraform(folder, "plan", "-no-color", "-input=false", *self.variables(values))

    def example(self, name):
        return self.module / "examples" / name
