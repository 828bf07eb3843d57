//! What somebody most likely meant.

/// The one of `known` that `given` most likely means: the same but for case, `_` and `-`, or a few typing
/// mistakes away, or its beginning.
pub fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let given: String =
        given.chars().filter(|c| *c != '_' && *c != '-').flat_map(char::to_lowercase).take(64).collect();
    if given.is_empty() {
        return None;
    }
    if let Some(same) = known.iter().find(|name| **name == given) {
        return Some(same);
    }
    let allowed = (given.chars().count() / 3).max(1);
    let by_typing = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&given, name), *name))
        .filter(|(distance, _)| *distance <= allowed)
        .min();
    let by_part = || {
        let mut parts = known.iter().filter(|name| given.len() >= 3 && name.contains(given.as_str()));
        // Two that fit equally are a guess, not a hint; but the one it begins is what was meant.
        let first = parts.next()?;
        match parts.next() {
            None => Some(*first),
            Some(_) => known.iter().find(|name| name.starts_with(given.as_str())).copied(),
        }
    };
    by_typing.map(|(_, name)| name).or_else(by_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_what_people_mean() {
        let known =
            ["environment", "httpport", "httphealthcheckpath", "maxinstances", "mininstances", "image"];
        for (given, expected) in [
            ("maxInstances", Some("maxinstances")),
            ("max_instances", Some("maxinstances")),
            ("max-instnaces", Some("maxinstances")),
            ("env", Some("environment")),
            ("imgae", Some("image")),
            ("port", Some("httpport")),
            ("healthcheckpath", Some("httphealthcheckpath")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, &known), expected, "{given}");
        }
    }
}
