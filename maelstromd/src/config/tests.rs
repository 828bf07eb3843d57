//! Layers, bad values and what is printed; the table of settings against the README.

use super::*;
use std::io::Write as _;

fn environment(pairs: &[(&str, &str)]) -> Sources {
    Sources {
        environment: pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        ..Sources::default()
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn find<'a>(loaded: &'a Loaded, name: &str) -> &'a Effective {
    loaded.effective.iter().find(|one| one.setting.name == name).unwrap()
}

#[test]
fn defaults_are_those_documented() {
    let Loaded { settings, warnings, .. } = load(&Sources::default()).unwrap();
    assert_eq!(settings.store, StoreSetting::Sqlite("maelstrom.db".into()));
    assert_eq!((settings.public_port, settings.private_port), (80, 8374));
    assert_eq!(settings.http_read_timeout.as_secs(), 300);
    assert_eq!((settings.total_memory, settings.docker_prune), (None, None));
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn later_layers_win_and_say_so() {
    let toml = file("public_port = 1001\nprivate_port = 1002\nlog_level = 'debug'\nnode_id = '0123'\n");
    let env_file =
        file("# comment\n\nexport MAEL_PRIVATE_PORT=\"2002\"\nMAEL_LOG_LEVEL='warn'\nAWS_REGION=x\n");
    let mut sources = environment(&[("MAEL_LOG_LEVEL", "error,maelstromd::gateway=debug")]);
    sources.toml = Some(toml.path().into());
    sources.env_file = Some(env_file.path().into());
    sources.flags = vec![("public_port".into(), "4004".into())];
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.settings.public_port, 4004);
    assert_eq!(loaded.settings.private_port, 2002);
    assert_eq!(loaded.settings.log_level, "error,maelstromd::gateway=debug");
    assert_eq!(loaded.settings.node_id.as_deref(), Some("0123"));
    assert_eq!(find(&loaded, "MAEL_PUBLIC_PORT").layer, "flag");
    assert_eq!(find(&loaded, "MAEL_PRIVATE_PORT").layer, format!("file {}", env_file.path().display()));
    assert_eq!(find(&loaded, "MAEL_LOG_LEVEL").layer, "environment");
    assert_eq!(find(&loaded, "MAEL_NODE_ID").layer, format!("file {}", toml.path().display()));
    assert_eq!(find(&loaded, "MAEL_STORE").layer, "default");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn all_bad_values_of_all_layers_are_reported() {
    let toml = file("public_port = 'x'\nprivat_port = 5\ndrain_seconds = [1]\n");
    let env_file = file("MAEL_KEEP_CONTAINERS=maybe\nnonsense\n");
    let mut sources = environment(&[("MAEL_STORE", "mysql:x"), ("MAEL_HTTP_READ_TIMEOUT", "-1")]);
    sources.toml = Some(toml.path().into());
    sources.env_file = Some(env_file.path().into());
    sources.flags = vec![
        ("log_format".into(), "xml".into()),
        ("private_url".into(), "tcp://x".into()),
        ("log_level".into(), "loud".into()),
    ];
    let bad = load(&sources).unwrap_err();
    let text = bad.to_string();
    assert_eq!(bad.0.len(), 10, "{text}");
    for line in [
        "MAEL_PUBLIC_PORT = 'x' (file ",
        "did you mean private_port?",
        "drain_seconds = '…'",
        "MAEL_KEEP_CONTAINERS = 'maybe'",
        ":2): a line like NAME=value",
        "MAEL_STORE = 'mysql:x' (environment): sqlite:PATH or dynamodb:TABLE is allowed",
        "MAEL_HTTP_READ_TIMEOUT = '-1' (environment): a whole number from 1 to 86400 is allowed",
        "MAEL_LOG_FORMAT = 'xml' (flag): text or json is allowed",
        "MAEL_PRIVATE_URL = 'tcp://x' (flag)",
        "MAEL_LOG_LEVEL = 'loud' (flag)",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn files_that_can_not_be_read_are_reported() {
    let sources = Sources {
        toml: Some("/nope/a.toml".into()),
        env_file: Some("/nope/b.env".into()),
        ..Sources::default()
    };
    let text = load(&sources).unwrap_err().to_string();
    assert!(text.contains("--config = '/nope/a.toml'") && text.contains("-f = '/nope/b.env'"), "{text}");
    let broken = file("a = = b");
    let text =
        load(&Sources { toml: Some(broken.path().into()), ..Sources::default() }).unwrap_err().to_string();
    assert!(text.contains("it is not TOML"), "{text}");
}

#[test]
fn an_unknown_variable_is_a_warning_with_the_nearest_name() {
    let loaded = load(&environment(&[("MAEL_PUBLIC_PROT", "80"), ("OTHER", "x")])).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].contains("did you mean MAEL_PUBLIC_PORT?"), "{:?}", loaded.warnings);
}

#[test]
fn a_setting_of_a_feature_that_is_not_there_says_so() {
    let loaded = load(&environment(&[("LETSENCRYPT_EMAIL", "a@b.c")])).unwrap();
    assert_eq!(loaded.warnings, ["LETSENCRYPT_EMAIL has no effect: this build has no TLS"]);
}

#[test]
fn empty_stands_for_unset_where_that_means_something() {
    let toml = file("node_id = 'n'\n");
    let mut sources = environment(&[("MAEL_NODE_ID", ""), ("MAEL_PRIVATE_URL", "")]);
    sources.toml = Some(toml.path().into());
    let settings = load(&sources).unwrap().settings;
    assert_eq!((settings.node_id, settings.private_url), (None, None));
    assert!(load(&environment(&[("MAEL_PUBLIC_PORT", "")])).is_err());
}

#[test]
fn values_are_printed_as_they_are_written() {
    let loaded = load(&environment(&[("MAEL_PUBLIC_PORT", "0"), ("MAEL_KEEP_CONTAINERS", "yes")])).unwrap();
    let text = describe(&loaded.effective);
    let line = |name: &str| -> Vec<&str> {
        text.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().skip(1).collect()
    };
    assert_eq!(line("MAEL_PUBLIC_PORT"), ["0", "environment"]);
    assert_eq!(line("MAEL_PRIVATE_PORT"), ["8374", "default"]);
    assert_eq!(line("MAEL_KEEP_CONTAINERS"), ["true", "environment"]);
    assert_eq!(line("MAEL_STORE"), ["sqlite:maelstrom.db", "default"]);
    assert_eq!(line("MAEL_NODE_ID"), ["(unset)", "default"]);
}

#[test]
fn tokens_and_secrets_are_lists_that_nobody_sees() {
    let (one, two) = ("0123456789abcdef", "fedcba9876543210");
    let both = format!("{one}, {two}");
    let loaded = load(&environment(&[("MAEL_API_TOKEN", &both), ("MAEL_CLUSTER_SECRET", one)])).unwrap();
    let Settings { api_tokens, api_tokens_readonly, cluster_secrets, .. } = &loaded.settings;
    assert_eq!((api_tokens.len(), api_tokens_readonly.len(), cluster_secrets.len()), (2, 0, 1));
    let shown = format!("{}{:?}", describe(&loaded.effective), loaded.settings);
    assert!(!shown.contains(one) && !shown.contains(two), "{shown}");
    for (name, value, said) in [
        ("MAEL_API_TOKEN", "swordfish", "openssl rand"),
        ("MAEL_CLUSTER_SECRET", ",", "openssl rand"),
        ("MAEL_API_TOKEN_READONLY", one, "set MAEL_API_TOKEN, too"),
    ] {
        let text = load(&environment(&[(name, value)])).unwrap_err().to_string();
        let expected = format!("{name} = '(hidden)' (environment)");
        assert!(text.contains(&expected) && text.contains(said) && !text.contains("swordfish"), "{text}");
    }
    let text = load(&environment(&[("MAEL_API_TOKEN", &both), ("MAEL_API_TOKEN_READONLY", two)]));
    assert!(text.unwrap_err().to_string().contains("is in MAEL_API_TOKEN, too"));
    assert!(load(&environment(&[("MAEL_API_TOKEN", "")])).unwrap().settings.api_tokens.is_empty());
}

#[test]
fn secrets_are_hidden() {
    let loaded = load(&environment(&[("MAEL_TERMINATE_COMMAND", "curl -H token:hunter2")])).unwrap();
    let text = describe(&loaded.effective);
    assert!(text.contains("(hidden)") && !text.contains("hunter2"), "{text}");
}

/// People read the README, the program reads the table: they must say the same.
#[test]
fn the_table_of_settings_is_that_of_the_readme() {
    let readme = include_str!("../../../README.md");
    let section = readme.split("## Configuration").nth(1).expect("README.md has '## Configuration'");
    let section = section.split("\n## ").next().unwrap();
    let documented: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = SETTINGS
        .iter()
        .map(|setting| {
            let later = setting
                .not_built
                .map_or_else(String::new, |feature| format!(" (not in this build: {feature})"));
            let default = setting.default.map_or_else(String::new, |default| format!("`{default}`"));
            format!("| `{}` | {default} | {}{later} |", setting.name, setting.help)
        })
        .collect();
    assert_eq!(documented, expected, "README.md wants:\n{}\n", expected.join("\n"));
}
