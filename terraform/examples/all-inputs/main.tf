# Every input of the module once, most with their defaults, and every output: a page to copy from. It makes
# a network of its own; examples/existing-vpc shows `existing_vpc` in earnest.

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
  region = "eu-central-1"
}

module "maelstrom" {
  source = "../.."

  # What to run.
  maelstromd_url    = "https://releases.example.com/maelstrom-0.1.0-linux-x86_64.tar.gz"
  maelstromd_sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
  settings          = { MAEL_LOG_FORMAT = "json", MAEL_SHUTDOWN_PAUSE_SECONDS = "15" }
  docker_options    = { max-concurrent-downloads = 6 }
  extra_user_data   = "sysctl --write net.core.somaxconn=4096"

  # Names.
  name = "maelstrom"
  tags = { cost-center = "4711" }

  # Network.
  existing_vpc = null
  vpc_cidr     = "10.20.0.0/16"
  zone_count   = 3
  nat_gateways = "per_zone"

  # Who may come in: addresses, and security groups by any name.
  ingress_cidrs                      = ["203.0.113.0/24", "198.51.100.0/24"]
  ingress_security_group_ids         = { edge_proxies = "sg-0123456789abcdef0" }
  private_gateway_security_group_ids = { bastion = "sg-0123456789abcdef1" }
  node_security_group_ids            = ["sg-0123456789abcdef2"]

  # Load balancer.
  load_balancer = {
    internal = false
    https = {
      certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
      ssl_policy      = "ELBSecurityPolicy-TLS13-1-2-2021-06"
    }
    idle_timeout_seconds         = 300
    deregistration_delay_seconds = 310
    deletion_protection          = false
    access_logs                  = { bucket = "example-load-balancer-logs", prefix = "maelstrom" }
  }
  target_group_arns = ["arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/internal/0123456789abcdef"]

  # Nodes.
  instance_types = ["m7i.large", "m6i.large", "m6a.large"]
  architecture   = "x86_64"
  ami_id         = "ami-0123456789abcdef0"
  min_size       = 2
  max_size       = 10
  initial_size   = 3
  spot = {
    on_demand_base       = 2
    on_demand_percentage = 0
    allocation_strategy  = "price-capacity-optimized"
    max_price            = "0.08"
  }
  root_volume = {
    size_gib       = 40
    type           = "gp3"
    iops           = 3000
    throughput_mib = 125
    kms_key_id     = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
  }
  key_name                      = "on-call"
  detailed_monitoring           = true
  container_metadata_access     = false
  replace_unhealthy             = true
  health_check_grace_seconds    = 300
  max_instance_lifetime_seconds = 1209600
  instance_refresh = {
    min_healthy_percentage = 100
    max_healthy_percentage = 150
    warmup_seconds         = 60
    auto_rollback          = true
  }
  wait_for_capacity = "15m"

  # Lifecycle hooks.
  terminate_hook_timeout_seconds = 300
  launch_hook                    = true
  launch_hook_timeout_seconds    = 600

  # Store.
  table_name                   = "maelstrom-production"
  table_deletion_protection    = true
  table_point_in_time_recovery = true
  table_kms_key                = { arn = "arn:aws:kms:eu-central-1:123456789012:key/fedcba98-7654-3210-fedc-ba9876543210" }

  # What nodes may do in AWS.
  sqs_queue_arns               = ["arn:aws:sqs:eu-central-1:123456789012:orders-*"]
  sqs_kms_key_arns             = ["arn:aws:kms:eu-central-1:123456789012:key/00000000-1111-2222-3333-444444444444"]
  step_functions_activity_arns = ["arn:aws:states:eu-central-1:123456789012:activity:billing-*"]
  ecr_repository_arns          = ["arn:aws:ecr:eu-central-1:123456789012:repository/shop/*"]
  demand_scaling               = true
  capacity_metrics             = true
  role_policy_arns             = { session_manager = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore" }
  permissions_boundary_arn     = "arn:aws:iam::123456789012:policy/boundary"

  # Alarms.
  alarms = {
    actions                 = ["arn:aws:sns:eu-central-1:123456789012:pager"]
    missing_nodes_minutes   = 20
    termination_age_seconds = 1200
    gateway_errors          = 10
  }
}

output "maelstrom" {
  description = "Every output of the module."
  value = {
    url                             = module.maelstrom.url
    load_balancer_dns_name          = module.maelstrom.load_balancer_dns_name
    load_balancer_zone_id           = module.maelstrom.load_balancer_zone_id
    load_balancer_arn               = module.maelstrom.load_balancer_arn
    load_balancer_security_group_id = module.maelstrom.load_balancer_security_group_id
    target_group_arn                = module.maelstrom.target_group_arn
    group_name                      = module.maelstrom.group_name
    group_arn                       = module.maelstrom.group_arn
    launch_template_id              = module.maelstrom.launch_template_id
    ami_id                          = module.maelstrom.ami_id
    table_name                      = module.maelstrom.table_name
    table_arn                       = module.maelstrom.table_arn
    hook_queue_url                  = module.maelstrom.hook_queue_url
    hook_queue_arn                  = module.maelstrom.hook_queue_arn
    node_role_name                  = module.maelstrom.node_role_name
    node_role_arn                   = module.maelstrom.node_role_arn
    node_security_group_id          = module.maelstrom.node_security_group_id
    vpc_id                          = module.maelstrom.vpc_id
    node_subnet_ids                 = module.maelstrom.node_subnet_ids
    public_subnet_ids               = module.maelstrom.public_subnet_ids
    alarm_names                     = module.maelstrom.alarm_names
  }
}
