# The VPC, where none is given: public subnets for the load balancer and NAT gateways, private ones for
# the nodes, one of each in every zone. Traffic to DynamoDB and S3 stays inside AWS.

data "aws_availability_zones" "usable" {
  count = local.makes_vpc ? 1 : 0
  state = "available"

  # Without local and wavelength zones, which have neither NAT gateways nor these instance types.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  zones = local.makes_vpc ? slice(sort(data.aws_availability_zones.usable[0].names), 0, var.zone_count) : []

  # Zones that have a NAT gateway. With one of them for all, it is the first zone's.
  nat_zones = (
    var.nat_gateways == "per_zone" ? local.zones :
    var.nat_gateways == "one" ? slice(local.zones, 0, min(1, length(local.zones))) : []
  )

  vpc_id = local.makes_vpc ? aws_vpc.made[0].id : var.existing_vpc.id

  public_subnet_ids  = [for zone in local.zones : aws_subnet.public[zone].id]
  private_subnet_ids = [for zone in local.zones : aws_subnet.private[zone].id]

  node_subnet_ids = (
    !local.makes_vpc ? var.existing_vpc.node_subnet_ids :
    local.public_nodes ? local.public_subnet_ids : local.private_subnet_ids
  )

  load_balancer_subnet_ids = local.makes_vpc ? local.public_subnet_ids : var.existing_vpc.load_balancer_subnet_ids
}

resource "aws_vpc" "made" {
  count = local.makes_vpc ? 1 : 0

  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(local.tags, { Name = var.name })
}

# Takes all rules from the group that things without a group of their own end up in.
resource "aws_default_security_group" "made" {
  count = local.makes_vpc ? 1 : 0

  vpc_id = aws_vpc.made[0].id
  tags   = merge(local.tags, { Name = "${var.name}-default" })
}

resource "aws_internet_gateway" "made" {
  count = local.makes_vpc ? 1 : 0

  vpc_id = aws_vpc.made[0].id
  tags   = merge(local.tags, { Name = var.name })
}

resource "aws_subnet" "public" {
  for_each = toset(local.zones)

  vpc_id                  = aws_vpc.made[0].id
  availability_zone       = each.value
  cidr_block              = cidrsubnet(var.vpc_cidr, 4, index(local.zones, each.value))
  map_public_ip_on_launch = local.public_nodes
  tags                    = merge(local.tags, { Name = "${var.name}-public-${each.value}" })
}

resource "aws_subnet" "private" {
  for_each = toset(local.zones)

  vpc_id            = aws_vpc.made[0].id
  availability_zone = each.value
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, 8 + index(local.zones, each.value))
  tags              = merge(local.tags, { Name = "${var.name}-private-${each.value}" })
}

resource "aws_route_table" "public" {
  count = local.makes_vpc ? 1 : 0

  vpc_id = aws_vpc.made[0].id
  tags   = merge(local.tags, { Name = "${var.name}-public" })
}

resource "aws_route" "internet" {
  count = local.makes_vpc ? 1 : 0

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.made[0].id
}

resource "aws_route_table_association" "public" {
  for_each = toset(local.zones)

  subnet_id      = aws_subnet.public[each.value].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_zones)

  domain = "vpc"
  tags   = merge(local.tags, { Name = "${var.name}-nat-${each.value}" })

  depends_on = [aws_internet_gateway.made]
}

resource "aws_nat_gateway" "made" {
  for_each = toset(local.nat_zones)

  allocation_id = aws_eip.nat[each.value].id
  subnet_id     = aws_subnet.public[each.value].id
  tags          = merge(local.tags, { Name = "${var.name}-${each.value}" })

  depends_on = [aws_internet_gateway.made]
}

resource "aws_route_table" "private" {
  for_each = toset(local.zones)

  vpc_id = aws_vpc.made[0].id
  tags   = merge(local.tags, { Name = "${var.name}-private-${each.value}" })
}

resource "aws_route" "nat" {
  for_each = toset(length(local.nat_zones) > 0 ? local.zones : [])

  route_table_id         = aws_route_table.private[each.value].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.made[contains(local.nat_zones, each.value) ? each.value : local.nat_zones[0]].id
}

resource "aws_route_table_association" "private" {
  for_each = toset(local.zones)

  subnet_id      = aws_subnet.private[each.value].id
  route_table_id = aws_route_table.private[each.value].id
}

resource "aws_vpc_endpoint" "gateway" {
  for_each = toset(local.makes_vpc ? ["dynamodb", "s3"] : [])

  vpc_id            = aws_vpc.made[0].id
  service_name      = "com.amazonaws.${local.region}.${each.value}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = concat([aws_route_table.public[0].id], [for zone in local.zones : aws_route_table.private[zone].id])
  tags              = merge(local.tags, { Name = "${var.name}-${each.value}" })
}
