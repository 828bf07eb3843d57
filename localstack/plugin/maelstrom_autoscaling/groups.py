"""The seam to moto: finds its groups, and cuts out of it what launches and terminates
instances by itself. Everything in moto that changes a group's size (updates, policies,
standby, detaching, attached load balancers) ends in one of the two methods cut here."""

from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, autoscaling_backends

from .activities import Journal
from .errors import no_group, no_instance

_launch_in_moto = FakeAutoScalingGroup.replace_autoscaling_group_instances


def take_over(engine):
    """From here on moto's groups change by the engine only."""

    def set_desired_capacity(group, capacity):
        wanted = group.min_size if capacity is None else capacity
        group.desired_capacity = min(max(wanted, group.min_size), group.max_size)
        # While it is being created a group is not in the list yet, and its hooks are not put.
        if group.autoscaling_backend.autoscaling_groups.get(group.name) is group:
            with engine.transaction():
                engine.converge(group)

    def notify_terminate_instances(backend, instance_ids):
        with engine.transaction():
            for group in list(backend.autoscaling_groups.values()):
                engine.lost(group, set(instance_ids))

    FakeAutoScalingGroup.set_desired_capacity = set_desired_capacity
    AutoScalingBackend.notify_terminate_instances = notify_terminate_instances


def all_groups():
    return [
        group
        for regions in list(autoscaling_backends.values())
        for backend in list(regions.values())
        for group in list(backend.autoscaling_groups.values())
    ]


def backend_of(context):
    return autoscaling_backends[context.account_id][context.region]


def find_group(context, name):
    group = backend_of(context).autoscaling_groups.get(name)
    if group is None:
        raise no_group(name)
    return group


def find_instance(context, instance_id):
    """(group, instance) of an instance that some group has."""
    for group in backend_of(context).autoscaling_groups.values():
        for instance in group.instance_states:
            if instance.instance_id == instance_id:
                return group, instance
    raise no_instance(instance_id)


def hooks_of(group):
    """The hooks of a group by name. Kept on moto's group: they go with it."""
    return group.__dict__.setdefault("maelstrom_hooks", {})


def journal_of(group):
    return group.__dict__.setdefault("maelstrom_journal", Journal())


def is_suspended(group, process):
    return any(suspended["ProcessName"] == process for suspended in group.suspended_processes)


def launch(group):
    """One new EC2 instance, in the group's list. Raises what EC2 raises."""
    known = {instance.instance_id for instance in group.instance_states}
    _launch_in_moto(group, 1, group.get_propagated_tags())
    return next(instance for instance in group.instance_states if instance.instance_id not in known)


def correct_zone(instance):
    """The library of 4.14.0 has an object in the place of the zone's name."""
    instance.availability_zone = getattr(instance.availability_zone, "zone", instance.availability_zone)


def remove(group, instance):
    """Out of the group's list, load balancers too. The EC2 instance is left alone."""
    group.instance_states = [other for other in group.instance_states if other is not instance]
    update_load_balancers(group)


def destroy(group, instance):
    group.ec2_backend.terminate_instances([instance.instance_id])


def update_load_balancers(group):
    group.autoscaling_backend.update_attached_elbs(group.name)
    group.autoscaling_backend.update_attached_target_groups(group.name)
