# The nodes: what one is made of, and the group that keeps as many as are wanted.

data "aws_ami" "node" {
  most_recent = var.ami_id == null
  # Debian's own account.
  owners = var.ami_id == null ? ["136693071363"] : null

  dynamic "filter" {
    for_each = var.ami_id == null ? tomap({
      name                = "debian-12-${var.architecture == "arm64" ? "arm64" : "amd64"}-*"
      architecture        = var.architecture
      virtualization-type = "hvm"
    }) : tomap({ image-id = var.ami_id })

    content {
      name   = filter.key
      values = [filter.value]
    }
  }
}

locals {
  # arn:PARTITION:ecr:REGION:ACCOUNT:repository/NAME
  registries = distinct([
    for arn in var.ecr_repository_arns :
    "${split(":", arn)[4]}.dkr.ecr.${split(":", arn)[3]}.${data.aws_partition.current.dns_suffix}"
  ])

  user_data = templatefile("${path.module}/user_data.sh.tftpl", {
    archive_url     = var.maelstromd_url
    archive_sha256  = var.maelstromd_sha256
    region          = local.region
    private_port    = local.private_port
    docker_options  = jsonencode(local.docker_options)
    settings        = join("\n", [for name, value in local.settings : "${name}=${value}" if value != ""])
    registries      = join(" ", local.registries)
    extra_user_data = var.extra_user_data
  })
}

resource "aws_launch_template" "node" {
  name                                 = var.name
  description                          = "Nodes of the Maelstrom cluster ${var.name}"
  image_id                             = data.aws_ami.node.id
  instance_type                        = var.instance_types[0]
  key_name                             = var.key_name
  user_data                            = base64encode(local.user_data)
  instance_initiated_shutdown_behavior = "terminate"
  update_default_version               = true
  vpc_security_group_ids               = concat([aws_security_group.nodes.id], var.node_security_group_ids)
  tags                                 = local.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.node.arn
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # Docker's bridge is a hop: with 1 no answer gets into a container.
    http_put_response_hop_limit = var.container_metadata_access ? 2 : 1
  }

  monitoring {
    enabled = var.detailed_monitoring
  }

  block_device_mappings {
    device_name = data.aws_ami.node.root_device_name

    ebs {
      volume_size           = var.root_volume.size_gib
      volume_type           = var.root_volume.type
      iops                  = var.root_volume.iops
      throughput            = var.root_volume.throughput_mib
      encrypted             = true
      kms_key_id            = var.root_volume.kms_key_id
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume"])

    content {
      resource_type = tag_specifications.value
      tags          = merge(local.tags, { Name = var.name })
    }
  }

  lifecycle {
    precondition {
      condition     = length(base64encode(local.user_data)) <= 21848
      error_message = "The nodes' user data is longer than the 16 KiB that EC2 takes: shorten extra_user_data, settings or docker_options."
    }
  }
}

resource "aws_autoscaling_group" "nodes" {
  name                      = var.name
  min_size                  = var.min_size
  max_size                  = var.max_size
  desired_capacity          = local.initial_size
  vpc_zone_identifier       = local.node_subnet_ids
  target_group_arns         = concat(aws_lb_target_group.public[*].arn, var.target_group_arns)
  health_check_type         = local.has_targets && var.replace_unhealthy ? "ELB" : "EC2"
  health_check_grace_period = var.health_check_grace_seconds
  default_instance_warmup   = var.instance_refresh.warmup_seconds
  max_instance_lifetime     = var.max_instance_lifetime_seconds
  capacity_rebalance        = var.spot != null
  wait_for_capacity_timeout = var.wait_for_capacity

  # The cluster chooses which nodes go, drained ones; the group would take any. Policies that follow the
  # cluster's metrics could take none, so that with them the group chooses, and its hook has the node drain.
  protect_from_scale_in = var.demand_scaling || !var.capacity_metrics
  # Would terminate nodes for the sake of balance only.
  suspended_processes = ["AZRebalance"]

  enabled_metrics = [
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupPendingInstances",
    "GroupTerminatingInstances",
    "GroupTotalInstances",
  ]

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = var.spot == null ? 0 : var.spot.on_demand_base
      on_demand_percentage_above_base_capacity = var.spot == null ? 100 : var.spot.on_demand_percentage
      on_demand_allocation_strategy            = "prioritized"
      spot_allocation_strategy                 = var.spot == null ? "price-capacity-optimized" : var.spot.allocation_strategy
      spot_max_price                           = var.spot == null ? null : var.spot.max_price
    }

    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.node.id
        version            = aws_launch_template.node.latest_version
      }

      dynamic "override" {
        for_each = var.instance_types

        content {
          instance_type = override.value
        }
      }
    }
  }

  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = var.instance_refresh.min_healthy_percentage
      max_healthy_percentage = var.instance_refresh.max_healthy_percentage
      instance_warmup        = var.instance_refresh.warmup_seconds
      auto_rollback          = var.instance_refresh.auto_rollback
      # All nodes are protected from scale-in; each drains before it goes.
      scale_in_protected_instances = "Refresh"
      standby_instances            = "Wait"
      skip_matching                = true
    }
  }

  dynamic "tag" {
    for_each = merge(local.tags, { Name = var.name })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  timeouts {
    delete = "30m"
  }

  lifecycle {
    ignore_changes = [desired_capacity]
  }

  # Nodes begin to use these as soon as they boot.
  depends_on = [
    aws_iam_role_policy.node,
    aws_iam_role_policy_attachment.node,
    aws_route.internet,
    aws_route.nat,
    aws_route_table_association.private,
    aws_route_table_association.public,
    aws_vpc_security_group_egress_rule.nodes,
  ]
}
