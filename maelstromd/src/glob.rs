//! Patterns with `*`, which stands for any run of characters, none included. Nothing else is special.

/// True when the whole of `text` fits `pattern`. Takes time in proportion to both lengths multiplied at
/// the worst, whatever the pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    // Each part where it fits first leaves the most for the parts after it.
    let mut rest = rest;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text) in [
            ("web", "web"),
            ("*", ""),
            ("*", "web"),
            ("web*", "web"),
            ("web*", "web-2"),
            ("*-2", "web-2"),
            ("*eb*", "web-2"),
            ("a*b*c", "a-b-b-c"),
            ("a**c", "abc"),
            ("*ab", "aab"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("web", "web-2"), ("", "web"), ("web*", "we"), ("a*a", "a"), ("*b*", "acc"), ("a*b*c", "a-c-b")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
