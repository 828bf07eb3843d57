# A cluster of two nodes in a network of its own, behind a load balancer. Three inputs.

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

  # So that `terraform destroy` takes everything with it again. Leave this out for a cluster to keep.
  table_deletion_protection = false
}
