"""What the AWS provider takes: reads schema.txt."""

import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Attribute:
    name: str
    type: str
    required: bool
    optional: bool
    computed: bool


@dataclass
class Nested:
    """A block in a block, `nesting` list, set or single, at least and at most so many (0: any)."""

    name: str
    nesting: str
    least: int
    most: int
    body: "Body"


@dataclass
class Body:
    attributes: dict = field(default_factory=dict)
    blocks: dict = field(default_factory=dict)


def load(path=Path(__file__).with_name("schema.txt")):
    """`{("resource", "aws_vpc"): Body, …}`"""
    found = {}
    stack = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        words = line.split()
        if depth == 0:
            body = found[words[0], words[1]] = Body()
            stack = [body]
            continue
        del stack[depth:]
        if match := re.fullmatch(r"((?:list|set|map)?\(?(?:string|number|bool)\)?)([!?+]+)", words[1]):
            kind, flags = match.groups()
            attribute = Attribute(words[0], kind, "!" in flags, "?" in flags, "+" in flags)
            stack[-1].attributes[words[0]] = attribute
        elif len(words) == 4 and words[1] in ("list", "set", "single"):
            nested = Nested(words[0], words[1], int(words[2]), int(words[3]), Body())
            stack[-1].blocks[words[0]] = nested
            stack.append(nested.body)
        else:
            raise ValueError(f"{path}:{number}: not understood: {line.strip()}")
    return found
