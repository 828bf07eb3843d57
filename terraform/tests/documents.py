"""What is written from something else: README.md's tables from variables and outputs, the example of the
daemon's env file from the table of settings in the repository's README.md."""

import re
import textwrap
from pathlib import Path

import hcl

MODULE = Path(__file__).resolve().parent.parent
TOP = MODULE.parent
README = MODULE / "README.md"
ENV_FILE = TOP / "maelstromd/package/maelstromd.env"


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def source(path, block, name):
    """The value of an attribute as it is written."""
    lines = path.read_text().splitlines()
    start = block.attributes[name].line - 1
    later = [a.line - 1 for a in block.attributes.values() if a.line - 1 > start]
    later += [b.line - 1 for b in block.blocks]
    end = min((line for line in later if line > start), default=None)
    if end is None:
        end = next(i for i in range(start, len(lines)) if lines[i] == "}")
    text = " ".join(line.strip() for line in lines[start:end]).strip()
    return re.sub(r"\s+", " ", text.split("=", 1)[1].strip())


def kind(text):
    """A type for people: objects by their fields, `?` for what may be left out, `=` for what it is then."""
    text = re.sub(r"(\w+) = optional\(object\(\{([^{}]*)\}\)\)", r"\1?: {\2}", text)
    text = re.sub(r"(\w+) = optional\(([\w()]+), ([^()]*?)\)", r"\1: \2 = \3", text)
    text = re.sub(r"(\w+) = optional\((\w+)\)", r"\1?: \2", text)
    text = re.sub(r"(\w+) = (string|number|bool|list\(string\))", r"\1: \2", text)
    text = re.sub(r"^object\(\{(.*)\}\)$", r"{\1}", text)
    return re.sub(r"(?<=[^\s{,]) (?=\w+\??: )", ", ", text)


def inputs():
    path = MODULE / "variables.tf"
    lines = ["| name | type | default | meaning |", "| --- | --- | --- | --- |"]
    for block in hcl.read(path):
        default = f"`{cell(source(path, block, 'default'))}`" if "default" in block.attributes else "required"
        lines.append(
            f"| `{block.labels[0]}` | `{cell(kind(source(path, block, 'type')))}` | {default} "
            f"| {cell(block.text('description'))} |"
        )
    return "\n".join(lines)


def outputs():
    lines = ["| name | meaning |", "| --- | --- |"]
    for block in hcl.read(MODULE / "outputs.tf"):
        lines.append(f"| `{block.labels[0]}` | {cell(block.text('description'))} |")
    return "\n".join(lines)


def readme():
    text = README.read_text()
    for name, table in (("inputs", inputs()), ("outputs", outputs())):
        text = re.sub(
            rf"(<!-- {name}:.*? -->\n).*?(<!-- /{name} -->)", lambda m: f"{m[1]}\n{table}\n\n{m[2]}", text, flags=re.S
        )
    return text


def settings():
    """Name, default and meaning of each setting of maelstromd."""
    row = re.compile(r"^\| `((?:MAEL|LETSENCRYPT)_\w+)` \| (?:`(.*?)`)? ?\| (.*) \|$", re.M)
    found = row.findall((TOP / "README.md").read_text())
    assert len(found) > 20, "README.md's table of settings is not found any more"
    # What is not built yet is a setting all the same.
    return [(name, default, re.sub(r" \(not in this build: .*\)$", "", help)) for name, default, help in found]


def env_file():
    lines = [
        "# Settings of maelstromd, each with its default: take the # away in front of what should differ.",
        "# `systemctl reload maelstromd` reads this anew, without losing a request.",
        "# `maelstromd --env-file /etc/maelstrom/maelstromd.env config` shows what is in force.",
    ]
    for name, default, help in settings():
        lines += ["", *textwrap.wrap(help, 98, initial_indent="# ", subsequent_indent="# "), f"#{name}={default}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    README.write_text(readme())
    ENV_FILE.write_text(env_file())
