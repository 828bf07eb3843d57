//! The query of a request: `name=value` pairs, percent-decoded.

use hyper::Uri;

pub(crate) struct Query<'a> {
    text: &'a str,
}

impl<'a> Query<'a> {
    pub(crate) fn of(uri: &'a Uri) -> Self {
        Self { text: uri.query().unwrap_or("") }
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.text
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| decode(value))
    }

    /// `default` when absent or not a number.
    pub(crate) fn number(&self, name: &str, default: u64) -> u64 {
        self.text(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }
}

fn decode(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(first),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_broken_escapes_kept() {
        let uri: Uri = "/x?a=%2Fp%3Fq%3D1&b=one+two&c=100%&d=7".parse().unwrap();
        let query = Query::of(&uri);
        assert_eq!(query.text("a").as_deref(), Some("/p?q=1"));
        assert_eq!(query.text("b").as_deref(), Some("one two"));
        assert_eq!(query.text("c").as_deref(), Some("100%"));
        assert_eq!(query.number("d", 0), 7);
        assert_eq!(query.number("missing", 9), 9);
    }
}
