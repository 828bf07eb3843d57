//! The `crontab` block of a component: lines of `SCHEDULE PATH`.

/// A rule of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule<'a> {
    /// Counted from 0 over all lines of the block.
    pub(super) line: usize,
    pub(super) schedule: &'a str,
    pub(super) path: &'a str,
}

/// The rules in their order; a line that is none of rule, comment and blank comes back as an error with
/// its number, counted from 0.
pub(super) fn parse(block: &str) -> Vec<Result<Rule<'_>, (usize, String)>> {
    let lines = block.lines().map(str::trim).enumerate();
    lines
        .filter(|(_, text)| !text.is_empty() && !text.starts_with('#'))
        .map(|(line, text)| rule(line, text))
        .collect()
}

fn rule(line: usize, text: &str) -> Result<Rule<'_>, (usize, String)> {
    let refuse = |why: &str| Err((line, format!("'{}' {why}", text.escape_debug())));
    match text.rsplit_once(char::is_whitespace) {
        Some((schedule, path)) if path.starts_with('/') => {
            Ok(Rule { line, schedule: schedule.trim_end(), path })
        }
        Some(_) => refuse("doesn't end with a path; a line is SCHEDULE PATH, and the path begins with '/'"),
        None if text.starts_with('/') => refuse("has no schedule; a line is SCHEDULE PATH"),
        None => refuse("is not SCHEDULE PATH"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_comments_and_blanks() {
        let rules = parse("# nightly\n\n 0 3 * * *   /clean?all=1 \n@every 1h30m\t/tick\n  # end\n");
        assert_eq!(
            rules,
            [
                Ok(Rule { line: 2, schedule: "0 3 * * *", path: "/clean?all=1" }),
                Ok(Rule { line: 3, schedule: "@every 1h30m", path: "/tick" }),
            ]
        );
    }

    #[test]
    fn a_line_that_is_neither_is_named() {
        let rules = parse("* * * * * clean\n/x\nword\n");
        let lines: Vec<usize> = rules.into_iter().map(|rule| rule.unwrap_err().0).collect();
        assert_eq!(lines, [0, 1, 2]);
    }
}
