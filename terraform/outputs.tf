output "url" {
  description = "Where the load balancer answers; null without one. With `https`, point your hostnames at `load_balancer_dns_name` instead."
  value       = local.has_load_balancer ? "http://${aws_lb.public[0].dns_name}" : null
}

output "load_balancer_dns_name" {
  description = "DNS name of the load balancer, for CNAME records; null without one."
  value       = local.has_load_balancer ? aws_lb.public[0].dns_name : null
}

output "load_balancer_zone_id" {
  description = "Hosted zone of that name, for Route 53 alias records; null without a load balancer."
  value       = local.has_load_balancer ? aws_lb.public[0].zone_id : null
}

output "load_balancer_arn" {
  description = "ARN of the load balancer, for a web ACL for example; null without one."
  value       = local.has_load_balancer ? aws_lb.public[0].arn : null
}

output "target_group_arn" {
  description = "ARN of the nodes' target group, for more listeners and rules; null without a load balancer."
  value       = local.has_load_balancer ? aws_lb_target_group.public[0].arn : null
}

output "group_name" {
  description = "Name of the autoscaling group."
  value       = aws_autoscaling_group.nodes.name
}

output "group_arn" {
  description = "ARN of the autoscaling group."
  value       = aws_autoscaling_group.nodes.arn
}

output "launch_template_id" {
  description = "Id of the nodes' launch template."
  value       = aws_launch_template.node.id
}

output "ami_id" {
  description = "Image that new nodes are made of. Give it as `ami_id` to stay with it."
  value       = data.aws_ami.node.id
}

output "table_name" {
  description = "Name of the DynamoDB table: `MAEL_STORE=dynamodb:NAME`."
  value       = aws_dynamodb_table.store.name
}

output "table_arn" {
  description = "ARN of the DynamoDB table."
  value       = aws_dynamodb_table.store.arn
}

output "hook_queue_url" {
  description = "URL of the lifecycle hook's queue: `MAEL_AWS_TERMINATE_QUEUE_URL`."
  value       = aws_sqs_queue.hook.url
}

output "hook_queue_arn" {
  description = "ARN of the lifecycle hook's queue."
  value       = aws_sqs_queue.hook.arn
}

output "node_role_name" {
  description = "Name of the nodes' role, for more policies."
  value       = aws_iam_role.node.name
}

output "node_role_arn" {
  description = "ARN of the nodes' role, for policies of buckets, keys and queues elsewhere."
  value       = aws_iam_role.node.arn
}

output "node_security_group_id" {
  description = "Security group of the nodes, for rules that let them in elsewhere."
  value       = aws_security_group.nodes.id
}

output "load_balancer_security_group_id" {
  description = "Security group of the load balancer; null without one."
  value       = local.has_load_balancer ? aws_security_group.load_balancer[0].id : null
}

output "vpc_id" {
  description = "The VPC, made or given."
  value       = local.vpc_id
}

output "node_subnet_ids" {
  description = "Subnets of the nodes, made or given."
  value       = local.node_subnet_ids
}

output "public_subnet_ids" {
  description = "Public subnets that were made; empty with a VPC of your own."
  value       = local.public_subnet_ids
}

output "alarm_names" {
  description = "Names of the CloudWatch alarms."
  value = concat(
    aws_cloudwatch_metric_alarm.missing_nodes[*].alarm_name,
    aws_cloudwatch_metric_alarm.termination_waits[*].alarm_name,
    aws_cloudwatch_metric_alarm.unhealthy_nodes[*].alarm_name,
    [for alarm in aws_cloudwatch_metric_alarm.store_throttled : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.gateway_errors : alarm.alarm_name],
  )
}
