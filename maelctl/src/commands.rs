//! One module a noun. A command fetches, renders and prints; rendering is a function of what was fetched,
//! so that tests need no daemon.

mod cluster;
mod component;
mod event_source;
mod event_source_get;
mod event_source_put;
mod events;
mod explain;
mod logs;
mod node;
mod project;
mod project_put;
mod store;
mod version;

use clap::CommandFactory;
use maelstrom_core::{rpc::code, wire};

use crate::{
    cli::{Cli, Command, WatchArgs},
    client::Api,
    failure::{EXIT_CODES, Failure},
    output::{Output, Rendered},
    settings::Settings,
};

/// Entities per page when all are wanted: what the daemon gives at most.
const PAGE: i64 = 1_000;

pub(crate) async fn run(command: Command, settings: &Settings, output: &Output) -> Result<(), Failure> {
    let api = Api::new(settings);
    match command {
        Command::Project(command) => project::run(command, &api, output).await,
        Command::Component(command) => component::run(command, &api, output).await,
        Command::EventSource(command) => event_source::run(command, &api, output).await,
        Command::Cluster(command) => cluster::run(command, &api, output).await,
        Command::Node(command) => node::run(command, &api, output).await,
        Command::Store(command) => store::run(command, output).await,
        Command::Logs(args) => logs::run(args, &api, output).await,
        Command::Events(args) => events::run(args, &api, output).await,
        Command::Explain(args) => explain::run(args, &api, output).await,
        Command::Version => version::run(&api, output).await,
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "maelctl", &mut script);
            output.write(&String::from_utf8_lossy(&script))
        }
        Command::ExitCodes => output.write(&format!("{EXIT_CODES}\n")),
    }
}

/// Shows what `fetch` gives, once or again and again. A daemon that goes away while watched is waited
/// for.
async fn watch<F>(args: &WatchArgs, output: &Output, mut fetch: impl FnMut() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<Rendered, Failure>>,
{
    let Some(interval) = args.watch else { return output.print(&fetch().await?) };
    output.show_again(&fetch().await?)?;
    loop {
        tokio::time::sleep(interval).await;
        match fetch().await {
            Ok(rendered) => output.show_again(&rendered)?,
            Err(failure) => output.failure(&failure),
        }
    }
}

/// Whether `pattern`, a name or one with `*` anywhere, stands for `name`. Case makes no difference.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Adds what was most likely meant to a failure because of a component's name.
async fn name_hint(failure: Failure, api: &Api, given: &str) -> Failure {
    if failure.code != Some(code::NOT_FOUND) {
        return failure;
    }
    let input = wire::ListComponentsInput { limit: Some(PAGE), ..Default::default() };
    let Ok(known) = api.read(wire::ListComponents, &input).await else { return failure };
    let names: Vec<&str> = known.components.iter().map(|component| component.name.as_str()).collect();
    match likely(given, &names) {
        Some(name) => failure.hint(format!("did you mean '{name}'?")),
        None => failure.hint("maelctl comp ls shows what there is"),
    }
}

/// People leave the project's prefix away.
fn likely<'a>(given: &str, names: &[&'a str]) -> Option<&'a str> {
    let ending = format!("_{}", given.to_ascii_lowercase());
    let mut ends = names.iter().filter(|name| name.ends_with(&ending));
    match (ends.next(), ends.next()) {
        (Some(only), None) => Some(only),
        _ => maelstrom_core::nearest::nearest(given, names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_like_those_of_a_shell() {
        for (pattern, name, expected) in [
            ("web", "web", true),
            ("Web", "wEb", true),
            ("web", "web2", false),
            ("web*", "web2", true),
            ("*_web", "demo_web", true),
            ("*e*", "web", true),
            ("d*o*b", "demo_web", true),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_name_without_its_prefix_is_recognised() {
        let names = ["demo_web", "demo_clock", "shop_clock"];
        assert_eq!(likely("web", &names), Some("demo_web"));
        assert_eq!(likely("clock", &names), None);
        assert_eq!(likely("demo_wbe", &names), Some("demo_web"));
    }
}
