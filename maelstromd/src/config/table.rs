//! The one table of settings. Environment, files, flags, help, `maelstromd config` and the README come
//! from it.

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text, empty stands for unset.
    Text,
    /// A node's id: it travels in headers, labels and URLs.
    NodeId,
    /// An IP address to listen on.
    Address,
    /// `sqlite:PATH` or `dynamodb:TABLE`.
    Store,
    /// `http://host[:port]`.
    Url,
    /// Comma-separated tokens or secrets. They get no flag: everybody on a machine sees its processes' arguments.
    Secrets,
    /// A port; 0 lets the system choose.
    Port,
    /// Whole seconds, minutes, MiB or the like, in these bounds.
    Number { least: u64, most: u64 },
    /// `true`, `false`, and what people write for them.
    Switch,
    /// A level, or levels by module.
    LogLevel,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// One setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// The variable in the environment and in `NAME=value` files.
    pub name: &'static str,
    /// Its key in `maelstromd.toml`; with `-` for `_` its flag.
    pub key: &'static str,
    pub kind: Kind,
    /// `None`: unset means what `help` says.
    pub default: Option<&'static str>,
    /// Never shown.
    pub secret: bool,
    pub help: &'static str,
    /// The feature that it belongs to, when this build has not got it.
    pub not_built: Option<&'static str>,
}

const fn setting(
    name: &'static str,
    key: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { name, key, kind, default, secret: false, help, not_built: None }
}

