# What a node may do: the calls that maelstromd makes, on what it makes them for.

data "aws_iam_policy_document" "node_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "node" {
  statement {
    sid = "Store"
    actions = [
      "dynamodb:DeleteItem",
      "dynamodb:DescribeTable",
      "dynamodb:GetItem",
      "dynamodb:PutItem",
      "dynamodb:Query",
    ]
    resources = [aws_dynamodb_table.store.arn]
  }

  dynamic "statement" {
    for_each = var.table_kms_key == null ? [] : [var.table_kms_key.arn]

    content {
      sid = "StoreKey"
      actions = [
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey*",
        "kms:ReEncrypt*",
      ]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["dynamodb.${local.region}.amazonaws.com"]
      }
    }
  }

  statement {
    sid       = "HookQueue"
    actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    resources = [aws_sqs_queue.hook.arn]
  }

  statement {
    sid       = "LifecycleHooks"
    actions   = ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"]
    resources = [local.group_arn]
  }

  # These know no single resources.
  statement {
    sid = "SeeTheGroup"
    actions = [
      "autoscaling:DescribeAutoScalingGroups",
      "autoscaling:DescribeAutoScalingInstances",
      "autoscaling:DescribeLifecycleHooks",
      "autoscaling:DescribeScalingActivities",
    ]
    resources = ["*"]
  }

  dynamic "statement" {
    for_each = var.demand_scaling ? [local.group_arn] : []

    content {
      sid       = "ResizeTheGroup"
      actions   = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = length(var.sqs_queue_arns) > 0 ? [var.sqs_queue_arns] : []

    content {
      sid = "Queues"
      actions = [
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ReceiveMessage",
      ]
      resources = statement.value
    }
  }

  # For queues named by a prefix; knows no single resources.
  dynamic "statement" {
    for_each = length(var.sqs_queue_arns) > 0 ? ["*"] : []

    content {
      sid       = "FindQueues"
      actions   = ["sqs:ListQueues"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = length(var.sqs_kms_key_arns) > 0 ? [var.sqs_kms_key_arns] : []

    content {
      sid       = "QueueKeys"
      actions   = ["kms:Decrypt"]
      resources = statement.value

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["sqs.${local.region}.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = length(var.step_functions_activity_arns) > 0 ? [var.step_functions_activity_arns] : []

    content {
      sid       = "Activities"
      actions   = ["states:CreateActivity", "states:DescribeActivity", "states:GetActivityTask"]
      resources = statement.value
    }
  }

  # A task's token is what allows these; they know no single resources.
  dynamic "statement" {
    for_each = length(var.step_functions_activity_arns) > 0 ? ["*"] : []

    content {
      sid = "ActivityTasks"
      actions = [
        "states:ListActivities",
        "states:SendTaskFailure",
        "states:SendTaskHeartbeat",
        "states:SendTaskSuccess",
      ]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = length(var.ecr_repository_arns) > 0 ? [var.ecr_repository_arns] : []

    content {
      sid       = "Images"
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = statement.value
    }
  }

  dynamic "statement" {
    for_each = length(var.ecr_repository_arns) > 0 ? ["*"] : []

    content {
      sid       = "RegistryToken"
      actions   = ["ecr:GetAuthorizationToken"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = var.capacity_metrics ? ["*"] : []

    content {
      sid       = "CapacityMetrics"
      actions   = ["cloudwatch:PutMetricData"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "cloudwatch:namespace"
        values   = ["Maelstrom"]
      }
    }
  }
}

resource "aws_iam_role" "node" {
  name                 = "${var.name}-${local.region}-node"
  description          = "Nodes of the Maelstrom cluster ${var.name}"
  assume_role_policy   = data.aws_iam_policy_document.node_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "node" {
  name   = "maelstromd"
  role   = aws_iam_role.node.name
  policy = data.aws_iam_policy_document.node.json
}

resource "aws_iam_role_policy_attachment" "node" {
  for_each = var.role_policy_arns

  role       = aws_iam_role.node.name
  policy_arn = each.value
}

resource "aws_iam_instance_profile" "node" {
  name = aws_iam_role.node.name
  role = aws_iam_role.node.name
  tags = local.tags
}
