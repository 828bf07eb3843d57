# Lifecycle hooks. A node that the group wants to terminate is held until it has drained: the hook writes
# to the queue, a node of the cluster reads it and hands it to the one that is meant.

resource "aws_sqs_queue" "hook" {
  name = "${var.name}-hook"
  # A message stays until its node has drained. Older than this nothing waits for it any more.
  message_retention_seconds = 86400
  # maelstromd prolongs it while a node drains; short, so that a crash costs little time.
  visibility_timeout_seconds = 60
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true
  tags                       = local.tags
}

data "aws_iam_policy_document" "hook_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["autoscaling.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "hook" {
  statement {
    sid       = "WriteToHookQueue"
    actions   = ["sqs:GetQueueUrl", "sqs:SendMessage"]
    resources = [aws_sqs_queue.hook.arn]
  }
}

resource "aws_iam_role" "hook" {
  name                 = "${var.name}-${local.region}-hook"
  description          = "Lets the autoscaling group ${var.name} write to its hook queue"
  assume_role_policy   = data.aws_iam_policy_document.hook_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "hook" {
  name   = "hook-queue"
  role   = aws_iam_role.hook.name
  policy = data.aws_iam_policy_document.hook.json
}

resource "aws_autoscaling_lifecycle_hook" "terminate" {
  name                    = "${var.name}-terminate"
  autoscaling_group_name  = aws_autoscaling_group.nodes.name
  lifecycle_transition    = "autoscaling:EC2_INSTANCE_TERMINATING"
  heartbeat_timeout       = var.terminate_hook_timeout_seconds
  default_result          = "CONTINUE"
  notification_target_arn = aws_sqs_queue.hook.arn
  role_arn                = aws_iam_role.hook.arn

  # AWS tries the queue when the hook is made.
  depends_on = [aws_iam_role_policy.hook]
}

# Without a message: the node itself knows that it is launching.
resource "aws_autoscaling_lifecycle_hook" "launch" {
  count = var.launch_hook ? 1 : 0

  name                   = "${var.name}-launch"
  autoscaling_group_name = aws_autoscaling_group.nodes.name
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_LAUNCHING"
  heartbeat_timeout      = var.launch_hook_timeout_seconds
  default_result         = "ABANDON"
}
