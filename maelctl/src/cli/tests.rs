//! Lines as they are typed.

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn long_options_may_be_shortened() {
    let cli = parse("maelctl es ls --comp=web --pre x --no-head").unwrap();
    let Command::EventSource(EventSourceCommand::Ls(args)) = cli.command else { panic!("not es ls") };
    assert_eq!((args.filter.component.as_deref(), args.filter.prefix.as_deref()), (Some("web"), Some("x")));
    assert!(cli.global.no_headers);
}

#[test]
fn the_original_lines_are_understood() {
    for line in [
        "maelctl cluster nodes --refresh",
        "maelctl cluster ps --refresh",
        "maelctl comp ls --prefix=a",
        "maelctl es ls --prefix=a --component=b --type=cron",
        "maelctl logs --components=a,b* --since=5m",
        "maelctl project ls --prefix=a",
        "maelctl project put --file=a.yml --env=b.env --diffonly",
        "maelctl project rm name",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
}

#[test]
fn watch_takes_an_optional_interval() {
    let interval = |line: &str| match parse(line).unwrap().command {
        Command::Cluster(ClusterCommand::Ps(args)) => args.watch.watch,
        _ => None,
    };
    assert_eq!(interval("maelctl cluster ps"), None);
    assert_eq!(interval("maelctl cluster ps --watch"), Some(Duration::from_secs(2)));
    assert_eq!(interval("maelctl cluster ps --watch=500ms"), Some(Duration::from_millis(500)));
    assert!(parse("maelctl cluster ps --watch=0s").is_err());
}

#[test]
fn bad_values_are_refused() {
    for line in [
        "maelctl logs --grep [",
        "maelctl events --type colds",
        "maelctl logs --since soon",
        "maelctl -o xml version",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn a_store_is_made_of_a_table_only() {
    let cli = parse("maelctl store init dynamodb:cluster").unwrap();
    let Command::Store(StoreCommand::Init { table }) = cli.command else { panic!("not store init") };
    assert_eq!(table, "cluster");
    for line in
        ["maelctl store init sqlite:a.db", "maelctl store init dynamodb:", "maelctl store init cluster"]
    {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains("dynamodb:TABLE is allowed"), "{error}");
    }
}
