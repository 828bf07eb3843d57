# A cluster for production in a network that is there already: HTTPS, spot instances on a base of on-demand
# ones, a size that follows demand, queues, images from ECR, alarms, and a group of administrators who may
# call the management API. Every input of the module that a team may want to change is here once.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

provider "aws" {
  region = var.region
}

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  arn     = "arn:${data.aws_partition.current.partition}"
}

# Who gets this group (a bastion, a VPN, CI runners) may call the management API.
resource "aws_security_group" "administrators" {
  name        = "${var.name}-administrators"
  description = "May call the management API of the Maelstrom cluster ${var.name}"
  vpc_id      = var.vpc_id
}

resource "aws_sns_topic" "pager" {
  name = "${var.name}-pager"
}

resource "aws_sqs_queue" "orders" {
  name                       = "${var.name}-orders"
  visibility_timeout_seconds = 300
  sqs_managed_sse_enabled    = true
}

module "maelstrom" {
  source = "../.."

  name = var.name
  tags = { team = "platform", stage = "production" }

  # What to run.
  maelstromd_url    = var.maelstromd_url
  maelstromd_sha256 = var.maelstromd_sha256
  settings = {
    MAEL_LOG_LEVEL              = "info,maelstromd::control=debug"
    MAEL_SHUTDOWN_PAUSE_SECONDS = "10"
    MAEL_DOCKER_PRUNE_MINUTES   = "30"
  }
  docker_options  = { registry-mirrors = ["https://mirror.gcr.io"] }
  extra_user_data = "timedatectl set-timezone UTC"

  # Network.
  existing_vpc = {
    id                       = var.vpc_id
    node_subnet_ids          = var.private_subnet_ids
    load_balancer_subnet_ids = var.public_subnet_ids
  }
  ingress_cidrs                      = ["0.0.0.0/0"]
  private_gateway_security_group_ids = { administrators = aws_security_group.administrators.id }

  load_balancer = {
    https                = { certificate_arn = var.certificate_arn }
    idle_timeout_seconds = 120
    deletion_protection  = true
  }

  # Nodes.
  architecture                  = "arm64"
  instance_types                = ["m7g.large", "m6g.large", "c7g.xlarge", "c6g.xlarge"]
  ami_id                        = var.ami_id
  min_size                      = 3
  max_size                      = 30
  initial_size                  = 3
  spot                          = { on_demand_base = 3, on_demand_percentage = 25 }
  root_volume                   = { size_gib = 100, throughput_mib = 250 }
  max_instance_lifetime_seconds = 2592000
  instance_refresh              = { max_healthy_percentage = 120, warmup_seconds = 120 }

  # Lifecycle.
  terminate_hook_timeout_seconds = 600
  launch_hook                    = true
  launch_hook_timeout_seconds    = 900
  demand_scaling                 = true

  # What components work with.
  sqs_queue_arns               = [aws_sqs_queue.orders.arn]
  step_functions_activity_arns = ["${local.arn}:states:${var.region}:${local.account}:activity:${var.name}-*"]
  ecr_repository_arns          = ["${local.arn}:ecr:${var.region}:${local.account}:repository/${var.name}/*"]
  role_policy_arns             = { session_manager = "${local.arn}:iam::aws:policy/AmazonSSMManagedInstanceCore" }

  alarms = {
    actions        = [aws_sns_topic.pager.arn]
    gateway_errors = 25
  }
}
