# A cluster whose size follows the group's own scaling policy: the cluster tells how much it needs, and the
# policy keeps a fifth of the nodes' memory free. Use either this or `demand_scaling`.

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

module "maelstrom" {
  source = "../.."

  maelstromd_url    = var.maelstromd_url
  maelstromd_sha256 = var.maelstromd_sha256
  max_size          = 10
  capacity_metrics  = true

  # So that `terraform destroy` takes everything with it again. Leave this out for a cluster to keep.
  table_deletion_protection = false
}

# What all that should run reserves, in percent of what nodes have: over 100 when something has no room. In
# proportion to the group's size, as target tracking wants it.
resource "aws_autoscaling_policy" "memory" {
  name                   = "maelstrom-memory-wanted"
  autoscaling_group_name = module.maelstrom.group_name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = 80

    customized_metric_specification {
      namespace   = "Maelstrom"
      metric_name = "MemoryWanted"
      statistic   = "Average"

      metric_dimension {
        name  = "AutoScalingGroupName"
        value = module.maelstrom.group_name
      }
    }
  }
}
