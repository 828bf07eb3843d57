//! Files that load: the original format with its habits, YAML as go-yaml reads it.

use super::*;

/// Every field of the format, as its documentation writes them.
const FULL: &str = r#"---
# Project name
name: MyProject
envfile: shared.env
environment:
  - ENV_VAR1=value1
  - ENV_VAR2=value2
components:
  Component_1:
    image: foo/bar:mytag
    command: ["python", "-u", "/app/detector.py"]
    entrypoint: [/entry]
    environment:
      - MORE_ENV=here
      - ENV_VAR2=this_overrides_project_setting
    reservememory: 2048
    limitmemory: 4096
    cpushares: 512
    maxconcurrency: 5
    softconcurrencylimit: true
    mininstances: 1
    maxinstances: 30
    maxinstancespernode: 3
    maxdurationseconds: 60
    idletimeoutseconds: 120
    scaledownconcurrencypct: .25
    scaleupconcurrencypct: 0.75
    restartorder: startstop
    startparallelism: seriesfirst
    logdriver: syslog
    logdriveroptions:
      syslog-address: udp://192.168.1.30:514
      syslog-facility: local4
    pullimageonstart: true
    pullimageonput: true
    pullusername: scott
    pullpassword: tiger
    pullcommand: ["/usr/local/bin/mypull", "<image>"]
    httpport: ${PORT}
    httphealthcheckpath: /health_check
    httpstarthealthcheckseconds: 90
    httphealthcheckseconds: 15
    httphealthcheckmaxfailures: 2
    healthcheckfailedcommand: [kill, -3, 1]
    volumes:
      - # Source path on the host. Required.
        source: ${HOME}/foo
        target: /opt/foo
        type: bind
        readonly: false
      - source: /some/other/path
        target: /otherpath
    ports:
      - 6001:6001
    networkname: mynet
    dns:
      - 8.8.8.8
    dnsoptions:
      - "option 1"
    dnssearch:
      - example.com
    ulimits:
      - nofile=20000:30000
      - nproc=3
    containerinit: true
    user: "1000"
    hostname: h
    domainname: d.example
    capadd: [NET_ADMIN]
    capdrop: [ALL]
    standby: 1
    maxqueue: 10
    crontab: |
      # nightly
      0 3 * * *   /clean

      @every 1h   /tick?x=1
    eventsources:
      site:
        http:
          hostname: component1.example.com
          pathprefix: /api
          stripprefix: yes
      job:
        cron:
          schedule: "*/5 * * * *"
          http:
            method: POST
            path: /job
            data: '{"a": 1}'
            headers:
              - name: X-A
                value: 1
      queue:
        sqs: {queuename: q, nameasprefix: true, path: /q, maxconcurrency: 4, messagesperpoll: 2, concurrencyperpoller: 2, visibilitytimeout: 60}
      task:
        awsstepfunc: {activityname: act, path: /t, maxconcurrency: 3, concurrencyperpoller: 1}
"#;

pub(super) fn full() -> wire::Project {
    let read = |file: &str| {
        assert_eq!(file, "shared.env");
        Ok("ENV_VAR1=loses\nFROM_FILE=x\n".to_owned())
    };
    let env = variables(&[("PORT", "0x1F90"), ("HOME", "/home/me")]);
    load("maelstrom.yml", FULL, &env, read).unwrap_or_else(|report| panic!("{report}")).project
}

#[test]
fn the_original_format_loads() {
    let project = full();
    assert_eq!(project.name, "myproject");
    let with = &project.components[0];
    let component = &with.component;
    assert_eq!(component.name, "myproject_component_1");
    assert_eq!(component.project_name.as_deref(), Some("myproject"));
    let environment: Vec<_> =
        component.environment.iter().map(|pair| (pair.name.as_str(), pair.value.as_str())).collect();
    assert_eq!(
        environment,
        [
            ("ENV_VAR1", "value1"),
            ("ENV_VAR2", "this_overrides_project_setting"),
            ("FROM_FILE", "x"),
            ("MORE_ENV", "here"),
        ]
    );
    let docker = component.docker.as_ref().unwrap();
    assert_eq!(docker.http_port, 8080);
    assert_eq!(
        docker.health_check_failed_command.as_deref(),
        Some(&["kill".into(), "-3".into(), "1".into()][..])
    );
    assert_eq!(docker.ulimits.as_deref(), Some(&["nofile:20000:30000".into(), "nproc:3".into()][..]));
    assert_eq!(docker.volumes.as_ref().unwrap()[0].source, "/home/me/foo");
    assert_eq!(component.restart_order.as_deref(), Some("startstop"));
    assert_eq!(component.scale_down_concurrency_pct, Some(0.25));
    let names: Vec<_> = with.event_sources.iter().map(|source| source.event_source.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "myproject_component_1-cron-0",
            "myproject_component_1-cron-1",
            "myproject_job",
            "myproject_queue",
            "myproject_site",
            "myproject_task",
        ]
    );
    let tick = with.event_sources[1].event_source.cron.as_ref().unwrap();
    assert_eq!((tick.schedule.as_str(), tick.http.path.as_str()), ("@every 1h", "/tick?x=1"));
    assert_eq!(tick.http.method, "GET");
    assert!(with.event_sources.iter().all(|source| source.enabled));
    let headers = with.event_sources[2].event_source.cron.as_ref().unwrap().http.headers.as_ref().unwrap();
    assert_eq!(headers[0].value, "1");
}

