"""Reads Terraform's language: blocks, attributes, expressions and what they refer to.

Enough of the HCL syntax specification (github.com/hashicorp/hcl, hclsyntax/spec.md) for this module,
strict about everything else, so that checks work on machines without Terraform. It evaluates nothing.
"""

import re
from dataclasses import dataclass, field


class SyntaxProblem(Exception):
    """Says file, line and what was expected."""


@dataclass
class Token:
    kind: str  # ident, number, string, heredoc, op, newline, end
    text: str
    line: int
    parts: list = field(default_factory=list)  # of a string: expressions inside it


@dataclass
class Reference:
    """`a.b[0].c` is root a, path (b, c)."""

    root: str
    path: tuple
    line: int

    def __str__(self):
        return ".".join((self.root, *self.path))


@dataclass
class Expression:
    line: int
    references: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    literal: object = None  # of a plain string, number, true, false, null
    text: str = ""


@dataclass
class Attribute:
    name: str
    value: Expression
    line: int


@dataclass
class Block:
    kind: str
    labels: list
    attributes: dict
    blocks: list
    line: int
    file: str = ""

    def all(self, kind):
        return [block for block in self.blocks if block.kind == kind]

    def text(self, name):
        """The plain string of an attribute, or None."""
        attribute = self.attributes.get(name)
        return attribute.value.literal if attribute else None


OPERATORS = ["...", "&&", "||", "==", "!=", "<=", ">=", "=>", *"{}[]()=<>+-*/%!?:,."]
BINARY = {"&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%"}


