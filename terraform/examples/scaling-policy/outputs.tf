output "url" {
  description = "Where the cluster answers."
  value       = module.maelstrom.url
}

output "group_name" {
  description = "Name of the autoscaling group."
  value       = module.maelstrom.group_name
}
