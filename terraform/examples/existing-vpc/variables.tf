variable "region" {
  description = "AWS region to make the cluster in."
  type        = string
}

variable "name" {
  description = "Name of the cluster."
  type        = string
  default     = "maelstrom"
}

variable "maelstromd_url" {
  description = "Where nodes download the release archive, for arm64."
  type        = string
}

variable "maelstromd_sha256" {
  description = "SHA-256 of the release archive."
  type        = string
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "private_subnet_ids" {
  description = "Subnets of the nodes, with a way out."
  type        = list(string)
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer."
  type        = list(string)
}

variable "certificate_arn" {
  description = "ACM certificate of the hostnames that the cluster serves."
  type        = string
}

variable "ami_id" {
  description = "Image of the nodes, for arm64; null: the newest Debian 12."
  type        = string
  default     = null
}
