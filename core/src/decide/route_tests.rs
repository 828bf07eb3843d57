//! Which event source a request matches, as tables and properties.

use proptest::prelude::*;

use super::*;

fn source(name: &str, host: Option<&str>, prefix: Option<&str>) -> Route<()> {
    Route {
        name: EventSourceName::parse(name).unwrap(),
        http: HttpSource {
            hostname: host.map(|host| Hostname::parse(host).unwrap()),
            path_prefix: prefix.map(str::to_owned),
            strip_prefix: true,
        },
        target: (),
    }
}

fn table(sources: &[(&str, Option<&str>, Option<&str>)]) -> RouteTable<()> {
    RouteTable::new(sources.iter().map(|(name, host, prefix)| source(name, *host, *prefix)).collect())
}

fn found<'a>(table: &'a RouteTable<()>, host: &str, path: &str) -> Option<&'a str> {
    table.find(host, path).map(|found| found.route.name.as_str())
}

#[test]
fn a_prefix_matches_at_a_segments_end() {
    let table = table(&[("plain", None, Some("/a")), ("slash", None, Some("/b/"))]);
    for (path, expected) in [
        ("/a", Some("plain")),
        ("/a/", Some("plain")),
        ("/a/b", Some("plain")),
        ("/a?x=1", Some("plain")),
        ("/a?/b/", Some("plain")),
        ("/ab", None),
        ("/a%2Fb", None),
        ("/A", None),
        ("/", None),
        ("", None),
        ("*", None),
        ("/b", None),
        ("/b?/b/", None),
        ("/b/", Some("slash")),
        ("/b/c", Some("slash")),
    ] {
        assert_eq!(found(&table, "any", path), expected, "{path}");
    }
}

#[test]
fn exact_comes_before_wildcard_before_none_whatever_the_prefix() {
    let table = table(&[
        ("exact", Some("www.example.com"), None),
        ("wild", Some("*.example.com"), Some("/a/b")),
        ("none", None, Some("/a/b/c")),
    ]);
    assert_eq!(found(&table, "www.example.com", "/a/b/c"), Some("exact"));
    assert_eq!(found(&table, "api.example.com", "/a/b/c"), Some("wild"));
    assert_eq!(found(&table, "a.b.example.com", "/a/b/c"), Some("wild"));
    assert_eq!(found(&table, "example.com", "/a/b/c"), Some("none"));
    assert_eq!(found(&table, ".example.com", "/a/b/c"), Some("none"));
    assert_eq!(found(&table, "badexample.com", "/a/b/c"), Some("none"));
    assert_eq!(found(&table, "", "/a/b/c"), Some("none"));
    assert_eq!(found(&table, "example.com", "/a/b"), None);
}

#[test]
fn a_hostname_without_a_matching_path_falls_to_the_less_specific() {
    let table = table(&[
        ("exact", Some("www.example.com"), Some("/only")),
        ("wild", Some("*.example.com"), Some("/w")),
        ("none", None, Some("/")),
    ]);
    assert_eq!(found(&table, "www.example.com", "/only/x"), Some("exact"));
    assert_eq!(found(&table, "www.example.com", "/w"), Some("wild"));
    assert_eq!(found(&table, "www.example.com", "/x"), Some("none"));
}

#[test]
fn longer_prefix_then_longer_wildcard_then_name() {
    let table = table(&[
        ("short", Some("*.example.com"), Some("/a/b")),
        ("long", Some("*.zone.example.com"), Some("/a")),
        ("long2", Some("*.zone.example.com"), Some("/c")),
        ("short2", Some("*.example.com"), Some("/c")),
        ("twin-b", None, Some("/t")),
        ("twin-a", None, Some("/t")),
        ("whole", None, None),
        ("root", None, Some("/")),
    ]);
    assert_eq!(found(&table, "x.zone.example.com", "/a/b"), Some("short"));
    assert_eq!(found(&table, "x.zone.example.com", "/a"), Some("long"));
    assert_eq!(found(&table, "x.zone.example.com", "/c"), Some("long2"));
    assert_eq!(found(&table, "x.y.example.com", "/c"), Some("short2"));
    assert_eq!(found(&table, "x", "/t"), Some("twin-a"));
    assert_eq!(found(&table, "x", "/"), Some("root"));
    assert_eq!(found(&table, "x", "*"), Some("whole"));
}

#[test]
fn hosts_match_in_any_case_with_port_and_last_dot() {
    let table = table(&[
        ("web", Some("Example.COM"), None),
        ("six", Some("[::1]"), None),
        ("four", Some("127.0.0.1"), None),
        ("wild", Some("*.example.com"), None),
    ]);
    for (host, expected) in [
        ("example.com", Some("web")),
        ("EXAMPLE.com:8080", Some("web")),
        ("example.com.", Some("web")),
        ("example.com.:80", Some("web")),
        ("Www.Example.Com:1", Some("wild")),
        ("[::1]", Some("six")),
        ("[::1]:8080", Some("six")),
        ("[0:0:0:0:0:0:0:1]:80", Some("six")),
        ("[::2]", None),
        ("[::1", None),
        ("[", None),
        ("127.0.0.1:80", Some("four")),
        ("..", None),
        (":80", None),
    ] {
        assert_eq!(found(&table, host, "/"), expected, "{host}");
    }
    assert_eq!(found(&table, &("A".repeat(100_000) + ".example.com"), "/"), None);
}

