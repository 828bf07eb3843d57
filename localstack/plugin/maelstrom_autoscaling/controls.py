"""A door for tests, which no AWS has: /_maelstrom/autoscaling

    GET    what is set, and every wait with its remaining seconds
    PATCH  sets any of
             speed           how many seconds of hooks a real second is (1)
             launch_seconds  how long an instance is Pending before its hooks (0)
             faults          what fails: [{"operation": "CompleteLifecycleAction",
                             "code": "Throttling", "message": "Rate exceeded",
                             "status": 400, "times": 3, "group": "one group only"}];
                             only the operation is needed; without times until cleared.
                             The operation LaunchInstance fails launches of instances.
    DELETE sets all back
"""

import json
from dataclasses import asdict, dataclass

from localstack.aws.api import CommonServiceException
from localstack.http import Response

PATH = "/_maelstrom/autoscaling"


@dataclass
class Fault:
    operation: str
    code: str = "Throttling"
    message: str = "Rate exceeded"
    status: int = 400
    times: int = None
    group: str = None


class Controls:
    def __init__(self, engine):
        self._engine = engine
        self.launch_seconds = 0.0
        self.faults = []

    def fail_if_told(self, operation, group):
        """Raises the fault that a test asked for. Call it under the lock."""
        for fault in self.faults:
            if fault.operation == operation and fault.group in (None, group) and fault.times != 0:
                if fault.times is not None:
                    fault.times -= 1
                raise CommonServiceException(fault.code, fault.message, fault.status, sender_fault=fault.status < 500)

    def get(self, request):
        with self._engine.transaction():
            return self._answer()

    def patch(self, request):
        try:
            wanted = json.loads(request.get_data())
            unknown = set(wanted) - {"speed", "launch_seconds", "faults"}
            if unknown:
                raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
            speed = float(wanted.get("speed", self._engine.clock.speed))
            if not speed > 0:
                raise ValueError("speed must be more than 0")
            launch_seconds = float(wanted.get("launch_seconds", self.launch_seconds))
            faults = [Fault(**fault) for fault in wanted["faults"]] if "faults" in wanted else self.faults
        except (TypeError, ValueError) as error:
            return Response(f"{error}\n", 400)
        return self._set(speed, launch_seconds, faults)

    def delete(self, request):
        return self._set(1.0, 0.0, [])

    def _set(self, speed, launch_seconds, faults):
        with self._engine.transaction():
            self._engine.clock.run_at(speed)
            self.launch_seconds, self.faults = launch_seconds, faults
            return self._answer()

    def _answer(self):
        now = self._engine.clock.now()
        answer = {
            "speed": self._engine.clock.speed,
            "launch_seconds": self.launch_seconds,
            "faults": [asdict(fault) for fault in self.faults],
            "waits": [
                {
                    "group": group.name,
                    "instance": instance.instance_id,
                    "hook": wait.hook.name,
                    "token": wait.token,
                    "seconds_left": round(wait.deadline - now, 3),
                }
                for group, instance, wait in self._engine.waits()
            ],
        }
        return Response(json.dumps(answer), 200, mimetype="application/json")

    def open(self, router):
        for method in ("GET", "PATCH", "DELETE"):
            router.add(PATH, getattr(self, method.lower()), methods=[method])