#[test]
fn nulls_are_nothing() {
    let text = "name: d\nenvironment:\ncomponents:\n  web:\n    image: a\n    command:\n    entrypoint: ~\n    volumes: null\n    logdriveroptions:\n    eventsources:\n    httpport:\n    crontab:\n    containerinit: ~\n";
    let web = component(text);
    assert_eq!(web.docker.as_ref().unwrap().command, None);
    assert_eq!(web.docker.as_ref().unwrap().http_port, 0);
    assert!(good("name: d\ncomponents:\n").components.is_empty());
    let found = wrong("name: d\ncomponents:\n  web:\n");
    assert_eq!(found, ["3:3 image is missing: it says which image to run"]);
}

#[test]
fn merge_keys_and_aliases_are_followed() {
    let project = good(
        "name: d\ncomponents:\n  a: &base\n    image: a\n    maxconcurrency: 3\n    command: &c [x, y]\n  b:\n    <<: *base\n    image: b\n  c: {<<: [*base, {image: z, httpport: 1}], entrypoint: *c}\n",
    );
    let of = |index: usize| &project.components[index].component;
    let docker = |index: usize| of(index).docker.as_ref().unwrap();
    assert_eq!((of(1).max_concurrency, docker(1).image.as_str()), (3, "b"));
    assert_eq!((docker(2).image.as_str(), docker(2).http_port), ("a", 1));
    assert_eq!(docker(2).entrypoint, docker(0).command);
}

#[test]
fn booleans_and_numbers_are_those_of_yaml_1_1() {
    let with = |line: &str| component(&format!("name: d\ncomponents:\n  web:\n    image: a\n    {line}\n"));
    for (text, expected) in
        [("yes", true), ("On", true), ("y", true), ("TRUE", true), ("no", false), ("off", false)]
    {
        assert_eq!(with(&format!("containerinit: {text}")).docker.unwrap().init, Some(expected), "{text}");
    }
    for (text, expected) in [
        ("0755", 493),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b101", 5),
        ("1_000", 1000),
        ("+7", 7),
        ("1e3", 1000),
        ("08", 8),
        ("5.0", 5),
    ] {
        assert_eq!(with(&format!("maxqueue: {text}")).max_queue, Some(expected), "{text}");
    }
    assert_eq!(
        with("httpstarthealthcheckseconds: -1").docker.unwrap().http_start_health_check_seconds,
        Some(-1)
    );
}

#[test]
fn texts_stay_as_they_are_written() {
    let with = |line: &str| component(&format!("name: d\ncomponents:\n  web:\n    {line}\n")).docker.unwrap();
    assert_eq!(with("image: 1.10").image, "1.10");
    assert_eq!(with("image: 0755").image, "0755");
    assert_eq!(with("image: yes").image, "yes");
    assert_eq!(with("image: !!str null").image, "null");
    assert_eq!(with("{image: a, command: [no, 1, ~, '~']}").command.unwrap(), ["no", "1", "", "~"]);
    assert_eq!(good("name: 123\ncomponents: {}\n").name, "123");
}

#[test]
fn byte_order_marks_and_windows_line_ends_are_fine() {
    let project = good(
        "\u{feff}name: d\r\ncomponents:\r\n  web:\r\n    image: a\r\n    crontab: |\r\n      @daily /x\r\n",
    );
    assert_eq!(project.components[0].component.docker.as_ref().unwrap().image, "a");
    assert_eq!(project.components[0].event_sources[0].event_source.cron.as_ref().unwrap().http.path, "/x");
}

#[test]
fn the_prefix_is_added_once() {
    let project = good("name: D\ncomponents:\n  d_web: {image: a, crontab: '@daily /'}\n");
    assert_eq!(project.components[0].component.name, "d_web");
    assert_eq!(project.components[0].event_sources[0].event_source.name, "d_web-cron-0");
}

#[test]
fn a_second_document_that_is_empty_is_ignored() {
    assert_eq!(good("name: d\ncomponents: {}\n---\n").name, "d");
    assert_eq!(good("name: d\ncomponents: {}\n...\n").name, "d");
}
