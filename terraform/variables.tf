# === What to run ===

variable "maelstromd_url" {
  description = "Where nodes download the release archive, made by `maelstromd/package/build archive`. HTTPS, reachable from the nodes without credentials."
  type        = string

  validation {
    condition     = can(regex("^https://[A-Za-z0-9._~:/?#@!&()*+,;=%-]+$", var.maelstromd_url))
    error_message = "maelstromd_url has to be an https:// URL without spaces and quotes."
  }
}

variable "maelstromd_sha256" {
  description = "SHA-256 of the release archive in hexadecimal, as `sha256sum` prints it. A node whose download differs does not start."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.maelstromd_sha256))
    error_message = "maelstromd_sha256 has to be 64 hexadecimal digits, lower case."
  }
}

variable "settings" {
  description = "Settings of maelstromd beside those that this module makes (store, hook queue, metadata polling), and instead of them where named here: `MAEL_*` names to values."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.settings) : can(regex("^(MAEL_[A-Z0-9_]+|LETSENCRYPT_EMAIL)$", name))])
    error_message = "settings takes MAEL_* names and LETSENCRYPT_EMAIL."
  }

  validation {
    condition     = alltrue([for value in values(var.settings) : can(regex("^[^\\x00-\\x1f]*$", value))])
    error_message = "Values of settings have to be one line each."
  }

  validation {
    condition = alltrue([
      for name, value in var.settings : can(regex("^[1-9][0-9]{0,4}$", value))
      if contains(["MAEL_PUBLIC_PORT", "MAEL_PUBLIC_HTTPS_PORT", "MAEL_PRIVATE_PORT"], name)
    ])
    error_message = "Ports in settings have to be numbers from 1 on: the security groups are made for them."
  }
}

variable "docker_options" {
  description = "Options of the Docker engine (`/etc/docker/daemon.json`) beside live-restore and rotated logs, and instead of them where named here."
  type        = any
  default     = {}

  validation {
    condition     = can(keys(var.docker_options))
    error_message = "docker_options has to be an object."
  }
}

variable "extra_user_data" {
  description = "Shell commands that each node runs as root after Docker is installed and before maelstromd starts. If they fail, the node is replaced."
  type        = string
  default     = ""

  validation {
    condition     = length(var.extra_user_data) <= 8192
    error_message = "extra_user_data has to be shorter than 8 KiB: EC2 takes 16 KiB of user data in all. Let it download the rest."
  }
}

# === Names ===

variable "name" {
  description = "Name of the cluster, and the beginning of the names of what is made. Unique in account and region."
  type        = string
  default     = "maelstrom"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "name has to be 2 to 24 lower-case letters, digits and hyphens, with a letter first and no hyphen last."
  }
}

variable "tags" {
  description = "Tags on everything that is made, instances and their disks too."
  type        = map(string)
  default     = {}
}

# === Network ===

variable "existing_vpc" {
  description = "The VPC to use; null: make one with subnets, routes and gateway endpoints. `node_subnet_ids` need a way out: to AWS, to Debian's archive, to the release archive and to registries. `load_balancer_subnet_ids` are public ones unless the load balancer is internal."
  type = object({
    id                       = string
    node_subnet_ids          = list(string)
    load_balancer_subnet_ids = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.existing_vpc == null ? true : length(var.existing_vpc.node_subnet_ids) >= 1
    error_message = "existing_vpc.node_subnet_ids has to name a subnet at least."
  }

  validation {
    condition     = var.existing_vpc == null || var.load_balancer == null ? true : length(var.existing_vpc.load_balancer_subnet_ids) >= 2
    error_message = "A load balancer needs existing_vpc.load_balancer_subnet_ids in at least two zones."
  }
}

variable "vpc_cidr" {
  description = "IPv4 range of the VPC that is made, /16 to /22. Must not overlap with Docker's networks (172.17.0.0/16 on)."
  type        = string
  default     = "10.83.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && can(regex("/(1[6-9]|2[0-2])$", var.vpc_cidr))
    error_message = "vpc_cidr has to be an IPv4 range from /16 to /22, like 10.83.0.0/16."
  }
}

variable "zone_count" {
  description = "How many availability zones the VPC that is made covers."
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3, 4], var.zone_count)
    error_message = "zone_count has to be 2, 3 or 4: a load balancer needs two."
  }
}

variable "nat_gateways" {
  description = "How nodes in the VPC that is made reach the internet: `one` NAT gateway for all zones, one `per_zone`, or `none`: nodes get public addresses instead."
  type        = string
  default     = "one"

  validation {
    condition     = contains(["one", "per_zone", "none"], var.nat_gateways)
    error_message = "nat_gateways has to be one, per_zone or none."
  }
}

