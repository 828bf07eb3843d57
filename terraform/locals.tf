data "aws_region" "current" {}

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

locals {
  tags = merge({ "maelstrom:cluster" = var.name }, var.tags)

  table_name   = coalesce(var.table_name, var.name)
  region       = data.aws_region.current.region
  partition    = data.aws_partition.current.partition
  account      = data.aws_caller_identity.current.account_id
  initial_size = coalesce(var.initial_size, var.min_size)

  # Put together here, since the group itself needs the role that these rights go to. The id in the
  # middle is the group's own.
  group_arn = "arn:${local.partition}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${var.name}"

  makes_vpc         = var.existing_vpc == null
  has_load_balancer = var.load_balancer != null
  serves_https      = local.has_load_balancer ? var.load_balancer.https != null : false
  has_targets       = local.has_load_balancer || length(var.target_group_arns) > 0
  public_nodes      = local.makes_vpc && var.nat_gateways == "none"

  settings = merge(
    {
      MAEL_STORE                           = "dynamodb:${local.table_name}"
      MAEL_PUBLIC_PORT                     = "80"
      MAEL_PUBLIC_HTTPS_PORT               = "443"
      MAEL_PRIVATE_PORT                    = "8374"
      MAEL_DOCKER_PRUNE_MINUTES            = "60"
      MAEL_AWS_TERMINATE_QUEUE_URL         = aws_sqs_queue.hook.url
      MAEL_AWS_SPOT_TERMINATE_POLL_SECONDS = "5"
    },
    var.demand_scaling ? { MAEL_AWS_CAPACITY = "true" } : {},
    var.capacity_metrics ? { MAEL_AWS_CAPACITY_METRICS = "true" } : {},
    var.settings,
  )

  public_port       = tonumber(local.settings.MAEL_PUBLIC_PORT)
  public_https_port = tonumber(local.settings.MAEL_PUBLIC_HTTPS_PORT)
  private_port      = tonumber(local.settings.MAEL_PRIVATE_PORT)

  docker_options = merge(
    {
      live-restore = true
      log-driver   = "json-file"
      log-opts     = { max-size = "10m", max-file = "3" }
    },
    var.docker_options,
  )
}
