variable "region" {
  description = "AWS region to make the cluster in."
  type        = string
}

variable "maelstromd_url" {
  description = "Where nodes download the release archive."
  type        = string
}

variable "maelstromd_sha256" {
  description = "SHA-256 of the release archive."
  type        = string
}