# === Who may come in ===

variable "ingress_cidrs" {
  description = "IPv4 ranges that may call the load balancer, or the nodes' public gateways where there is no load balancer."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = alltrue([for range in var.ingress_cidrs : can(cidrnetmask(range))])
    error_message = "ingress_cidrs takes IPv4 ranges like 203.0.113.0/24."
  }
}

variable "ingress_security_group_ids" {
  description = "Security groups that may call the nodes' public gateways, those of your own load balancers for example: any name to the group's id."
  type        = map(string)
  default     = {}
}

variable "private_gateway_security_group_ids" {
  description = "Security groups that may call the nodes' private gateways (management API, metrics), a bastion's for example: any name to the group's id. Nodes always may, nobody else may."
  type        = map(string)
  default     = {}
}

variable "node_security_group_ids" {
  description = "More security groups that nodes belong to, so that databases and the like let them in."
  type        = list(string)
  default     = []
}

# === Load balancer ===

variable "load_balancer" {
  description = "The application load balancer in front of the public gateways; null: none. With `https` port 443 serves its certificate and port 80 redirects there. `idle_timeout_seconds` has to be less than `MAEL_HTTP_IDLE_TIMEOUT`."
  type = object({
    internal = optional(bool, false)
    https = optional(object({
      certificate_arn = string
      ssl_policy      = optional(string, "ELBSecurityPolicy-TLS13-1-2-2021-06")
    }))
    idle_timeout_seconds         = optional(number, 300)
    deregistration_delay_seconds = optional(number, 310)
    deletion_protection          = optional(bool, false)
    access_logs = optional(object({
      bucket = string
      prefix = optional(string)
    }))
  })
  default = {}

  validation {
    condition     = var.load_balancer == null ? true : var.load_balancer.idle_timeout_seconds >= 1 && var.load_balancer.idle_timeout_seconds < tonumber(lookup(var.settings, "MAEL_HTTP_IDLE_TIMEOUT", "310"))
    error_message = "load_balancer.idle_timeout_seconds has to be less than MAEL_HTTP_IDLE_TIMEOUT (310 unless settings say otherwise), else the load balancer sends requests on connections that a node just closed."
  }

  validation {
    condition     = var.load_balancer == null ? true : var.load_balancer.deregistration_delay_seconds >= 0 && var.load_balancer.deregistration_delay_seconds <= 3600
    error_message = "load_balancer.deregistration_delay_seconds has to be from 0 to 3600."
  }
}

variable "target_group_arns" {
  description = "Target groups of your own load balancers that nodes register with. Their health check should ask for `/_mael_health_check`."
  type        = list(string)
  default     = []
}

# === Nodes ===

variable "instance_types" {
  description = "Instance types of the nodes, preferred ones first, all of `architecture`. Several make shortages and spot interruptions rarer."
  type        = list(string)
  default     = ["t3.medium", "t3a.medium"]

  validation {
    condition     = length(var.instance_types) >= 1 && length(var.instance_types) <= 40 && length(distinct(var.instance_types)) == length(var.instance_types)
    error_message = "instance_types takes 1 to 40 different types."
  }
}

variable "architecture" {
  description = "Processor architecture of instance types, image and release archive: `x86_64` or `arm64`."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture has to be x86_64 or arm64."
  }
}

variable "ami_id" {
  description = "Image of the nodes: with systemd, and apt-get or dnf. null: the newest Debian 12, so that an apply after a release of Debian replaces the nodes; name one to decide when."
  type        = string
  default     = null

  validation {
    condition     = var.ami_id == null ? true : can(regex("^ami-[0-9a-f]+$", var.ami_id))
    error_message = "ami_id has to look like ami-0123456789abcdef0."
  }
}

variable "min_size" {
  description = "Nodes at least."
  type        = number
  default     = 2

  validation {
    condition     = var.min_size >= 0 && floor(var.min_size) == var.min_size
    error_message = "min_size has to be a whole number from 0 on."
  }
}

variable "max_size" {
  description = "Nodes at most, also during a rolling replacement."
  type        = number
  default     = 6

  validation {
    condition     = var.max_size >= var.min_size && floor(var.max_size) == var.max_size
    error_message = "max_size has to be a whole number, and not less than min_size."
  }
}

variable "initial_size" {
  description = "Nodes when the group is made; null: `min_size`. Later the number is the cluster's own (`demand_scaling`) or your policies' matter, and Terraform leaves it alone."
  type        = number
  default     = null

  validation {
    condition     = var.initial_size == null ? true : var.initial_size >= var.min_size && var.initial_size <= var.max_size
    error_message = "initial_size has to lie between min_size and max_size."
  }
}

