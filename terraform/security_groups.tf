# Who may talk to whom. Each rule is a resource of its own, so that adding one does not touch the others.

resource "aws_security_group" "nodes" {
  name_prefix = "${var.name}-nodes-"
  description = "Nodes of the Maelstrom cluster ${var.name}"
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = "${var.name}-nodes" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "peers" {
  security_group_id            = aws_security_group.nodes.id
  description                  = "Private gateway, from other nodes"
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "tcp"
  from_port                    = local.private_port
  to_port                      = local.private_port
  tags                         = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "private_gateway" {
  for_each = var.private_gateway_security_group_ids

  security_group_id            = aws_security_group.nodes.id
  description                  = "Private gateway, from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = local.private_port
  to_port                      = local.private_port
  tags                         = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer" {
  count = local.has_load_balancer ? 1 : 0

  security_group_id            = aws_security_group.nodes.id
  description                  = "Public gateway, from the load balancer"
  referenced_security_group_id = aws_security_group.load_balancer[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.public_port
  to_port                      = local.public_port
  tags                         = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "public_gateway" {
  for_each = var.ingress_security_group_ids

  security_group_id            = aws_security_group.nodes.id
  description                  = "Public gateway, from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = local.public_port
  to_port                      = local.public_port
  tags                         = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "nodes_http" {
  for_each = toset(local.has_load_balancer ? [] : var.ingress_cidrs)

  security_group_id = aws_security_group.nodes.id
  description       = "Public gateway, HTTP"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.public_port
  to_port           = local.public_port
  tags              = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "nodes_https" {
  for_each = toset(local.has_load_balancer ? [] : var.ingress_cidrs)

  security_group_id = aws_security_group.nodes.id
  description       = "Public gateway, HTTPS"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.public_https_port
  to_port           = local.public_https_port
  tags              = local.tags
}

# What components call is theirs to say; images and packages come from anywhere.
resource "aws_vpc_security_group_egress_rule" "nodes" {
  security_group_id = aws_security_group.nodes.id
  description       = "Anywhere"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
  tags              = local.tags
}

resource "aws_security_group" "load_balancer" {
  count = local.has_load_balancer ? 1 : 0

  name_prefix = "${var.name}-load-balancer-"
  description = "Load balancer of the Maelstrom cluster ${var.name}"
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = "${var.name}-load-balancer" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer_http" {
  for_each = toset(local.has_load_balancer ? var.ingress_cidrs : [])

  security_group_id = aws_security_group.load_balancer[0].id
  description       = "HTTP"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
  tags              = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer_https" {
  for_each = toset(local.serves_https ? var.ingress_cidrs : [])

  security_group_id = aws_security_group.load_balancer[0].id
  description       = "HTTPS"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  count = local.has_load_balancer ? 1 : 0

  security_group_id            = aws_security_group.load_balancer[0].id
  description                  = "Public gateways"
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "tcp"
  from_port                    = local.public_port
  to_port                      = local.public_port
  tags                         = local.tags
}
