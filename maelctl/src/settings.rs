//! The shared arguments, resolved: where the daemon is, and how to show things.

use std::{io::IsTerminal, time::Duration};

use hyper::header::HeaderValue;

use crate::{
    cli::{ColorWhen, DEFAULT_URL, Format, GlobalArgs},
    failure::Failure,
    token::Token,
};

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) url: BaseUrl,
    /// Who asks, as a header; it hides itself.
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) format: Format,
    pub(crate) headers: bool,
    pub(crate) color: bool,
    pub(crate) timeout: Duration,
}

/// Where the private gateway is: scheme, host, port, perhaps a path, no `/` at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseUrl(String);

// === impl Settings ===

impl Settings {
    pub(crate) fn resolve(args: &GlobalArgs) -> Result<Self, Failure> {
        Ok(Self {
            // A variable that is set to nothing is as good as unset.
            url: BaseUrl::parse(if args.url.is_empty() { DEFAULT_URL } else { &args.url })?,
            authorization: Token::resolve(args.token.as_ref(), args.token_file.as_deref())?,
            format: args.output,
            headers: !args.no_headers,
            color: color(args.color),
            timeout: args.timeout,
        })
    }
}

fn color(when: ColorWhen) -> bool {
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => {
            use anstream::{AutoStream, ColorChoice};
            std::io::stdout().is_terminal() && AutoStream::choice(&std::io::stdout()) != ColorChoice::Never
        }
    }
}

// === impl BaseUrl ===

impl BaseUrl {
    /// `http://` may be left away.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let refuse = |why: &str| {
            Err(Failure::usage(format!(
                "--url (or MAELSTROM_PRIVATE_URL) is '{}': {why}",
                text.escape_debug()
            ))
            .hint("a private gateway's address looks like http://127.0.0.1:8374"))
        };
        let (scheme, rest) = text.trim().split_once("://").unwrap_or(("http", text.trim()));
        match scheme {
            "http" => {}
            "https" => return refuse("the private gateway speaks http, not https"),
            _ => return refuse("only http is spoken"),
        }
        let text = format!("http://{}", rest.trim_end_matches('/'));
        match text.parse::<hyper::Uri>() {
            Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) && uri.query().is_none() => {
                Ok(Self(text))
            }
            _ => refuse("that is not an address"),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn addresses_are_taken_as_people_type_them() {
        for (typed, meant) in [
            ("http://127.0.0.1:8374", "http://127.0.0.1:8374"),
            ("http://node:8374/", "http://node:8374"),
            ("node:8374", "http://node:8374"),
            ("http://[::1]:8374", "http://[::1]:8374"),
            ("http://proxy/maelstrom/", "http://proxy/maelstrom"),
        ] {
            assert_eq!(BaseUrl::parse(typed).unwrap().as_str(), meant);
        }
        for bad in ["", "https://node", "ftp://node", "http://", "a b", "http://node?x"] {
            assert_eq!(BaseUrl::parse(bad).unwrap_err().exit, Exit::Usage, "{bad}");
        }
    }
}
