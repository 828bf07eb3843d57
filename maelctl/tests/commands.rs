//! maelctl as people and scripts run it: the program itself, against an API on real TCP.

// A scene that can't be set up is a failed test.
#![allow(clippy::unwrap_used)]

mod api;

use std::{
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    process::{Command, Output, Stdio},
};

use api::{Api, Behaviour};

const FILE: &str = "name: demo\ncomponents:\n  web:\n    image: web:2\n    maxconcurrency: 4\n";

fn maelctl(url: &str, args: &[&str]) -> Output {
    program(url, args).output().unwrap()
}

fn program(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maelctl"));
    command.args(args).env("MAELSTROM_PRIVATE_URL", url).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Ended well, with this on standard output.
#[track_caller]
fn shows(url: &str, line: &str) -> String {
    let args: Vec<&str> = line.split_whitespace().collect();
    let output = maelctl(url, &args);
    assert!(output.status.success(), "{line}: {:?}\n{}", output.status, stderr(&output));
    stdout(&output)
}

/// Ended with `code`, and said why on standard error.
#[track_caller]
fn fails(url: &str, line: &str, code: i32) -> String {
    let args: Vec<&str> = line.split_whitespace().collect();
    let output = maelctl(url, &args);
    assert_eq!(output.status.code(), Some(code), "{line}: {}{}", stdout(&output), stderr(&output));
    stderr(&output)
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maelstrom.yml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn put_says_what_changed_field_by_field() {
    let api = Api::start(Behaviour::default());
    let (_folder, path) = file(FILE);
    let text = shows(&api.url, &format!("project put --file {path}"));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("Project saved: demo from file: {path}"));
    assert_eq!(lines[1], "Type         Name                               Action");
    assert_eq!(lines[2], "Component    demo_web                           Updated");
    assert_eq!(lines[3], "    image: web:1 → web:2");
    assert_eq!(api.calls("PutProject"), 1);
}

#[test]
fn diff_saves_nothing_and_tells_by_its_exit_code() {
    let api = Api::start(Behaviour::default());
    let (_folder, path) = file(FILE);
    let output = maelctl(&api.url, &["project", "diff", "--file", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).starts_with("Project diff: demo"));
    assert!(
        shows(&api.url, &format!("project put --diffonly --file {path}")).starts_with("Project diff: demo")
    );
    let same = FILE.replace("web:2", "web:1");
    let (_folder, path) = file(&same);
    let text = shows(&api.url, &format!("project put --exit-code --file {path}"));
    assert_eq!(
        text,
        format!("PutProject: No project changes detected for project: demo using file: {path}\n")
    );
}

#[test]
fn a_project_comes_from_standard_input_with_variables_of_a_file() {
    let api = Api::start(Behaviour::default());
    let folder = tempfile::tempdir().unwrap();
    let env = folder.path().join("vars.env");
    std::fs::write(&env, "TAG=9\n").unwrap();
    let args = ["-o", "json", "project", "validate", "--file", "-", "--env", env.to_str().unwrap()];
    let mut child = program(&api.url, &args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(FILE.replace("web:2", "web:${TAG}").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let project: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(project["components"][0]["component"]["docker"]["image"], "web:9");
}

#[test]
fn an_envfile_is_found_beside_the_project_file() {
    let (folder, path) = file(&format!("envfile: more.env\n{FILE}"));
    std::fs::write(folder.path().join("more.env"), "A=1\n").unwrap();
    let text = shows("http://127.0.0.1:9", &format!("project validate --file {path}"));
    assert!(text.contains("is valid: project demo, 1 component, 0 event sources"), "{text}");
}

#[test]
fn a_wrong_file_is_reported_with_all_its_places_and_nothing_is_sent() {
    let api = Api::start(Behaviour::default());
    let (_folder, path) =
        file("name: demo\ncomponents:\n  web:\n    image: a\n    imgae: b\n    httpport: x\n");
    let text = fails(&api.url, &format!("project put --file {path}"), 2);
    assert!(text.contains(&format!("{path}:5:5: unknown field 'imgae' in components.web")), "{text}");
    assert!(text.contains("did you mean 'image'?"), "{text}");
    assert!(text.contains(&format!("{path}:6:15: ")), "{text}");
    assert!(text.contains("2 problems"), "{text}");
    assert_eq!(api.calls("PutProject"), 0);
    let json = fails(&api.url, &format!("-o json project put --file {path}"), 2);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["error"]["data"]["findings"][0]["line"], 5, "{json:#}");
    let missing = fails(&api.url, "project put --file /none.yml", 2);
    assert!(missing.contains("cannot read project file /none.yml: No such file"), "{missing}");
}

#[test]
fn lists_have_tables_names_and_json() {
    let api = Api::start(Behaviour::default());
    assert!(shows(&api.url, "comp ls").starts_with("COMPONENT"));
    assert!(shows(&api.url, "comp ls --no-headers").starts_with("demo_web"));
    assert_eq!(shows(&api.url, "-o name comp ls"), "demo_web\n");
    let list: serde_json::Value = serde_json::from_str(&shows(&api.url, "comp ls -o json")).unwrap();
    assert_eq!(list[0]["name"], "demo_web");
    assert!(shows(&api.url, "project ls").contains("demo"));
    assert!(shows(&api.url, "es ls --type cron").contains("@every 5s GET /tick"));
    assert!(shows(&api.url, "cluster nodes").contains("n1"));
    assert!(shows(&api.url, "cluster ps").contains("demo_web"));
    assert_eq!(shows(&api.url, "cluster ps --component none"), "");
}

#[test]
fn get_prints_a_file_that_changes_nothing() {
    let api = Api::start(Behaviour::default());
    let yaml = shows(&api.url, "project get demo");
    assert_eq!(yaml, shows(&api.url, "project get DEMO -o yaml"));
    let (_folder, path) = file(&yaml);
    assert!(
        shows(&api.url, &format!("project put --file {path}")).starts_with("PutProject: No project changes")
    );
}

#[test]
fn what_does_not_exist_is_told_with_what_was_meant() {
    let api = Api::start(Behaviour::default());
    let text = fails(&api.url, "comp get web", 3);
    assert!(text.contains("did you mean 'demo_web'?"), "{text}");
    assert!(fails(&api.url, "explain wbe", 3).contains("maelctl comp ls"));
    assert!(fails(&api.url, "project rm none --yes", 3).contains("Project not found: none"));
    let json: serde_json::Value = serde_json::from_str(&fails(&api.url, "-o json comp get web", 3)).unwrap();
    assert_eq!(json["error"]["code"], 1003);
}

#[test]
fn a_daemon_that_is_not_there_is_told_with_what_to_do() {
    // Nobody listens on the port of a listener that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let text = fails(&url, "cluster ps", 4);
    let expected = format!("cannot reach {url} for NodeService.ListNodeStatus: connection refused");
    assert!(text.contains(&expected), "{text}");
    assert!(text.contains("is maelstromd running? set --url or MAELSTROM_PRIVATE_URL"), "{text}");
    assert!(fails(&url, "logs", 4).contains("cannot reach"));
    assert!(shows(&url, "version").starts_with("maelctl "));
}

#[test]
fn something_else_on_the_port_is_told() {
    let api = Api::start(Behaviour { foreign: true, ..Behaviour::default() });
    assert!(fails(&api.url, "cluster ps", 4).contains("HTTP status 404"));
}

#[test]
fn a_daemon_that_does_not_answer_is_not_waited_for_for_ever() {
    let api = Api::start(Behaviour { silent: true, ..Behaviour::default() });
    let text = fails(&api.url, "--timeout 300ms cluster ps", 6);
    assert!(text.contains("did not answer NodeService.ListNodeStatus"), "{text}");
}

#[test]
fn reads_are_tried_again_and_changes_are_not() {
    let api = Api::start(Behaviour { broken_connections: 1, ..Behaviour::default() });
    assert!(shows(&api.url, "comp ls").contains("demo_web"));
    let api = Api::start(Behaviour { broken_connections: 1, ..Behaviour::default() });
    let text = fails(&api.url, "project rm demo --yes", 4);
    assert!(text.contains("look whether it was done"), "{text}");
    assert_eq!(api.calls("RemoveProject"), 0);
}

#[test]
fn event_sources_are_toggled() {
    let api = Api::start(Behaviour::default());
    assert_eq!(shows(&api.url, "es disable demo_tick"), "Disabled 1 event source\n  demo_tick\n");
    assert_eq!(shows(&api.url, "es enable --project demo -o name"), "demo_tick\n");
    assert!(fails(&api.url, "es disable demo_ti", 3).contains("--prefix"));
}

#[test]
fn logs_end_when_there_is_no_more() {
    let api = Api::start(Behaviour::default());
    let text = shows(&api.url, "logs --no-follow --components=demo_*");
    assert_eq!(text, "demo_web | one\ndemo_web ! two\n");
    assert_eq!(shows(&api.url, "logs --no-follow --grep t.o"), "demo_web ! two\n");
    assert_eq!(shows(&api.url, "logs --no-follow --stream stdout web"), "demo_web | one\n");
    let line: serde_json::Value =
        serde_json::from_str(shows(&api.url, "logs --no-follow -o json --grep one").trim()).unwrap();
    assert_eq!(line, serde_json::json!({"Component": "demo_web", "Stream": "stdout", "Data": "one"}));
    let asked = api.log_queries();
    assert!(asked[0].contains("components=demo_*") && asked[0].contains("since=60s"), "{asked:?}");
}

#[test]
fn following_logs_survives_a_lost_connection() {
    use std::io::{BufRead as _, BufReader};
    let api = Api::start(Behaviour { log_streams_end: true, ..Behaviour::default() });
    let mut child =
        program(&api.url, &["logs"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Two lines a connection: the third comes over another one.
    let seen: Vec<String> = lines.take(3).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen, ["demo_web | one", "demo_web ! two", "demo_web | one"]);
}

#[test]
fn events_and_explanations_are_readable() {
    let api = Api::start(Behaviour::default());
    let text = shows(&api.url, "events --since 1h --type cold-start,scale --component demo_web");
    assert!(text.contains("cold-start") && text.contains("create") && text.contains('█'), "{text}");
    let text = shows(&api.url, "explain demo_web");
    assert!(text.contains("Wanted     1 instance") && text.contains("Latest events"), "{text}");
}

#[test]
fn help_is_sane() {
    let url = "http://127.0.0.1:9";
    assert!(shows(url, "--help").contains("project put --file maelstrom.yml"));
    assert!(shows(url, "project put --help").contains("--diffonly"));
    assert!(shows(url, "help exit-codes").contains("130  interrupted"));
    assert!(shows(url, "completion bash").contains("_maelctl"));
    let schema: serde_json::Value = serde_json::from_str(&shows(url, "project schema")).unwrap();
    assert_eq!(schema["title"], "Maelstrom project file");
    assert!(fails(url, "comp gets", 2).contains("'get'"));
    assert!(fails(url, "cluster ps --nope", 2).contains("--nope"));
    assert!(fails("https://x", "cluster ps", 2).contains("not https"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let api = Api::start(Behaviour::default());
    let mut child = program(&api.url, &["project", "schema"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn ctrl_c_ends_it() {
    use std::io::{BufRead as _, BufReader};
    let api = Api::start(Behaviour::default());
    let mut child = program(&api.url, &["events", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("cold-start"));
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    // What a shell shows as 130.
    const SIGINT: i32 = 2;
    assert_eq!(child.wait().unwrap().signal(), Some(SIGINT));
}

#[test]
fn a_token_opens_what_asks_for_one_and_is_shown_nowhere() {
    let api =
        Api::start(Behaviour { token: Some("open-sesame"), log_streams_end: true, ..Default::default() });
    let text = fails(&api.url, "project ls", 7);
    assert!(text.contains("a token is asked for") && text.contains("--token-file"), "{text}");
    fails(&api.url, "logs --no-follow", 7);
    for line in ["project ls --token wrong-sesame", "project ls -o json --token wrong-sesame"] {
        let text = fails(&api.url, line, 7);
        assert!(!text.contains("wrong-sesame"), "{text}");
    }
    let text = fails(&api.url, "project ls --token \u{fc}-sesame", 2);
    assert!(!text.contains("sesame"), "{text}");
    let help = shows(&api.url, "project ls --help --token open-sesame");
    assert!(help.contains("--token-file") && !help.contains("sesame"), "{help}");

    shows(&api.url, "project ls --token open-sesame");
    shows(&api.url, "logs --no-follow --token open-sesame");
    let (_folder, path) = file("open-sesame\n");
    shows(&api.url, &format!("project ls --token wrong-sesame --token-file {path}"));
    let by_variable = program(&api.url, &["project", "ls"]).env("MAEL_API_TOKEN", "open-sesame").output();
    assert!(by_variable.unwrap().status.success());
    let help = program(&api.url, &["project", "ls", "--help"]).env("MAEL_API_TOKEN", "open-sesame").output();
    assert!(!stdout(&help.unwrap()).contains("sesame"));
}
