# What somebody should look at. Metrics of AWS only, so that they also tell when no node lives any more.

locals {
  has_alarms    = var.alarms != null
  alarm_actions = local.has_alarms ? var.alarms.actions : []
}

resource "aws_cloudwatch_metric_alarm" "missing_nodes" {
  count = local.has_alarms ? 1 : 0

  alarm_name          = "${var.name}-missing-nodes"
  alarm_description   = "Fewer nodes in service than wanted. Launches fail, or new nodes don't come up: look at the group's activities and at the console output of its instances."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = var.alarms.missing_nodes_minutes
  treat_missing_data  = "missing"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags

  metric_query {
    id          = "missing"
    expression  = "desired - serving"
    label       = "Missing nodes"
    return_data = true
  }

  metric_query {
    id = "desired"

    metric {
      namespace   = "AWS/AutoScaling"
      metric_name = "GroupDesiredCapacity"
      dimensions  = { AutoScalingGroupName = aws_autoscaling_group.nodes.name }
      period      = 60
      stat        = "Maximum"
    }
  }

  metric_query {
    id = "serving"

    metric {
      namespace   = "AWS/AutoScaling"
      metric_name = "GroupInServiceInstances"
      dimensions  = { AutoScalingGroupName = aws_autoscaling_group.nodes.name }
      period      = 60
      stat        = "Minimum"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "termination_waits" {
  count = local.has_alarms ? 1 : 0

  alarm_name          = "${var.name}-termination-waits"
  alarm_description   = "A termination notice lies in the hook queue for long: a node drains very slowly, or nobody reads the queue."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.hook.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.alarms.termination_age_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "store_throttled" {
  for_each = local.has_alarms ? toset(["ReadThrottleEvents", "WriteThrottleEvents"]) : toset([])

  alarm_name          = "${var.name}-store-${each.value == "ReadThrottleEvents" ? "reads" : "writes"}-throttled"
  alarm_description   = "DynamoDB turns requests of the nodes away. Warm traffic goes on; leases, deploys and membership suffer."
  namespace           = "AWS/DynamoDB"
  metric_name         = each.value
  dimensions          = { TableName = aws_dynamodb_table.store.name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "unhealthy_nodes" {
  count = local.has_alarms && local.has_load_balancer ? 1 : 0

  alarm_name          = "${var.name}-unhealthy-nodes"
  alarm_description   = "A node does not answer its health check, or drains, for ten minutes."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "UnHealthyHostCount"
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 10
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags

  dimensions = {
    LoadBalancer = aws_lb.public[0].arn_suffix
    TargetGroup  = aws_lb_target_group.public[0].arn_suffix
  }
}

# What the load balancer answers itself (no node reached) and what nodes and components answer.
resource "aws_cloudwatch_metric_alarm" "gateway_errors" {
  for_each = local.has_alarms && local.has_load_balancer ? toset(["HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count"]) : toset([])

  alarm_name          = "${var.name}-${each.value == "HTTPCode_ELB_5XX_Count" ? "load-balancer" : "nodes"}-5xx"
  alarm_description   = each.value == "HTTPCode_ELB_5XX_Count" ? "The load balancer answers with 5xx itself: nodes refuse connections or take too long." : "Nodes or components answer with 5xx: see `maelctl events` and `maelctl explain COMPONENT`."
  namespace           = "AWS/ApplicationELB"
  metric_name         = each.value
  dimensions          = { LoadBalancer = aws_lb.public[0].arn_suffix }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.alarms.gateway_errors
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}
