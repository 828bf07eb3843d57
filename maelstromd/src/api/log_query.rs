//! What a client of `GET /_mael/logs` asks for.
//!
//! `components`: names, `*` stands for anything, comma between; none: all.
//! `since`: a duration as Go writes it (`90s`, `1h30m`), default 1m. `tail`: past lines per instance at
//! most. `follow=false` ends the stream at its present end. `local=true`: of this node only.

use std::time::Duration;

use maelstrom_core::names::ComponentName;

use crate::glob;

/// What the original showed when not told otherwise.
const DEFAULT_SINCE: Duration = Duration::from_secs(60);
/// Patterns in one request: more than anybody types.
const MAX_PATTERNS: usize = 100;

/// A checked request for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRequest {
    patterns: Vec<String>,
    pub since: Duration,
    /// `None`: all lines since then.
    pub tail: Option<u32>,
    pub follow: bool,
    /// Lines of the node that is asked; else of all nodes.
    pub local: bool,
}

// === impl LogRequest ===

impl LogRequest {
    /// Reads query parameters; the error says which one is wrong. Unknown ones are ignored.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, String> {
        let mut request =
            Self { patterns: Vec::new(), since: DEFAULT_SINCE, tail: None, follow: true, local: false };
        for (name, value) in parameters {
            match name.as_str() {
                "components" => request.patterns.extend(patterns(value)),
                "since" if !value.is_empty() => {
                    request.since = go_duration(value).ok_or_else(|| {
                        format!(
                            "since: is '{}'; a duration like 90s, 5m or 1h30m is allowed",
                            value.escape_debug()
                        )
                    })?;
                }
                "tail" if !value.is_empty() => {
                    let tail = value.parse();
                    request.tail = Some(tail.map_err(|_| {
                        format!("tail: is '{}'; a number of lines is allowed", value.escape_debug())
                    })?);
                }
                "follow" if !value.is_empty() => request.follow = switch("follow", value)?,
                "local" if !value.is_empty() => request.local = switch("local", value)?,
                _ => {}
            }
        }
        if request.patterns.len() > MAX_PATTERNS {
            return Err(format!(
                "components: {} patterns; at most {MAX_PATTERNS} are allowed",
                request.patterns.len()
            ));
        }
        Ok(request)
    }

    /// The same as a query, for the lines of the node that is asked.
    pub fn local_query(&self) -> String {
        let mut query = format!("since={}ms&follow={}&local=true", self.since.as_millis(), self.follow);
        if let Some(tail) = self.tail {
            query += &format!("&tail={tail}");
        }
        if !self.patterns.is_empty() {
            query += &format!("&components={}", encoded(&self.patterns.join(",")));
        }
        query
    }

    /// Whether the lines of this component were asked for.
    pub fn wants(&self, component: &ComponentName) -> bool {
        self.patterns.is_empty()
            || self.patterns.iter().any(|pattern| glob::matches(pattern, component.as_str()))
    }
}

fn switch(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("{name}: is '{}'; true or false is allowed", value.escape_debug())),
    }
}

/// Percent-encoded for a query value.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~,*".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn patterns(list: &str) -> impl Iterator<Item = String> + '_ {
    list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_ascii_lowercase)
}

/// A Go duration: numbers with a unit each, biggest sensible total a century. Negative ones make no sense
/// here.
fn go_duration(text: &str) -> Option<Duration> {
    const CENTURY: f64 = 100.0 * 365.0 * 86_400.0;
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds = 0.0;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        rest = &rest[end..];
        seconds += number * unit;
        parts += 1;
    }
    (parts > 0 && seconds <= CENTURY).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<LogRequest, String> {
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        LogRequest::parse(&pairs)
    }

    #[test]
    fn durations_are_those_of_go() {
        let cases = [
            ("1m", 60_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("250ms", 250),
            ("0", 0),
            ("2d", 172_800_000),
        ];
        for (text, millis) in cases {
            assert_eq!(go_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "5", "m", "-1m", "1x", "1m5", "..s", "1e9h", "99999999999h", "1 m"] {
            assert_eq!(go_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn components_take_exact_names_and_globs_at_either_end() {
        let names = ["shop_web", "shop_api", "web"];
        let cases: [(&str, &[&str]); 7] = [
            ("", &names),
            ("web", &["web"]),
            ("Shop_*", &["shop_web", "shop_api"]),
            ("*web", &["shop_web", "web"]),
            ("*op_*", &["shop_web", "shop_api"]),
            ("web, shop_api", &["shop_api", "web"]),
            ("*", &names),
        ];
        for (given, expected) in cases {
            let request = parse(&[("components", given)]).unwrap();
            let wanted = |name: &&str| request.wants(&ComponentName::parse(name).unwrap());
            assert_eq!(names.into_iter().filter(wanted).collect::<Vec<_>>(), expected, "{given}");
        }
    }

    #[test]
    fn a_request_is_passed_on_as_it_was_for_one_node() {
        let request = parse(&[("components", "a b*,C%"), ("since", "1.5s"), ("tail", "3")]).unwrap();
        let query = request.local_query();
        assert_eq!(query, "since=1500ms&follow=true&local=true&tail=3&components=a%20b*,c%25");
        let uri: http::Uri = format!("/?{query}").parse().unwrap();
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).unwrap().0;
        assert_eq!(LogRequest::parse(&pairs), Ok(LogRequest { local: true, ..request }));
    }

    #[test]
    fn what_is_not_given_has_a_default_and_what_is_wrong_is_named() {
        let request = parse(&[("since", ""), ("unknown", "x")]).unwrap();
        assert_eq!((request.since, request.tail, request.follow), (Duration::from_secs(60), None, true));
        for (name, value) in [("since", "soon"), ("tail", "-1"), ("follow", "maybe"), ("local", "x")] {
            assert!(parse(&[(name, value)]).unwrap_err().starts_with(name));
        }
    }
}
