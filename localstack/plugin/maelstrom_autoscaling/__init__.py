"""The autoscaling service for LocalStack's free edition, which has none.

The library inside LocalStack (moto) keeps groups, launch configurations, policies
and tags, but its instances jump into service and out of it and its lifecycle hooks
never fire. This package takes an instance's way through a group into its own hands
and leaves the rest there:

    Pending ─► Pending:Wait ─► InService ─► Terminating:Wait ─► gone
                    └─ abandoned ─────────────────┘

- plugin.py         what LocalStack loads: the service and a door for tests
- operations.py     the API's operations
- hooks.py          lifecycle hooks as they are put
- engine.py         instances on their way; waits and their time-outs
- groups.py         the seam to moto: its groups, with launching and terminating cut out
- activities.py     what a group did and why
- messages.py       what hooks and groups say, in the shapes that AWS sends
- outbox.py         sends it to SQS, SNS and EventBridge, holding no lock
- controls.py       for tests: faults, faster time, slow launches, the waits

One lock around everything, one thread for time. State is in memory only.

AWS's documents that it stands on:
https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/prepare-for-lifecycle-notifications.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/

What they don't say, and how it is here: a replacement is launched when the
terminated instance is gone; the oldest unprotected instance in service goes first;
an instance that EC2 itself terminates runs no hook; a launch that was abandoned
runs the termination hooks. Warm pools, cool-downs, instance refreshes and
maintenance policies have no effect.
"""