class Reader:
    def __init__(self, text, file, line=1):
        self.file = file
        self.text = text
        self.tokens = self.tokenize(text, line)
        self.at = 0
        self.scopes = []

    # --- tokens ---

    def problem(self, line, message):
        return SyntaxProblem(f"{self.file}:{line}: {message}")

    def tokenize(self, text, line):
        tokens, i = [], 0
        while i < len(text):
            c = text[i]
            if c == "\n":
                tokens.append(Token("newline", c, line))
                line, i = line + 1, i + 1
            elif c in " \t":
                i += 1
            elif c == "#" or text.startswith("//", i):
                i = text.find("\n", i) if "\n" in text[i:] else len(text)
            elif text.startswith("/*", i):
                end = text.find("*/", i)
                if end < 0:
                    raise self.problem(line, "a comment without end")
                line += text.count("\n", i, end)
                i = end + 2
            elif c == '"':
                token, i = self.string(text, i, line)
                tokens.append(token)
            elif match := re.compile(r"<<(-?)([A-Za-z_]\w*)\n").match(text, i):
                end = re.compile(rf"^[ \t]*{match[2]}[ \t]*$", re.M).search(text, match.end())
                if not end:
                    raise self.problem(line, f"a heredoc without its {match[2]}")
                body = text[match.end() : end.start()]
                tokens.append(Token("heredoc", body, line, self.template(body, line + 1)))
                line += text.count("\n", i, end.end())
                i = end.end()
            elif match := re.compile(r"\d+(\.\d+)?([eE][+-]?\d+)?").match(text, i):
                tokens.append(Token("number", match[0], line))
                i = match.end()
            elif match := re.compile(r"[A-Za-z_][\w-]*").match(text, i):
                tokens.append(Token("ident", match[0], line))
                i = match.end()
            else:
                for operator in OPERATORS:
                    if text.startswith(operator, i):
                        tokens.append(Token("op", operator, line))
                        i += len(operator)
                        break
                else:
                    raise self.problem(line, f"unexpected {c!r}")
        tokens.append(Token("end", "", line))
        return tokens

    def string(self, text, start, line):
        """The string that begins at `start`, with its interpolations; strings nest in those."""
        i, depth, parts, begin = start + 1, 0, [], 0
        while i < len(text):
            c = text[i]
            if c == "\n":
                raise self.problem(line, "a string without end")
            if depth == 0:
                if c == "\\":
                    if text[i + 1] not in 'nrt"\\uU':
                        raise self.problem(line, f"no such escape: \\{text[i + 1]}")
                    i += 2
                    continue
                if c == '"':
                    return Token("string", text[start + 1 : i], line, parts), i + 1
                if text.startswith(("$${", "%%{"), i):
                    i += 3
                    continue
                if text.startswith("%{", i):
                    raise self.problem(line, "a template directive in a string: use an expression")
                if text.startswith("${", i):
                    depth, begin = 1, i + 2
                    i += 2
                    continue
                i += 1
                continue
            if c == '"':
                _, i = self.string(text, i, line)
                continue
            depth += (c == "{") - (c == "}")
            if depth == 0:
                parts.append((text[begin:i], line))
            i += 1
        raise self.problem(line, "a string without end")

    def template(self, body, line):
        return [
            (match[1], line + body.count("\n", 0, match.start()))
            for match in re.finditer(r"(?<!\$)\$\{([^}]*)\}", body)
        ]

    # --- grammar ---

    @property
    def token(self):
        return self.tokens[self.at]

    def next(self):
        token = self.token
        self.at += 1
        return token

    def is_op(self, *texts):
        return self.token.kind == "op" and self.token.text in texts

    def take(self, text):
        if not self.is_op(text):
            raise self.problem(self.token.line, f"expected {text!r}, found {self.token.text!r}")
        return self.next()

    def ident(self):
        if self.token.kind != "ident":
            raise self.problem(self.token.line, f"expected a name, found {self.token.text!r}")
        return self.next()

    def newlines(self):
        while self.token.kind == "newline":
            self.next()

    def body(self, closing):
        attributes, blocks = {}, []
        while True:
            self.newlines()
            if self.token.kind == "end" or self.is_op("}"):
                if self.is_op("}") != closing:
                    raise self.problem(self.token.line, "a brace too many or too few")
                return attributes, blocks
            name = self.ident()
            if self.is_op("="):
                self.next()
                if name.text in attributes:
                    raise self.problem(name.line, f"{name.text} is set twice")
                attributes[name.text] = Attribute(name.text, self.expression(), name.line)
            else:
                blocks.append(self.block(name))
            if self.token.kind not in ("newline", "end") and not self.is_op("}"):
                raise self.problem(self.token.line, f"expected a new line, found {self.token.text!r}")

    def block(self, name):
        labels = []
        while not self.is_op("{"):
            if self.token.kind not in ("string", "ident"):
                raise self.problem(self.token.line, f"expected a label or {{, found {self.token.text!r}")
            labels.append(self.next().text)
        self.take("{")
        scope = {labels[0]} if name.text == "dynamic" else set()
        self.scopes.append(scope)
        attributes, blocks = self.body(closing=True)
        self.scopes.pop()
        self.take("}")
        return Block(name.text, labels, attributes, blocks, name.line, self.file)

    def expression(self):
        begin = self.at
        found = Expression(self.token.line)
        self.ternary(found)
        tokens = [token for token in self.tokens[begin : self.at] if token.kind != "newline"]
        found.text = " ".join(f'"{t.text}"' if t.kind == "string" else t.text for t in tokens)
        if len(tokens) == 1:
            only = tokens[0]
            if only.kind == "string" and not only.parts:
                found.literal = re.sub(r'\\([\\"])', r"\1", only.text)
            elif only.kind == "number":
                found.literal = float(only.text)
            elif only.text in ("true", "false", "null"):
                found.literal = {"true": True, "false": False, "null": None}[only.text]
        return found

    def ternary(self, found):
        self.binary(found)
        if self.is_op("?"):
            self.next()
            self.newlines()
            self.ternary(found)
            self.newlines_before(":")
            self.take(":")
            self.newlines()
            self.ternary(found)

    def newlines_before(self, text):
        """Inside brackets new lines may come anywhere; elsewhere none come here."""
        ahead = self.at
        while self.tokens[ahead].kind == "newline":
            ahead += 1
        if self.tokens[ahead].text == text:
            self.at = ahead

    def binary(self, found):
        self.unary(found)
        while self.is_op(*BINARY):
            self.next()
            self.newlines()
            self.unary(found)

    def unary(self, found):
        while self.is_op("!", "-"):
            self.next()
        self.postfix(found)

    def postfix(self, found):
        token = self.token
        reference = None
        if token.kind == "ident":
            self.next()
            if self.is_op("("):
                found.calls.append((token.text, token.line))
                self.arguments(found)
            elif token.text not in ("true", "false", "null"):
                reference = Reference(token.text, (), token.line)
        elif token.kind in ("string", "heredoc"):
            self.next()
            for text, line in token.parts:
                self.inner(text, line, found)
        elif token.kind == "number":
            self.next()
        elif self.is_op("("):
            self.next()
            self.newlines()
            self.ternary(found)
            self.newlines()
            self.take(")")
        elif self.is_op("["):
            self.collection(found, "]")
        elif self.is_op("{"):
            self.collection(found, "}")
        else:
            raise self.problem(token.line, f"expected a value, found {token.text!r}")
        while True:
            if self.is_op("."):
                self.next()
                if self.is_op("*") or self.token.kind == "number":
                    self.next()
                else:
                    name = self.ident().text
                    if reference:
                        reference.path += (name,)
            elif self.is_op("["):
                self.next()
                if self.is_op("*"):
                    self.next()
                else:
                    self.newlines()
                    self.ternary(found)
                    self.newlines()
                self.take("]")
            else:
                break
        if reference and not any(reference.root in scope for scope in self.scopes):
            found.references.append(reference)

    def inner(self, text, line, found):
        reader = Reader(text, self.file, line)
        reader.scopes = self.scopes
        reader.newlines()
        reader.ternary(found)
        reader.newlines()
        if reader.token.kind != "end":
            raise self.problem(line, f"expected the end of ${{{text}}}")

    def arguments(self, found):
        self.take("(")
        self.newlines()
        while not self.is_op(")"):
            self.ternary(found)
            if self.is_op("..."):
                self.next()
            self.newlines()
            if not self.is_op(")"):
                self.take(",")
                self.newlines()
        self.take(")")

    def collection(self, found, closing):
        self.next()
        self.newlines()
        if self.token.kind == "ident" and self.token.text == "for":
            self.comprehension(found, closing)
            return
        while not self.is_op(closing):
            if closing == "}":
                if self.token.kind == "ident" and self.tokens[self.at + 1].text in ("=", ":"):
                    self.next()
                else:
                    self.ternary(found)
                if not self.is_op("=", ":"):
                    raise self.problem(self.token.line, f"expected = after a key, found {self.token.text!r}")
                self.next()
            self.ternary(found)
            separated = self.token.kind == "newline" and closing == "}"
            self.newlines()
            if self.is_op(","):
                self.next()
                separated = True
                self.newlines()
            if not separated and not self.is_op(closing):
                raise self.problem(self.token.line, f"expected , or {closing}, found {self.token.text!r}")
        self.take(closing)

    def comprehension(self, found, closing):
        self.next()
        names = {self.ident().text}
        if self.is_op(","):
            self.next()
            names.add(self.ident().text)
        if self.ident().text != "in":
            raise self.problem(self.token.line, "expected in")
        self.ternary(found)
        self.take(":")
        self.newlines()
        self.scopes.append(names)
        self.ternary(found)
        if self.is_op("=>"):
            self.next()
            self.newlines()
            self.ternary(found)
            if self.is_op("..."):
                self.next()
        self.newlines()
        if self.token.kind == "ident" and self.token.text == "if":
            self.next()
            self.ternary(found)
            self.newlines()
        self.scopes.pop()
        self.take(closing)


def read(path):
    """The blocks of one file."""
    attributes, blocks = Reader(path.read_text(), str(path)).body(closing=False)
    if attributes:
        raise SyntaxProblem(f"{path}: attributes outside of a block: {', '.join(attributes)}")
    return blocks


def walk(block):
    """The block and all inside it."""
    yield block
    for inner in block.blocks:
        yield from walk(inner)


def references(blocks):
    for outer in blocks:
        for block in walk(outer):
            for attribute in block.attributes.values():
                for reference in attribute.value.references:
                    yield block, attribute, reference