variable "spot" {
  description = "Spot instances; null: none. `on_demand_base` nodes are on demand in any case, above that `on_demand_percentage` of them. `max_price` in US dollars an hour; null: the on-demand price."
  type = object({
    on_demand_base       = optional(number, 0)
    on_demand_percentage = optional(number, 0)
    allocation_strategy  = optional(string, "price-capacity-optimized")
    max_price            = optional(string)
  })
  default = null

  validation {
    condition     = var.spot == null ? true : var.spot.on_demand_base >= 0 && var.spot.on_demand_percentage >= 0 && var.spot.on_demand_percentage <= 100
    error_message = "spot.on_demand_base has to be 0 or more, spot.on_demand_percentage from 0 to 100."
  }

  validation {
    condition     = var.spot == null ? true : contains(["lowest-price", "capacity-optimized", "capacity-optimized-prioritized", "price-capacity-optimized"], var.spot.allocation_strategy)
    error_message = "spot.allocation_strategy has to be lowest-price, capacity-optimized, capacity-optimized-prioritized or price-capacity-optimized."
  }
}

variable "root_volume" {
  description = "Disk of a node, for images, containers and their logs. Always encrypted; `kms_key_id` null: with the account's key for disks."
  type = object({
    size_gib       = optional(number, 40)
    type           = optional(string, "gp3")
    iops           = optional(number)
    throughput_mib = optional(number)
    kms_key_id     = optional(string)
  })
  default = {}

  validation {
    condition     = var.root_volume.size_gib >= 10 && contains(["gp2", "gp3", "io1", "io2"], var.root_volume.type)
    error_message = "root_volume.size_gib has to be 10 or more, root_volume.type gp2, gp3, io1 or io2."
  }
}

variable "key_name" {
  description = "EC2 key pair for SSH; null: none. No rule here opens port 22."
  type        = string
  default     = null
}

variable "detailed_monitoring" {
  description = "EC2 metrics each minute instead of every five."
  type        = bool
  default     = true
}

variable "container_metadata_access" {
  description = "true: containers reach the instance metadata, and with it the nodes' own rights. false: a hop limit of 1 keeps all but those on the host's network from it."
  type        = bool
  default     = false
}

variable "replace_unhealthy" {
  description = "true: a node that the load balancer finds unhealthy is replaced. That holds for one drained by hand, too, since it answers 503; to keep it, put it into standby first."
  type        = bool
  default     = true
}

variable "health_check_grace_seconds" {
  description = "Seconds from a node's launch until its health counts: boot, packages, download."
  type        = number
  default     = 300

  validation {
    condition     = var.health_check_grace_seconds >= 0
    error_message = "health_check_grace_seconds has to be 0 or more."
  }
}

variable "max_instance_lifetime_seconds" {
  description = "Nodes older than this are drained and replaced; 0: never."
  type        = number
  default     = 0

  validation {
    condition     = var.max_instance_lifetime_seconds == 0 ? true : var.max_instance_lifetime_seconds >= 86400 && var.max_instance_lifetime_seconds <= 31536000
    error_message = "max_instance_lifetime_seconds has to be 0, or from a day (86400) to a year (31536000)."
  }
}

variable "instance_refresh" {
  description = "How nodes are replaced when their launch template changes: as many healthy ones as these percentages of the desired number say, `warmup_seconds` after a new one is in service; `auto_rollback` goes back to the template before if that fails."
  type = object({
    min_healthy_percentage = optional(number, 100)
    max_healthy_percentage = optional(number, 150)
    warmup_seconds         = optional(number, 60)
    auto_rollback          = optional(bool, true)
  })
  default = {}

  validation {
    condition = (
      var.instance_refresh.min_healthy_percentage >= 0 && var.instance_refresh.min_healthy_percentage <= 100 &&
      var.instance_refresh.max_healthy_percentage >= 100 && var.instance_refresh.max_healthy_percentage <= 200 &&
      var.instance_refresh.max_healthy_percentage - var.instance_refresh.min_healthy_percentage <= 100
    )
    error_message = "instance_refresh.min_healthy_percentage goes from 0 to 100, max_healthy_percentage from 100 to 200, at most 100 apart."
  }
}

variable "wait_for_capacity" {
  description = "How long an apply waits for the group's nodes to be in service, like `10m`. `0`: not at all, so that the lifecycle hooks are there before the first nodes are."
  type        = string
  default     = "0"

  validation {
    condition     = can(regex("^(0|([0-9]+(s|m|h))+)$", var.wait_for_capacity))
    error_message = "wait_for_capacity has to be 0 or a duration like 10m."
  }
}

# === Lifecycle hooks ===

