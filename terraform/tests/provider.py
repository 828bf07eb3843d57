#!/usr/bin/env python3
"""A stand-in for the AWS provider, with which Terraform validates, plans and applies the module where the
real one can't be had: it takes what schema.txt lists and refuses everything else, makes nothing, and tells
made-up values. What only AWS knows (whether a value is acceptable to it) it doesn't find.

It speaks Terraform's plugin protocol 6 (github.com/hashicorp/terraform, docs/plugin-protocol/tfplugin6.proto):
gRPC messages, whose few fields that matter here are read and written by hand.
"""

import json
import os
import sys
import tempfile
import threading
import zlib
from concurrent import futures

import grpc
import msgpack

import schema

UNKNOWN = msgpack.ExtType(0, b"\0")
SCHEMAS = schema.load()
REGION = "eu-central-1"
ACCOUNT = "123456789012"


# --- protocol buffers: a message is fields of number and value ---


def varint(value):
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def message(*fields):
    out = b""
    for number, value in fields:
        if isinstance(value, str):
            value = value.encode()
        if isinstance(value, (bool, int)):
            out += varint(number << 3) + varint(int(value))
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def fields(data):
    """The last value of each field of a message."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        else:
            length = number()
            found[key >> 3] = data[at : at + length]
            at += length
    return found


# --- schemas ---


def type_of(text):
    kind, _, inner = text.partition("(")
    return [kind, inner[:-1]] if inner else kind


def block(body):
    attributes = [
        (2, message((1, a.name), (2, json.dumps(type_of(a.type))), (4, a.required), (5, a.optional), (6, a.computed)))
        for a in body.attributes.values()
    ]
    nesting = {"single": 1, "list": 2, "set": 3}
    blocks = [
        (3, message((1, b.name), (2, block(b.body)), (3, nesting[b.nesting]), (4, b.least), (5, b.most)))
        for b in body.blocks.values()
    ]
    return message(*attributes, *blocks)


def get_schema(_):
    def entries(kind, field):
        return [
            (field, message((1, name), (2, message((2, block(body))))))
            for (of, name), body in SCHEMAS.items()
            if of == kind
        ]

    region = schema.Body({"region": schema.Attribute("region", "string", False, True, False)})
    return message((1, message((2, block(region)))), *entries("resource", 2), *entries("data", 3))


# --- values ---


def value_in(data):
    return msgpack.unpackb(fields(data)[1], strict_map_key=False) if data else None


def value_out(value):
    return message((1, msgpack.packb(value)))


def is_unknown(value):
    return isinstance(value, msgpack.ExtType)


def fill(body, value, make):
    """Sets what AWS tells and nobody gave, in `value` and all blocks inside it."""
    for attribute in body.attributes.values():
        given = value.get(attribute.name)
        if attribute.computed and (given is None or is_unknown(given)):
            value[attribute.name] = make(attribute)
    for nested in body.blocks.values():
        inner = value.get(nested.name) or []
        for each in inner if isinstance(inner, list) else [inner]:
            if isinstance(each, dict):
                fill(nested.body, each, make)
    return value


def made_up(kind, value):
    """A function for fill: what AWS could tell. The same about the same."""
    this = zlib.crc32(json.dumps([kind, value], default=str, sort_keys=True).encode())
    name = value.get("name") or value.get("alarm_name")
    name = name if isinstance(name, str) else f"{kind.removeprefix('aws_')}-{this}"
    arn = f"arn:aws:{kind.removeprefix('aws_').replace('_', '-')}:{REGION}:{ACCOUNT}:{name}"
    told = {
        "account_id": ACCOUNT,
        "architecture": "x86_64",
        "arn": arn,
        "arn_suffix": f"app/{name}/{this:016x}",
        "dns_name": f"{name}-{this}.{REGION}.elb.amazonaws.com",
        "dns_suffix": "amazonaws.com",
        "latest_version": 1,
        "name": name,
        "names": [f"{REGION}{letter}" for letter in "cab"],
        "partition": "aws",
        "region": REGION,
        "root_device_name": "/dev/xvda",
        "url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}",
    }
    empty = {"string": f"{kind}-{this}", "number": this, "bool": False}

    def make(attribute):
        if attribute.name == "id" and kind == "aws_ami":
            return f"ami-{this:017x}"
        if attribute.name in told and (attribute.name != "region" or "region" not in value):
            return told[attribute.name]
        if attribute.name == "region":
            return REGION
        if "(" in attribute.type:
            return {} if attribute.type.startswith("map") else []
        return empty[attribute.type]

    return make


def policy_document(config):
    """The JSON of aws_iam_policy_document."""

    def one_or_many(values):
        return values[0] if len(values) == 1 else sorted(values, reverse=True)

    statements = []
    for given in config["statement"]:
        statement = {"Sid": given["sid"] or None, "Effect": given["effect"] or "Allow"}
        for key, name in (("actions", "Action"), ("resources", "Resource")):
            if given[key]:
                statement[name] = one_or_many(given[key])
        for principal in given["principals"]:
            statement.setdefault("Principal", {})[principal["type"]] = one_or_many(principal["identifiers"])
        for condition in given["condition"]:
            tests = statement.setdefault("Condition", {}).setdefault(condition["test"], {})
            tests[condition["variable"]] = one_or_many(condition["values"])
        statements.append({key: value for key, value in statement.items() if value})
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)


# --- the provider ---


def plan(request):
    kind = request[1].decode()
    proposed = value_in(request[3])
    if proposed is not None and value_in(request[2]) is None:
        fill(SCHEMAS["resource", kind], proposed, lambda _: UNKNOWN)
    return message((1, value_out(proposed)), (5, True))


def apply(request):
    kind = request[1].decode()
    planned = value_in(request[3])
    if planned is not None:
        fill(SCHEMAS["resource", kind], planned, made_up(kind, planned))
    return message((1, value_out(planned)), (4, True))


def read_data(request):
    kind = request[1].decode()
    config = value_in(request[2])
    if kind == "aws_iam_policy_document":
        config["json"] = policy_document(config)
    return message((1, value_out(fill(SCHEMAS["data", kind], config, made_up(kind, config)))))


class Provider(grpc.GenericRpcHandler):
    def __init__(self):
        self.stopped = threading.Event()
        self.methods = {
            "tfplugin6.Provider/GetProviderSchema": get_schema,
            "tfplugin6.Provider/ValidateProviderConfig": lambda _: b"",
            "tfplugin6.Provider/ConfigureProvider": lambda _: b"",
            "tfplugin6.Provider/ValidateResourceConfig": lambda _: b"",
            "tfplugin6.Provider/ValidateDataResourceConfig": lambda _: b"",
            "tfplugin6.Provider/UpgradeResourceState": lambda r: message(
                (1, message((1, msgpack.packb(json.loads(fields(r[3])[1])))))
            ),
            "tfplugin6.Provider/ReadResource": lambda r: message((1, r[2])),
            "tfplugin6.Provider/PlanResourceChange": plan,
            "tfplugin6.Provider/ApplyResourceChange": apply,
            "tfplugin6.Provider/ReadDataSource": read_data,
            "tfplugin6.Provider/StopProvider": lambda _: b"",
            "plugin.GRPCController/Shutdown": self.stop,
        }

    def stop(self, _):
        self.stopped.set()
        return b""

    def service(self, details):
        method = self.methods.get(details.method.lstrip("/"))
        if method is None:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, _: method(fields(request)))


def main():
    if os.environ.get("TF_PLUGIN_MAGIC_COOKIE") is None:
        sys.exit("this is started by Terraform")
    provider = Provider()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers([provider])
    folder = tempfile.mkdtemp()
    socket = os.path.join(folder, "provider")
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    print(f"1|6|unix|{socket}|grpc|", flush=True)
    provider.stopped.wait()
    server.stop(None)


if __name__ == "__main__":
    main()
