"""The module and its examples as text: syntax, references, arguments, formatting."""

import re
import unittest
from pathlib import Path

import hcl
import schema

MODULE = Path(__file__).resolve().parent.parent
EXAMPLES = sorted(path for path in (MODULE / "examples").iterdir() if path.is_dir())
SCHEMAS = schema.load()
META = {"count", "for_each", "depends_on", "provider"}


class Folder:
    """The blocks of one folder, by what they declare."""

    def __init__(self, path):
        self.path = path
        self.files = sorted(path.glob("*.tf"))
        self.blocks = [block for file in self.files for block in hcl.read(file)]

    def named(self, kind):
        return {block.labels[0]: block for block in self.blocks if block.kind == kind}

    def resources(self):
        return {
            (block.kind, *block.labels): block for block in self.blocks if block.kind in ("resource", "data")
        }

    def locals(self):
        return {
            name: attribute
            for block in self.blocks
            if block.kind == "locals"
            for name, attribute in block.attributes.items()
        }

    def references(self):
        for block, attribute, reference in hcl.references(self.blocks):
            # Names of the resource's own arguments.
            if attribute.name == "ignore_changes":
                continue
            yield f"{block.file}:{reference.line}", reference


FOLDERS = [Folder(MODULE), *map(Folder, EXAMPLES)]
THE_MODULE = FOLDERS[0]


class References(unittest.TestCase):
    def test_everything_that_is_referred_to_exists(self):
        for folder in FOLDERS:
            variables, locals_, modules = folder.named("variable"), folder.locals(), folder.named("module")
            resources = folder.resources()
            for place, reference in folder.references():
                root, path = reference.root, reference.path
                with self.subTest(f"{place}: {reference}"):
                    if root == "var":
                        self.assertIn(path[0], variables)
                    elif root == "local":
                        self.assertIn(path[0], locals_)
                    elif root == "module":
                        self.assertIn(path[0], modules)
                        self.assertIn(path[1], THE_MODULE.named("output"))
                    elif root in ("each", "count", "self", "path"):
                        self.assertIn(path[0], ("key", "value", "index", "module"))
                    elif root in ("string", "number", "bool", "any"):
                        self.assertEqual(path, ())
                    else:
                        kind, *labels = ("data", *path) if root == "data" else ("resource", root, *path)
                        self.assertTrue((kind, *labels[:2]) in resources, "no such resource")
                        if len(labels) > 2:
                            body = SCHEMAS[kind, labels[0]]
                            self.assertIn(labels[2], {*body.attributes, *body.blocks})

    def test_everything_that_is_declared_is_used(self):
        for folder in FOLDERS:
            used = {".".join((r.root, *r.path[:2])) for _, r in folder.references()}
            used |= {".".join((r.root, *r.path[:1])) for _, r in folder.references()}
            # In its own validation a variable is used by nobody.
            outside = {
                f"var.{reference.path[0]}"
                for block, _, reference in hcl.references([b for b in folder.blocks if b.kind != "variable"])
                if reference.root == "var"
            }
            for name in folder.named("variable"):
                self.assertIn(f"var.{name}", outside, folder.path)
            for name in folder.locals():
                self.assertIn(f"local.{name}", used, folder.path)
            for kind, *labels in folder.resources():
                if kind == "data":
                    self.assertIn(".".join(("data", labels[0])), used, folder.path)

    def test_examples_fit_the_module(self):
        variables = THE_MODULE.named("variable")
        required = {name for name, block in variables.items() if "default" not in block.attributes}
        given, told = set(), set()
        for folder in FOLDERS[1:]:
            for call in folder.named("module").values():
                inputs = set(call.attributes) - {"source"}
                self.assertLessEqual(inputs, set(variables), folder.path)
                self.assertLessEqual(required, inputs, folder.path)
                self.assertTrue((folder.path / call.text("source")).resolve() == MODULE, folder.path)
                given |= inputs
            told |= {r.path[1] for _, r in folder.references() if r.root == "module"}
        self.assertEqual(given, set(variables), "every input has an example")
        self.assertEqual(told, set(THE_MODULE.named("output")), "every output has an example")

    def test_all_is_described(self):
        for folder in FOLDERS:
            for kind in ("variable", "output"):
                for name, block in folder.named(kind).items():
                    with self.subTest(f"{folder.path.name}: {kind} {name}"):
                        self.assertRegex(block.text("description") or "", r"^([A-Z`]|true: ).*[.`]$")
                        if kind == "variable":
                            self.assertIn("type", block.attributes)
                        for validation in block.all("validation"):
                            self.assertRegex(validation.text("error_message"), r"^[A-Za-z].*\.$")