variable "terminate_hook_timeout_seconds" {
  description = "Seconds after which a node that gives no sign of life any more is terminated without having drained. A draining node asks for more time as long as it needs it."
  type        = number
  default     = 300

  validation {
    condition     = var.terminate_hook_timeout_seconds >= 30 && var.terminate_hook_timeout_seconds <= 7200
    error_message = "terminate_hook_timeout_seconds has to be from 30 to 7200."
  }
}

variable "launch_hook" {
  description = "true: a new node counts as in service when maelstromd says that it has joined, and one that never does is replaced."
  type        = bool
  default     = false
}

variable "launch_hook_timeout_seconds" {
  description = "Seconds that a new node has to join, with `launch_hook`."
  type        = number
  default     = 600

  validation {
    condition     = var.launch_hook_timeout_seconds >= 30 && var.launch_hook_timeout_seconds <= 7200
    error_message = "launch_hook_timeout_seconds has to be from 30 to 7200."
  }
}

# === Store ===

variable "table_name" {
  description = "Name of the DynamoDB table; null: `name`."
  type        = string
  default     = null

  validation {
    condition     = var.table_name == null ? true : can(regex("^[A-Za-z0-9_.-]{3,255}$", var.table_name))
    error_message = "table_name has to be 3 to 255 letters, digits, underscores, dots and hyphens."
  }
}

variable "table_deletion_protection" {
  description = "true: the table, and so all projects, can't be deleted before this is false."
  type        = bool
  default     = true
}

variable "table_point_in_time_recovery" {
  description = "true: the table can be restored as it was at any second of the last 35 days."
  type        = bool
  default     = true
}

variable "table_kms_key" {
  description = "Your KMS key for the table; null: the account's key for DynamoDB."
  type = object({
    arn = string
  })
  default = null
}

# === What nodes may do in AWS ===

variable "sqs_queue_arns" {
  description = "Queues that components take messages from (event sources of type sqs); `*` stands for any characters, for queues named by a prefix."
  type        = list(string)
  default     = []
}

variable "sqs_kms_key_arns" {
  description = "KMS keys that those queues are encrypted with, where they are your own."
  type        = list(string)
  default     = []
}

variable "step_functions_activity_arns" {
  description = "Step Functions activities that components work on (event sources of type awsstepfunc); `*` stands for any characters. Missing ones are created by maelstromd."
  type        = list(string)
  default     = []
}

variable "ecr_repository_arns" {
  description = "ECR repositories that images come from; `*` stands for any characters. Installs Amazon's credential helper for the Docker client, for `pullcommand: [docker, pull, <image>]`."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.ecr_repository_arns : can(regex("^arn:[a-z-]+:ecr:[a-z0-9-]+:[0-9]{12}:repository/", arn))])
    error_message = "ecr_repository_arns takes ARNs like arn:aws:ecr:eu-central-1:123456789012:repository/team/*, with region and account."
  }
}

variable "demand_scaling" {
  description = "true: the cluster may raise the group's desired capacity and terminate drained nodes, so that its size follows demand (`MAEL_AWS_CAPACITY`). Use no scaling policies on the group then."
  type        = bool
  default     = false
}

variable "capacity_metrics" {
  description = "true: the cluster sends its capacity to the CloudWatch namespace `Maelstrom` once a minute (`MAEL_AWS_CAPACITY_METRICS`), for scaling policies of your own; see examples/scaling-policy. Unless `demand_scaling` is true as well, new nodes are not protected from scale-in then."
  type        = bool
  default     = false
}

variable "role_policy_arns" {
  description = "More policies for the nodes' role, `AmazonSSMManagedInstanceCore` for example: any name to the policy's ARN. Containers don't get these rights (see `container_metadata_access`)."
  type        = map(string)
  default     = {}
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the roles that are made; null: none."
  type        = string
  default     = null
}

# === Alarms ===

variable "alarms" {
  description = "CloudWatch alarms; null: none. `actions` are told when one goes off and when it is over, SNS topics for example. Nodes missing for `missing_nodes_minutes`, a termination that waits for `termination_age_seconds`, and `gateway_errors` answers with 5xx in a minute, five minutes on end, are too much."
  type = object({
    actions                 = optional(list(string), [])
    missing_nodes_minutes   = optional(number, 20)
    termination_age_seconds = optional(number, 1200)
    gateway_errors          = optional(number, 10)
  })
  default = {}

  validation {
    condition     = var.alarms == null ? true : var.alarms.missing_nodes_minutes >= 1 && var.alarms.missing_nodes_minutes <= 1440 && var.alarms.termination_age_seconds >= 60 && var.alarms.gateway_errors >= 0
    error_message = "alarms.missing_nodes_minutes goes from 1 to 1440, alarms.termination_age_seconds from 60 on, alarms.gateway_errors from 0 on."
  }
}
