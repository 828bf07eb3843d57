//! Arguments as they are typed. What they mean is for the commands; [`crate::settings`] resolves the ones
//! that all share.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, builder::PossibleValuesParser};
use clap_complete::Shell;
use maelstrom_core::{event_source::EventSourceKind, journal::Kind};

use crate::token::Token;

pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8374";
const DEFAULT_FILE: &str = "maelstrom.yml";

/// Deploys to Maelstrom and tells what it does.
#[derive(Debug, Parser)]
#[command(
    name = "maelctl",
    version,
    infer_long_args = true,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 100,
    after_help = "Begin with: maelctl project put --file maelstrom.yml; maelctl cluster ps\n\
                  Long options may be shortened to what is unambiguous: --comp for --component."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of all commands")]
pub(crate) struct GlobalArgs {
    /// Private gateway of any node
    #[arg(long, global = true, env = "MAELSTROM_PRIVATE_URL", default_value = DEFAULT_URL)]
    pub(crate) url: String,
    /// Token of the management API, where it asks for one; seen by all in the list of processes
    #[arg(long, global = true, env = "MAEL_API_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<Token>,
    /// File with the token; wins over --token
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) output: Format,
    /// Colours: auto uses them on a terminal unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t = ColorWhen::Auto, value_name = "WHEN")]
    pub(crate) color: ColorWhen,
    /// Leave the head of tables away
    #[arg(long, global = true)]
    pub(crate) no_headers: bool,
    /// How long a call may take, e.g. 10s
    #[arg(long, global = true, value_parser = duration, default_value = "30s", value_name = "DURATION")]
    pub(crate) timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// The table with more columns
    Wide,
    /// The API's objects
    Json,
    /// The API's objects; for project get, a project file
    Yaml,
    /// Names only, one a line
    Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Deploy, compare, read and remove projects
    #[command(subcommand, visible_alias = "projects")]
    Project(ProjectCommand),
    /// Look at components
    #[command(subcommand, name = "comp", visible_alias = "component", alias = "components")]
    Component(ComponentCommand),
    /// Put, look at, test and remove event sources, switch them on and off
    #[command(subcommand, name = "es", visible_alias = "event-source", alias = "event-sources")]
    EventSource(EventSourceCommand),
    /// Look at nodes and instances
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Empty nodes for maintenance, and take them back
    #[command(subcommand, visible_alias = "nodes")]
    Node(NodeCommand),
    /// Make the store of a cluster
    #[command(subcommand)]
    Store(StoreCommand),
    /// Follow what instances write
    Logs(LogsArgs),
    /// What the daemon decided, and why
    Events(EventsArgs),
    /// Why a component is as it is now
    Explain(ExplainArgs),
    /// Versions of maelctl and of the daemon
    Version,
    /// Write a completion script, e.g. for bash: source <(maelctl completion bash)
    Completion {
        #[arg(value_enum)]
        shell: Shell,
    },
    /// What maelctl's exit codes mean
    #[command(
        name = "exit-codes",
        long_about = crate::failure::EXIT_CODES,
        help_template = "{about-with-newline}"
    )]
    ExitCodes,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Make the project as the file says: adds, updates and removes components and event sources
    Put(PutArgs),
    /// Show what put would change. Exit code 0: nothing, 1: something
    Diff(FileArgs),
    /// Check the file without a daemon, and report all that is wrong with it
    Validate(FileArgs),
    /// List projects
    #[command(visible_alias = "list")]
    Ls(ProjectListArgs),
    /// Print a project as a project file; putting it changes nothing
    Get { name: String },
    /// Remove a project with its components and event sources
    Rm {
        name: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
    },
    /// Print the JSON Schema of the project file, for editors
    Schema,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FileArgs {
    /// Project file; - reads it from the standard input
    #[arg(short, long, default_value = DEFAULT_FILE)]
    pub(crate) file: String,
    /// File of NAME=value lines for ${NAME} in the project file; they win over the environment
    #[arg(long, value_name = "FILE")]
    pub(crate) env: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PutArgs {
    #[command(flatten)]
    pub(crate) source: FileArgs,
    /// Show what would change and save nothing
    #[arg(long, visible_alias = "dry-run")]
    pub(crate) diffonly: bool,
    /// Exit with 1 when something changed or would change
    #[arg(long)]
    pub(crate) exit_code: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ConfirmArgs {
    /// Don't ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct WatchArgs {
    /// Show it again and again; the interval is 2s unless given as --watch=5s
    #[arg(
        short, long, value_parser = duration, value_name = "INTERVAL",
        num_args = 0..=1, require_equals = true, default_missing_value = "2s"
    )]
    pub(crate) watch: Option<Duration>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ProjectListArgs {
    /// Only names that begin so
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ComponentCommand {
    /// List components
    #[command(visible_alias = "list")]
    Ls(ComponentListArgs),
    /// Show one component with all its settings
    Get { name: String },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ComponentListArgs {
    /// Only names that begin so
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// Only components of this project
    #[arg(long)]
    pub(crate) project: Option<String>,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EventSourceCommand {
    /// List event sources
    #[command(visible_alias = "list")]
    Ls(EventSourceListArgs),
    /// Make an event source as the file says, or change it
    Put(EventSourcePutArgs),
    /// Show one event source at work: its settings, queues with depth, pollers with their nodes
    Get { name: String },
    /// Remove an event source
    Rm {
        name: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
    },
    /// Send one event as the event source would, and show the answer and what would become of it
    Test(EventSourceTestArgs),
    /// Switch event sources on
    Enable(ToggleArgs),
    /// Switch event sources off
    Disable(ToggleArgs),
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct EventSourceFilter {
    /// Only names that begin so
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// Only those of this project
    #[arg(long)]
    pub(crate) project: Option<String>,
    /// Only those of this component
    #[arg(long)]
    pub(crate) component: Option<String>,
    /// Only those of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = PossibleValuesParser::new(EventSourceKind::NAMES))]
    pub(crate) kind: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct EventSourcePutArgs {
    /// File with one event source, YAML or JSON; - reads it from the standard input
    #[arg(short, long)]
    pub(crate) file: String,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct EventSourceTestArgs {
    pub(crate) name: String,
    /// The event: a message's body, a task's input, a request's body; @FILE or - read it
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) data: Option<String>,
    /// Path and query that a client would ask for (http event sources)
    #[arg(long)]
    pub(crate) path: Option<String>,
    /// Method that a client would use (http event sources)
    #[arg(long)]
    pub(crate) method: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct EventSourceListArgs {
    #[command(flatten)]
    pub(crate) filter: EventSourceFilter,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ToggleArgs {
    /// One event source by its full name
    #[arg(conflicts_with = "prefix")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) filter: EventSourceFilter,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// List nodes
    Nodes(NodesArgs),
    /// List instances
    Ps(PsArgs),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct NodesArgs {
    /// Ask every node for its present state
    #[arg(long)]
    pub(crate) refresh: bool,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PsArgs {
    /// Ask every node for its present state
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Only instances of this component; * stands for anything
    #[arg(long)]
    pub(crate) component: Option<String>,
    /// Only instances on this node; * stands for anything
    #[arg(long)]
    pub(crate) node: Option<String>,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Move everything that runs on a node to others, and give it nothing new until it is undrained
    #[command(
        after_help = "No request is lost: an instance ends when its replacement serves. The node goes on passing \
                      requests to others, also after a restart of its daemon. Ctrl-C ends the waiting, not the drain."
    )]
    Drain(DrainArgs),
    /// Take a drained node back: it gets work again within seconds
    Undrain { node: String },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DrainArgs {
    /// As in maelctl cluster nodes
    pub(crate) node: String,
    /// Don't wait until nothing runs there any more
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Wait for at most so long
    #[arg(long, value_parser = duration, default_value = "10m", value_name = "DURATION", conflicts_with = "no_wait")]
    pub(crate) wait: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Make the DynamoDB table of a cluster, if it isn't there; needs no daemon
    #[command(
        after_help = "Region and credentials are found as every AWS tool finds them. Can be run again at any time."
    )]
    Init {
        /// The table, as in MAEL_STORE
        #[arg(value_name = "dynamodb:TABLE", value_parser = table, env = "MAEL_STORE")]
        table: String,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct LogsArgs {
    /// Components: names, or with * at either end; all unless given
    pub(crate) names: Vec<String>,
    /// The same, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) components: Vec<String>,
    /// Begin so long ago
    #[arg(long, value_parser = duration, default_value = "1m", value_name = "DURATION")]
    pub(crate) since: Duration,
    /// Begin with so many of the last lines per instance
    #[arg(long, value_name = "LINES")]
    pub(crate) tail: Option<u32>,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "REGEX", value_parser = regex)]
    pub(crate) grep: Option<regex_lite::Regex>,
    /// Only this output
    #[arg(long, value_enum)]
    pub(crate) stream: Option<Stream>,
    /// Go on with new lines (default)
    #[arg(short, long, overrides_with = "no_follow", action = ArgAction::SetTrue)]
    pub(crate) follow: bool,
    /// End after what there is now
    #[arg(long)]
    pub(crate) no_follow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct EventsArgs {
    /// Go on with new events
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Begin so long ago; unless given, the newest
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub(crate) since: Option<Duration>,
    /// Only these types, separated by commas
    #[arg(
        long = "type", value_name = "TYPES", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.name()))
    )]
    pub(crate) kinds: Vec<String>,
    /// Only events of this component
    #[arg(long)]
    pub(crate) component: Option<String>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(i64).range(1..=1000))]
    pub(crate) limit: i64,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ExplainArgs {
    /// The component
    pub(crate) component: String,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

fn duration(text: &str) -> Result<Duration, String> {
    // The original took plain numbers of nothing but digits for seconds.
    if let Ok(seconds) = text.parse::<u32>() {
        return positive(Duration::from_secs(seconds.into()));
    }
    humantime::parse_duration(text)
        .map_err(|_| "a duration like 500ms, 10s, 5m or 1h30m is allowed".into())
        .and_then(positive)
}

fn positive(duration: Duration) -> Result<Duration, String> {
    if duration.is_zero() { Err("must be more than nothing".into()) } else { Ok(duration) }
}

/// The name of the table in a store setting.
fn table(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        Some(("dynamodb", name)) if !name.is_empty() => Ok(name.to_owned()),
        Some(("sqlite", _)) => {
            Err("a file is made by the daemon that uses it; dynamodb:TABLE is allowed".into())
        }
        _ => Err("dynamodb:TABLE is allowed".into()),
    }
}

fn regex(text: &str) -> Result<regex_lite::Regex, String> {
    regex_lite::Regex::new(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
