"""The face that tests see:

    GET    /instances                           ids and URLs of all
    PUT    /instances/ID                        serves one more; all optional:
                                                {"listen": "127.0.0.1:0", "zone": "us-east-1a", "role": "node"}
                                                answers {"url": …}
    DELETE /instances/ID                        stops serving it
    GET    /instances/ID                        all its values by path
    PUT    /instances/ID/meta-data/PATH         sets a value: the body, as it is
    DELETE /instances/ID/meta-data/PATH         clears it: 404 to the instance from here on
    PUT    /instances/ID/trouble                {"status": 503} answers all with it,
                                                {"delay_seconds": 2} answers later, {} is well again
    DELETE /instances/ID/tokens                 makes all tokens invalid

A spot notice, say:

    curl -X PUT 127.0.0.1:1339/instances/i-0123456789abcdef0/meta-data/spot/instance-action \\
      -d '{"action": "terminate", "time": "2030-01-01T00:02:00Z"}'

The paths that matter to Maelstrom are spot/instance-action, events/recommendations/rebalance,
autoscaling/target-lifecycle-state, instance-id and placement/availability-zone."""

import json

from server import Handler, Server


class Control(Server):
    def __init__(self, address, fleet):
        class Face(ControlHandler):
            pass

        Face.fleet = fleet
        super().__init__(address, Face)


class ControlHandler(Handler):
    fleet = None

    def do_GET(self):
        parts = self._parts()
        if parts == ["instances"]:
            self._json(200, self.fleet.urls())
        elif len(parts) == 2 and (instance := self._instance(parts)):
            self._json(200, instance.values())
        else:
            self._unknown()

    def do_PUT(self):
        parts, body = self._parts(), self.body()
        if body is None:
            self.answer(413, "the body is too long\n")
        elif len(parts) == 2 and parts[0] == "instances":
            self._add(parts[1], body)
        elif not (instance := self._instance(parts)):
            self._unknown()
        elif len(parts) > 3 and parts[2] == "meta-data":
            instance.set("/".join(parts[2:]), body.decode())
            self.answer(200)
        elif parts[2:] == ["trouble"]:
            self._trouble(instance, body)
        else:
            self._unknown()

    def do_DELETE(self):
        parts = self._parts()
        instance = self._instance(parts)
        if instance and len(parts) == 2:
            self.fleet.remove(parts[1])
            self.answer(200)
        elif instance and parts[2:] == ["tokens"]:
            instance.forget_tokens()
            self.answer(200)
        elif instance and len(parts) > 3 and instance.clear("/".join(parts[2:])):
            self.answer(200)
        else:
            self._unknown()

    def _add(self, instance_id, body):
        try:
            self._json(200, {"url": self.fleet.add(instance_id, **(json.loads(body) if body else {}))})
        except (OSError, TypeError, ValueError) as error:
            self.answer(400, f"{error}\n")

    def _trouble(self, instance, body):
        try:
            wanted = json.loads(body)
            unknown = set(wanted) - {"status", "delay_seconds"}
            if unknown:
                raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
            instance.unwell = {name: {"status": int, "delay_seconds": float}[name](value) for name, value in wanted.items()}
            self.answer(200)
        except (TypeError, ValueError) as error:
            self.answer(400, f"{error}\n")

    def _parts(self):
        return self.path.strip("/").split("/")

    def _instance(self, parts):
        return self.fleet.find(parts[1]) if len(parts) >= 2 and parts[0] == "instances" else None

    def _unknown(self):
        self.answer(404, f"nothing at {self.path}; served are {', '.join(self.fleet.urls()) or 'no instances'}\n")

    def _json(self, status, value):
        self.answer(status, json.dumps(value), "application/json")
