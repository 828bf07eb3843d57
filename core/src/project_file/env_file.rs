//! `NAME=value` lines: env files and the lists of variables in a project file.

use super::interpolate::Variables;

/// A line that is neither a variable, a comment nor blank.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is '{text}', not NAME=value")]
pub struct EnvFileError {
    /// Counted from 1.
    pub line: usize,
    text: String,
}

/// Reads a file of `NAME=value` lines. Blank lines and those that begin with `#` are skipped, `export `
/// before a name is allowed, blanks around name and value are not part of them, and quotes are: the file
/// means the same to `docker run --env-file`.
pub fn parse_env_file(text: &str) -> Result<Variables, EnvFileError> {
    let mut variables = Variables::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let pair = line.strip_prefix("export ").unwrap_or(line);
        match parse_pair(pair) {
            Some((name, value)) => variables.insert(name.to_owned(), value.trim().to_owned()),
            // The value may be a secret whose name was forgotten: don't print much of it.
            None => {
                let text = line.chars().take(12).chain("…".chars().filter(|_| line.chars().count() > 12));
                return Err(EnvFileError { line: index + 1, text: text.collect() });
            }
        };
    }
    Ok(variables)
}

/// `NAME=value`; the value may hold `=` and be empty.
pub(super) fn parse_pair(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    (!name.is_empty() && !name.contains(char::is_whitespace)).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_like_dockers() {
        let text = "\u{feff}# comment\n\n A = 1 \r\nexport B=x=y\nC=\nD=\"q\"\n";
        let variables = parse_env_file(text).unwrap();
        let pairs: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "x=y"), ("C", ""), ("D", "\"q\"")]);
    }

    #[test]
    fn other_lines_are_named_without_their_secrets() {
        let error = parse_env_file("A=1\nhunter2-is-my-password\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2 is 'hunter2-is-m…', not NAME=value");
        assert!(parse_env_file("=x").is_err());
        assert!(parse_env_file("a b=x").is_err());
    }
}