impl Setting {
    const fn of(self, feature: &'static str) -> Self {
        Self { not_built: Some(feature), ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// Its command-line flag, without dashes in front.
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }
}

/// A day: longer than anything here should take.
const SECONDS: Kind = Kind::Number { least: 0, most: 86_400 };
const TIMEOUT: Kind = Kind::Number { least: 1, most: 86_400 };
/// A petabyte in MiB.
const MEBIBYTES: Kind = Kind::Number { least: 0, most: 1 << 30 };
const TLS: &str = "TLS";

#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting("MAEL_STORE", "store", Kind::Store, Some("sqlite:maelstrom.db"),
        "where projects, components and event sources are kept: sqlite:PATH (one node) or dynamodb:TABLE (cluster)"),
    setting("MAEL_PUBLIC_ADDRESS", "public_address", Kind::Address, Some("0.0.0.0"),
        "address that the public gateway listens on; :: takes IPv4 and IPv6"),
    setting("MAEL_PUBLIC_PORT", "public_port", Kind::Port, Some("80"),
        "port of the public gateway; 0 lets the system choose"),
    setting("MAEL_PUBLIC_HTTPS_PORT", "public_https_port", Kind::Port, Some("443"),
        "port of the public gateway for HTTPS").of(TLS),
    setting("MAEL_PRIVATE_ADDRESS", "private_address", Kind::Address, Some("0.0.0.0"),
        "address that the private gateway listens on; containers must be able to reach it"),
    setting("MAEL_PRIVATE_PORT", "private_port", Kind::Port, Some("8374"),
        "port of the private gateway: containers, maelctl, metrics; 0 lets the system choose"),
    setting("MAEL_PRIVATE_URL", "private_url", Kind::Url, None,
        "what containers get as MAELSTROM_PRIVATE_URL; unset: the Docker bridge's address and the private port"),
    setting("MAEL_PEER_URL", "peer_url", Kind::Url, None,
        "where other nodes reach the private gateway; unset: MAEL_PRIVATE_URL, else the address it listens on, else that of the default route"),
    setting("MAEL_API_TOKEN", "api_token", Kind::Secrets, None,
        "comma-separated tokens, any of which the management API takes for everything; unset: it takes everybody").secret(),
    setting("MAEL_API_TOKEN_READONLY", "api_token_readonly", Kind::Secrets, None,
        "comma-separated tokens that may look and change nothing").secret(),
    setting("MAEL_CLUSTER_SECRET", "cluster_secret", Kind::Secrets, None,
        "comma-separated secrets by which nodes know each other: the first is used, all are taken; unset: MAEL_API_TOKEN").secret(),
    setting("MAEL_SECRETS_KEY", "secrets_key", Kind::Secrets, None,
        "comma-separated keys that seal environment values and registry passwords in the store: the first seals, all open; unset: nothing is sealed").secret(),
    setting("MAEL_NODE_ID", "node_id", Kind::NodeId, None,
        "name of this node, unique and the same after a restart; unset: made once and kept beside the store, in a cluster in MAEL_STATE_DIR"),
    setting("MAEL_STATE_DIR", "state_dir", Kind::Text, Some("."),
        "folder for what a node keeps of its own when its store is elsewhere: its name"),
    setting("MAEL_TOTAL_MEMORY", "total_memory", MEBIBYTES, None,
        "MiB for containers; 0: this node only relays; unset: the memory of the system, or of the daemon's control group"),
    setting("MAEL_WORKER_THREADS", "worker_threads", Kind::Number { least: 0, most: 64 }, Some("0"),
        "threads that serve clients, each on a processor of its own when there is much to do; 0: half of the processors, at least one"),
    setting("MAEL_HTTP_READ_TIMEOUT", "http_read_timeout", TIMEOUT, Some("300"),
        "seconds for a client to send its request"),
    setting("MAEL_HTTP_WRITE_TIMEOUT", "http_write_timeout", TIMEOUT, Some("310"),
        "seconds for an answer to be sent without any progress"),
    setting("MAEL_HTTP_IDLE_TIMEOUT", "http_idle_timeout", TIMEOUT, Some("310"),
        "seconds that a client's connection stays open with no request on it"),
    setting("MAEL_CRON_REFRESH_SECONDS", "cron_refresh_seconds", TIMEOUT, Some("60"),
        "upper bound in seconds for picking up changed cron rules; changes are pushed, too"),
    setting("MAEL_SHUTDOWN_PAUSE_SECONDS", "shutdown_pause_seconds", SECONDS, Some("0"),
        "seconds between the public health check turning 503 and the end of accepting requests"),
    setting("MAEL_DRAIN_SECONDS", "drain_seconds", SECONDS, Some("310"),
        "seconds at most that requests in flight may take to end when the daemon stops"),
    setting("MAEL_DRAIN_STREAM_SECONDS", "drain_stream_seconds", SECONDS, Some("30"),
        "seconds at most that upgraded connections (WebSockets) go on when the daemon stops"),
    setting("MAEL_KEEP_CONTAINERS", "keep_containers", Kind::Switch, Some("false"),
        "true: SIGTERM leaves containers running for the next daemon, which takes them over"),
    setting("MAEL_DOCKER_PRUNE_MINUTES", "docker_prune_minutes", Kind::Number { least: 0, most: 525_600 }, Some("0"),
        "minutes between removals of exited containers and untagged images; 0: never"),
    setting("MAEL_DOCKER_PRUNE_UNREG_IMAGES", "docker_prune_unreg_images", Kind::Switch, Some("false"),
        "true: pruning removes images of no component, too"),
    setting("MAEL_DOCKER_PRUNE_UNREG_KEEP", "docker_prune_unreg_keep", Kind::Text, None,
        "comma-separated globs of images that are never removed"),
    setting("MAEL_LOG_LEVEL", "log_level", Kind::LogLevel, Some("info"),
        "error, warn, info, debug or trace, also by module: info,maelstromd::gateway=debug"),
    setting("MAEL_LOG_FORMAT", "log_format", Kind::Choice(&["text", "json"]), Some("text"),
        "text for people or json for programs"),
    setting("MAEL_NODE_LIVENESS_SECONDS", "node_liveness_seconds", Kind::Number { least: 3, most: 86_400 }, Some("300"),
        "seconds after which a node that gives no sign of life leaves the cluster"),
    setting("MAEL_INSTANCE_ID", "instance_id", Kind::Text, None,
        "the machine's id in the cloud; unset: from the instance metadata on EC2"),
    setting("MAEL_TERMINATE_COMMAND", "terminate_command", Kind::Text, None,
        "command run after a termination by the cloud, not after SIGTERM").secret(),
    setting("MAEL_AWS_TERMINATE_QUEUE_URL", "aws_terminate_queue_url", Kind::Text, None,
        "URL of the SQS queue that the autoscaling group's termination hook writes into"),
    setting("MAEL_AWS_TERMINATE_MAX_AGE_SECONDS", "aws_terminate_max_age_seconds", TIMEOUT, Some("600"),
        "seconds after which messages of the termination hook are deleted"),
    setting("MAEL_AWS_SPOT_TERMINATE_POLL_SECONDS", "aws_spot_terminate_poll_seconds", SECONDS, Some("0"),
        "seconds between looks at the instance metadata for a spot interruption or the end of the machine, 5 at most; 0: never"),
    setting("MAEL_AWS_REBALANCE_DRAIN", "aws_rebalance_drain", Kind::Switch, Some("false"),
        "true: a rebalance recommendation empties the node, as maelctl node drain does"),
    setting("MAEL_AWS_LAUNCH_IMAGES", "aws_launch_images", Kind::Switch, Some("false"),
        "true: a launch hook is completed only when the images of components with mininstances are on the node"),
    setting("MAEL_AWS_CAPACITY", "aws_capacity", Kind::Switch, Some("false"),
        "true: the size of the autoscaling group follows what has to run; no scaling policy should do so, too"),
    setting("MAEL_AWS_CAPACITY_HEADROOM", "aws_capacity_headroom", MEBIBYTES, Some("0"),
        "MiB that the group's size keeps free on some node for what comes next"),
    setting("MAEL_AWS_CAPACITY_REMOVALS", "aws_capacity_removals", Kind::Number { least: 0, most: 1_000 }, Some("6"),
        "machines at most that the group is made to do without in an hour"),
    setting("MAEL_AWS_CAPACITY_METRICS", "aws_capacity_metrics", Kind::Switch, Some("false"),
        "true: the owner of placement sends capacity metrics to CloudWatch once a minute, for scaling policies of the group"),
    setting("LETSENCRYPT_EMAIL", "letsencrypt_email", Kind::Text, None,
        "turns on automatic certificates for the hostnames of http event sources").of(TLS),
];
