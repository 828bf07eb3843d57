"""Renders the nodes' user data without Terraform, as far as this template goes: values, and blocks that are
there if a value is not empty. test_user_data holds it to what Terraform renders, where there is one."""

import re
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent / "user_data.sh.tftpl"


def render(values):
    text = TEMPLATE.read_text()
    text = re.sub(
        r'%\{ if (\w+) != "" ~\}\n(.*?)%\{ endif ~\}\n', lambda m: m[2] if values[m[1]] else "", text, flags=re.S
    )
    unknown = re.search(r"(?<!%)%\{", text)
    assert not unknown, f"a directive that is not known here: {text[unknown.start():][:60]}"
    text = re.sub(r"(?<!\$)\$\{(\w+)\}", lambda m: str(values[m[1]]), text)
    return text.replace("$${", "${").replace("%%{", "%{")
