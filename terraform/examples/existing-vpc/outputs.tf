output "load_balancer_dns_name" {
  description = "Point the hostnames here, with CNAME records."
  value       = module.maelstrom.load_balancer_dns_name
}

output "load_balancer_zone_id" {
  description = "Or with Route 53 alias records: the hosted zone of that name."
  value       = module.maelstrom.load_balancer_zone_id
}

output "administrators_security_group_id" {
  description = "Who gets this security group may call the management API on port 8374."
  value       = aws_security_group.administrators.id
}

output "node_role_arn" {
  description = "Role of the nodes, for policies elsewhere."
  value       = module.maelstrom.node_role_arn
}

output "ami_id" {
  description = "Image of the nodes. Give it as `ami_id` to stay with it."
  value       = module.maelstrom.ami_id
}
