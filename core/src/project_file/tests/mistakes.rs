//! Files that are refused: each mistake at its place, with what to do.

use super::*;

const HEAD: &str = "name: demo\ncomponents:\n  web:\n    image: web:1\n";

#[track_caller]
fn hint(text: &str) -> String {
    read(text).expect_err("should be refused").findings.remove(0).hint.unwrap_or_default()
}

#[test]
fn an_unknown_field_is_named_with_the_nearest_known_one() {
    let text = format!("{HEAD}    maxinstnaces: 3\n");
    assert_eq!(wrong(&text), ["5:5 unknown field 'maxinstnaces' in components.web"]);
    assert_eq!(hint(&text), "did you mean 'maxinstances'?");
}

#[test]
fn all_mistakes_come_in_one_go() {
    let text = "\
nmae: demo
components:
  web:
    imgae: web:1
    httpport: eighty
    maxinstances: 2
    mininstances: 3
    eventsources:
      site:
        http: {pathprefx: /}
        cron: {schedule: '* * * * *'}
    crontab: |
      # comment
      0 3 * * * /clean
      0 3 * * * clean
";
    let found = wrong(text);
    let expected = [
        "1:1 the project has no name",
        "1:1 unknown field 'nmae' at the top of the file",
        "3:3 image is missing: it says which image to run",
        "4:5 unknown field 'imgae' in components.web",
        "5:15 components.web.httpport is 'eighty'; a whole number is needed",
        "7:19 mininstances is 3, more than maxinstances, 2",
        "9:7 site has 2 types; exactly one of http, cron, sqs, awsstepfunc is needed",
        "10:9 http has neither hostname nor pathprefix; at least one is needed",
        "10:16 unknown field 'pathprefx' in components.web.eventsources.site.http",
        "11:9 cron.http.method is missing",
        "11:9 cron.http.path is missing",
        "15:7 crontab line 3: '0 3 * * * clean' doesn't end with a path; a line is SCHEDULE PATH, and the path begins with '/'",
    ];
    for line in expected {
        assert!(found.iter().any(|found| found == line), "missing: {line}\n{found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_report_shows_the_line_and_marks_the_spot() {
    let text = format!("{HEAD}    httpport: eighty\n");
    let report = read(&text).unwrap_err().to_string();
    let expected = "\
maelstrom.yml:5:15: components.web.httpport is 'eighty'; a whole number is needed
  |
5 |     httpport: eighty
  |               ^^^^^^";
    assert_eq!(report, expected);
}

#[test]
fn wrong_types_name_value_and_path() {
    for (line, expected) in [
        ("command: run me", "5:14 components.web.command is 'run me'; a list is needed"),
        ("httpport: [1]", "5:5 components.web.httpport is a list; a whole number is needed"),
        ("httpport: 80.5", "5:15 components.web.httpport is '80.5'; a whole number is needed"),
        ("httpport: \"80\"", "5:15 components.web.httpport is '80'; a whole number is needed"),
        (
            "softconcurrencylimit: maybe",
            "5:27 components.web.softconcurrencylimit is 'maybe'; true or false is needed",
        ),
        (
            "scaleupconcurrencypct: .inf",
            "5:28 components.web.scaleupconcurrencypct is '.inf'; a number is needed",
        ),
        ("image: {a: b}", "5:5 'image' is given twice"),
        ("logdriveroptions: [a]", "5:5 components.web.logdriveroptions is a list; a map is needed"),
        ("environment: {A: b}", "5:5 components.web.environment is a map; a list is needed"),
        ("eventsources: {x: y}", "5:23 components.web.eventsources.x is 'y'; a map is needed"),
        ("volumes: [/tmp]", "5:15 components.web.volumes[0] is '/tmp'; a map is needed"),
    ] {
        let found = wrong(&format!("{HEAD}    {line}\n"));
        assert!(found.iter().any(|found| found == expected), "{line}: {found:#?}");
    }
    assert_eq!(hint(&format!("{HEAD}    command: run me\n")), r#"write it as a list: ["run", "me"]"#);
    assert_eq!(hint(&format!("{HEAD}    httpport: '80'\n")), "remove the quotes");
}

#[test]
fn values_out_of_range_point_at_the_value() {
    for (line, expected) in [
        ("httpport: 70000", "5:15 httpport is 70000; a port from 1 to 65535 is allowed"),
        ("limitmemory: 64", "5:18 limitmemory is 64, less than reservememory, 128"),
        ("restartorder: sideways", "5:19 restartorder is 'sideways'; one of startstop, stopstart is allowed"),
        (
            "volumes: [{source: /a, target: /b}, {source: c, target: /d}]",
            "5:50 volumes[1].source is 'c'; a bind mount needs an absolute path of the host",
        ),
        ("environment: [A=1, B]", "5:24 'B' is not NAME=value"),
        ("ulimits: [nofile]", "5:5 ulimits 'nofile' "),
    ] {
        let found = wrong(&format!("{HEAD}    {line}\n"));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{line}: {found:#?}");
    }
}

#[test]
fn a_duplicate_key_points_at_the_second() {
    assert_eq!(
        wrong(&format!("{HEAD}    httpport: 1\n    httpport: 2\n")),
        ["6:5 'httpport' is given twice"]
    );
}

#[test]
fn names_that_are_the_same_but_for_case_collide() {
    let found = wrong("name: d\ncomponents:\n  Web: {image: a}\n  web: {image: b}\n");
    assert_eq!(found, ["4:3 there are two components named 'd_web': case makes no difference"]);
}

#[test]
fn event_source_names_are_unique_in_the_project() {
    let found = wrong(
        "name: d\ncomponents:\n  a:\n    image: a\n    eventsources: {s: {http: {pathprefix: /}}}\n  b:\n    image: b\n    eventsources: {s: {http: {pathprefix: /}}}\n",
    );
    assert_eq!(found, ["8:20 there is another event source named 'd_s', of 'd_a'"]);
}

#[test]
fn names_that_are_too_long_are_told_with_their_prefix() {
    let name = "x".repeat(60);
    let found = wrong(&format!("name: demo\ncomponents:\n  {name}: {{image: a}}\n"));
    assert!(found[0].starts_with("3:3 ") && found[0].contains("65 bytes"), "{found:?}");
}

#[test]
fn what_came_from_a_variable_is_marked_where_the_reference_stands() {
    let text = format!("{HEAD}    user: ${{HOME}}\n    httpport: ${{HOME}}\n    httpprot: 1 # ${{PORT}}\n");
    let report = read(&text).unwrap_err();
    let places: Vec<_> = report.findings.iter().map(|found| (found.line, found.column)).collect();
    assert_eq!(places, [(6, 15), (7, 5)]);
    assert!(report.to_string().contains("6 |     httpport: ${HOME}\n  |               ^^^^^^^"), "{report}");
}

#[test]
fn what_is_not_yaml_is_told_with_its_place() {
    let tab = wrong("name: demo\ncomponents:\n  web:\n\timage: a\n");
    assert!(tab[0].starts_with("4:"), "{tab:?}");
    assert_eq!(
        hint("name: demo\ncomponents:\n  web:\n\timage: a\n"),
        "indent with spaces: YAML doesn't allow tabs there"
    );
    assert!(wrong("name: [a\n")[0].contains("not YAML"));
    assert!(wrong("name: *nobody\n")[0].contains("not YAML"));
    assert!(wrong("name: !include x\n")[0].contains("the tag '!include'"));
    assert!(wrong("name: a\n---\nname: b\n")[0].starts_with("3:"));
    for text in ["", "# only a comment\n", "---\n", "[]", "just text"] {
        assert!(!wrong(text).is_empty());
    }
}

#[test]
fn laughs_cost_nothing() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    let found = wrong(&text);
    assert!(found[0].contains("more than 200000 parts"), "{found:?}");
    let merges = "a: &a {<<: *a}\n";
    assert!(wrong(merges)[0].contains("contains it") || wrong(merges)[0].contains("not YAML"));
    assert!(!wrong(&"[".repeat(100_000)).is_empty());
    assert!(!wrong(&"a: {".repeat(100_000)).is_empty());
    assert!(!wrong(&"- ".repeat(100_000)).is_empty());
}

#[test]
fn a_file_that_is_wrong_everywhere_does_not_flood() {
    let text: String = (0..500).map(|n| format!("key{n}: 1\n")).collect();
    let report = read(&text).unwrap_err();
    assert_eq!((report.findings.len(), report.left_out), (100, 401));
    assert!(report.to_string().ends_with("… and 401 more"));
}

#[test]
fn a_missing_env_file_is_told() {
    let found = wrong("name: d\nenvfile: x.env\ncomponents: {}\n");
    assert_eq!(found, ["2:10 cannot read envfile 'x.env': no such file"]);
}

#[test]
fn unset_variables_warn_but_not_in_comments() {
    let text = format!("# ${{NONE}}\n{HEAD}    user: ${{NOBODY}}\n    dns: [] # ${{NONE}}\n");
    let loaded = read(&text).unwrap();
    let warnings: Vec<_> = loaded.warnings.iter().map(|w| (w.line, w.column, w.message.as_str())).collect();
    assert_eq!(warnings, [(6, 11, "the variable 'NOBODY' is not set: nothing is put in its place")]);
}

#[test]
fn schedules_are_checked_where_they_stand() {
    let text = format!(
        "{HEAD}    crontab: |\n\n      0 99 * * * /x\n    eventsources:\n      s:\n        cron:\n          schedule: '@sometimes'\n          http: {{method: GET, path: /}}\n"
    );
    let found = wrong(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("7:7 crontab line 2: has '99' as its hour"), "{found:#?}");
    assert!(found[1].starts_with("11:21 cron.schedule is '@sometimes'"), "{found:#?}");
}

#[test]
fn a_folded_crontab_points_at_the_block() {
    let found = wrong(&format!("{HEAD}    crontab: 'nonsense'\n"));
    assert_eq!(found, ["5:14 crontab line 1: 'nonsense' is not SCHEDULE PATH"]);
}
