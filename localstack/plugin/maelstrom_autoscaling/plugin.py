"""What LocalStack loads (entry_points.txt beside this package): the autoscaling service,
at the first call to it, and the door for tests, at the start."""

from functools import lru_cache

from localstack.aws.skeleton import Skeleton
from localstack.aws.spec import load_service
from localstack.runtime import hooks
from localstack.services.edge import ROUTER
from localstack.services.moto import call_moto
from localstack.services.plugins import Service, aws_provider

from .engine import Engine
from .operations import Operations


@lru_cache
def engine():
    started = Engine()
    started.start()
    return started


@hooks.on_infra_start()
def open_controls():
    engine().controls.open(ROUTER)


@aws_provider(api="autoscaling")
def autoscaling():
    service = load_service("autoscaling")
    operations = Operations(engine())
    handlers = {
        name: _guarded(name, getattr(operations, name, None)) for name in service.operation_names
    }
    return Service("autoscaling", skeleton=Skeleton(service, handlers))


def _guarded(name, operation):
    """The operation as the dispatcher calls it: under the lock, after the faults that
    tests asked for. What is not ours goes to moto, where it touches the same groups."""

    def handle(context, request):
        request = request or {}
        with engine().transaction():
            engine().controls.fail_if_told(name, request.get("AutoScalingGroupName"))
            return operation(context, request) if operation else call_moto(context)

    return handle