#[test]
fn stripping_leaves_a_path_that_begins_with_a_slash() {
    let table = table(&[
        ("a", None, Some("/a")),
        ("b", None, Some("/b/")),
        ("root", None, Some("/")),
        ("whole", Some("whole"), None),
    ]);
    let rest = |host: &str, path: &'static str| &path[table.find(host, path).unwrap().strip..];
    assert_eq!(rest("x", "/a"), "");
    assert_eq!(rest("x", "/a/"), "/");
    assert_eq!(rest("x", "/a/b%2Fc?q=/a"), "/b%2Fc?q=/a");
    assert_eq!(rest("x", "/b/c"), "/c");
    assert_eq!(rest("x", "/b/"), "/");
    assert_eq!(rest("x", "/c"), "/c");
    assert_eq!(rest("whole", "/c"), "/c");
    let mut kept = source("kept", None, Some("/a"));
    kept.http.strip_prefix = false;
    assert_eq!(RouteTable::new(vec![kept]).find("x", "/a/b").unwrap().strip, 0);
}

#[test]
fn a_route_is_explained_with_what_it_beat() {
    let table = table(&[("web", Some("example.com"), Some("/a")), ("rest", None, Some("/"))]);
    let why = table.explain("Example.com:80", "/a/b?c");
    assert_eq!(why.value.unwrap().as_str(), "web");
    assert!(
        why.reasons[0].contains("'example.com' and path '/a/b' match web: hostname example.com"),
        "{:?}",
        why.reasons
    );
    assert!(why.reasons[1].contains("more specific than rest"), "{:?}", why.reasons);
    let none = RouteTable::<()>::default().explain("x", "/");
    assert_eq!(none.value, None);
    assert!(none.reasons[0].contains("none of 0"), "{:?}", none.reasons);
}

/// The rules as they are written down, one after the other over all routes.
fn naive<'a>(routes: &'a [Route<()>], host: &str, path: &str) -> Option<&'a str> {
    let host = host.to_ascii_lowercase();
    let host = host.split(':').next().unwrap();
    let host = host.strip_suffix('.').unwrap_or(host);
    let path = path.split('?').next().unwrap();
    let rank = |route: &Route<()>| match &route.http.hostname {
        Some(Hostname::Exact(name)) => (name == host).then_some((0, 0)),
        Some(Hostname::Wildcard(rest)) => {
            let matches = host.len() > rest.len() && host.ends_with(rest.as_str());
            matches.then_some((1, usize::MAX - rest.len()))
        }
        None => Some((2, 0)),
    };
    let fits = |prefix: &str| match path.strip_prefix(prefix) {
        Some(rest) => prefix.is_empty() || prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
        None => false,
    };
    let matching = routes.iter().filter(|route| fits(route.prefix()));
    let ranked = matching.filter_map(|route| {
        let (kind, host) = rank(route)?;
        Some(((kind, usize::MAX - route.prefix().len(), host, route.name.clone()), route.name.as_str()))
    });
    ranked.min().map(|(_, name)| name)
}

fn hosts() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "A"]), 1..4).prop_map(|labels| labels.join("."))
}

fn paths() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["/", "/a", "/b", "a", "/a/", "-", "%"]), 1..6)
        .prop_map(|parts| format!("/{}", parts.concat()).replacen("//", "/", 1))
}

proptest! {
    #[test]
    fn a_lookup_finds_what_the_rules_say(
        routes in prop::collection::vec(
            (prop::option::of((hosts(), any::<bool>())), prop::option::of(paths())), 0..40),
        requests in prop::collection::vec((hosts(), paths(), 0..4), 1..40),
    ) {
        let routes: Vec<Route<()>> = routes.into_iter().enumerate().map(|(index, (host, prefix))| {
            let host = host.map(|(host, wild)| if wild { format!("*.{host}") } else { host });
            source(&format!("s{index}"), host.as_deref(), prefix.as_deref())
        }).collect();
        let table = RouteTable::new(routes.clone());
        for (host, path, form) in requests {
            let (host, path) = match form {
                0 => (host, path),
                1 => (host + ":80", path + "?/a/b"),
                2 => (host + ".", path),
                _ => (host.to_uppercase(), path),
            };
            prop_assert_eq!(found(&table, &host, &path), naive(&routes, &host, &path), "{} {}", host, path);
            let explained = table.explain(&host, &path).value;
            prop_assert_eq!(explained.as_ref().map(|name| name.as_str()), naive(&routes, &host, &path));
        }
    }
}
