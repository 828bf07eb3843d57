# The application load balancer. It asks each node's health check, which answers 503 from the moment that
# the node drains.

resource "aws_lb" "public" {
  count = local.has_load_balancer ? 1 : 0

  name               = "${var.name}-public"
  load_balancer_type = "application"
  internal           = var.load_balancer.internal
  subnets            = local.load_balancer_subnet_ids
  security_groups    = [aws_security_group.load_balancer[0].id]
  idle_timeout       = var.load_balancer.idle_timeout_seconds

  drop_invalid_header_fields = true
  enable_deletion_protection = var.load_balancer.deletion_protection
  tags                       = local.tags

  dynamic "access_logs" {
    for_each = var.load_balancer.access_logs == null ? [] : [var.load_balancer.access_logs]

    content {
      bucket  = access_logs.value.bucket
      prefix  = access_logs.value.prefix
      enabled = true
    }
  }

  # One that faces the internet can't be made before its VPC does.
  depends_on = [aws_route.internet]
}

resource "aws_lb_target_group" "public" {
  count = local.has_load_balancer ? 1 : 0

  name                          = "${var.name}-nodes"
  vpc_id                        = local.vpc_id
  target_type                   = "instance"
  protocol                      = "HTTP"
  port                          = local.public_port
  load_balancing_algorithm_type = "least_outstanding_requests"
  # As long as a node lets requests in flight take.
  deregistration_delay = var.load_balancer.deregistration_delay_seconds
  tags                 = local.tags

  health_check {
    path                = "/_mael_health_check"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "http" {
  count = local.has_load_balancer ? 1 : 0

  load_balancer_arn = aws_lb.public[0].arn
  protocol          = "HTTP"
  port              = 80
  tags              = local.tags

  default_action {
    type             = local.serves_https ? "redirect" : "forward"
    target_group_arn = local.serves_https ? null : aws_lb_target_group.public[0].arn

    dynamic "redirect" {
      for_each = local.serves_https ? ["443"] : []

      content {
        protocol    = "HTTPS"
        port        = redirect.value
        status_code = "HTTP_301"
      }
    }
  }
}

resource "aws_lb_listener" "https" {
  count = local.serves_https ? 1 : 0

  load_balancer_arn = aws_lb.public[0].arn
  protocol          = "HTTPS"
  port              = 443
  certificate_arn   = var.load_balancer.https.certificate_arn
  ssl_policy        = var.load_balancer.https.ssl_policy
  tags              = local.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.public[0].arn
  }
}