class Rights(unittest.TestCase):
    def test_nodes_may_make_the_calls_that_the_store_makes_and_no_others(self):
        sources = (MODULE.parent / "aws/src").rglob("*.rs")
        text = "".join(path.read_text() for path in sources if "tests" not in path.parts)
        calls = set(re.findall(r"\.((?:get|put|update|delete|batch|transact)_[a-z_]*items?|query|scan)\(\)", text))
        self.assertGreater(len(calls), 3, "the store's calls are not found any more")
        # Tables are made and changed by people, or by this module.
        expected = {"dynamodb:DescribeTable"} | {f"dynamodb:{call.title().replace('_', '')}" for call in calls}
        (document,) = (b for b in THE_MODULE.blocks if b.labels == ["aws_iam_policy_document", "node"])
        (store,) = (s for s in document.all("statement") if s.text("sid") == "Store")
        self.assertEqual(set(re.findall(r"dynamodb:\w+", store.attributes["actions"].value.text)), expected)


class Arguments(unittest.TestCase):
    """As Terraform checks them, against what the provider's documentation lists."""

    def fits(self, block, body, place, meta=frozenset()):
        given = {}
        for name, attribute in block.attributes.items():
            if name in meta:
                continue
            self.assertTrue(name in body.attributes, f"{place}:{attribute.line}: no such argument: {name}")
            known = body.attributes[name]
            self.assertTrue(known.required or known.optional, f"{place}:{attribute.line}: {name} is AWS's to tell")
        for name, attribute in body.attributes.items():
            if attribute.required:
                self.assertTrue(name in block.attributes, f"{place}:{block.line}: {name} is required")
        for inner in block.blocks:
            name, content = inner.kind, inner
            if name == "lifecycle" and meta:
                continue
            if name == "dynamic":
                name, content = inner.labels[0], inner.all("content")[0]
            self.assertTrue(name in body.blocks, f"{place}:{inner.line}: no such block: {name}")
            given[name] = given.get(name, 0) + 1
            self.fits(content, body.blocks[name].body, place)
        for name, nested in body.blocks.items():
            count = given.get(name, 0)
            self.assertGreaterEqual(count, nested.least, f"{place}:{block.line}: {name} is required")
            if nested.most:
                self.assertLessEqual(count, nested.most, f"{place}:{block.line}: {name} more than once")

    def test_resources_take_what_they_are_given(self):
        seen = 0
        for folder in FOLDERS:
            for (kind, type_, _), block in folder.resources().items():
                self.fits(block, SCHEMAS[kind, type_], block.file, META)
                seen += 1
        self.assertGreater(seen, 50)


class Formatting(unittest.TestCase):
    """The parts of `terraform fmt` that people get wrong, for machines without it."""

    FILES = sorted(MODULE.rglob("*.tf"))
    ATTRIBUTE = re.compile(r'^( *)([\w"${}./-]+)( *)= (.*)$')

    def test_indentation_and_space(self):
        for file in self.FILES:
            text = file.read_text()
            self.assertTrue(text.endswith("}\n"), file)
            self.assertNotIn("\n\n\n", text, file)
            self.assertNotIn("\t", text, file)
            depth = 0
            for number, line in enumerate(text.splitlines(), 1):
                self.assertEqual(line, line.rstrip(), f"{file}:{number}: space at the end")
                code = re.sub(r'"(?:[^"\\$]|\\.|\$(?!\{)|\$\{[^}]*\})*"', '""', line).split("#")[0]
                closing = len(re.match(r"[\s})\]]*", code)[0].replace(" ", ""))
                opened, closed = sum(map(code.count, "{[(")), sum(map(code.count, "}])"))
                if line:
                    # Several brackets that open in one line indent once.
                    indent = len(line) - len(line.lstrip())
                    self.assertEqual(indent, 2 * (depth - min(closing, 1)), f"{file}:{number}: indentation")
                depth += (opened > closed) - (closed > opened)
            self.assertEqual(depth, 0, file)

    def test_equal_signs_are_aligned(self):
        for file in self.FILES:
            group = []
            for number, line in enumerate([*file.read_text().splitlines(), ""], 1):
                match = self.ATTRIBUTE.match(line)
                code = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
                whole = match and all(code.count(a) == code.count(b) for a, b in ("{}", "[]", "()"))
                if whole and (not group or group[-1][1][1] == match[1]):
                    group.append((number, match))
                    continue
                width = max((len(m[2]) for _, m in group), default=0)
                for at, m in group:
                    self.assertEqual(len(m[2] + m[3]), width + 1, f"{file}:{at}: = is not aligned")
                group = [(number, match)] if whole else []


if __name__ == "__main__":
    unittest.main()
