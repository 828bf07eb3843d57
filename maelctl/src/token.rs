//! The API token: where it comes from, and that it goes nowhere but into a header. Whatever is printed of it says
//! that it is hidden, also by the parser of arguments and in errors.

use std::{convert::Infallible, path::Path, str::FromStr};

use hyper::header::HeaderValue;

use crate::failure::Failure;

/// A token is a line.
const FILE_MAX: usize = 4 << 10;

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

// === impl Token ===

impl Token {
    /// The token that is meant, as a header. `None`: none was given.
    pub(crate) fn resolve(given: Option<&Self>, file: Option<&Path>) -> Result<Option<HeaderValue>, Failure> {
        let (text, place) = match (file, given) {
            (Some(file), _) => (read(file)?, format!("the file {}", file.display())),
            (None, Some(given)) => (given.0.clone(), "--token (or MAEL_API_TOKEN)".to_owned()),
            (None, None) => return Ok(None),
        };
        // As the daemon's own variable, which may list several.
        let token = text.split(',').map(str::trim).find(|part| !part.is_empty());
        let Some(token) = token else {
            // A variable that is set to nothing is as good as unset; an empty file is a mistake.
            return match file {
                None => Ok(None),
                Some(_) => Err(Failure::usage(format!("{place} is empty")).hint("a token is to stand in it")),
            };
        };
        let header = HeaderValue::try_from(format!("Bearer {token}")).ok();
        let mut header =
            header.filter(|_| token.bytes().all(|byte| byte.is_ascii_graphic())).ok_or_else(|| {
                Failure::usage(format!("{place} holds no token: it has blanks or letters that none has"))
                    .hint("is it the token alone, in one line?")
            })?;
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let unreadable = |why: String| {
        Failure::usage(format!("--token-file {} can't be read: {why}", file.display()))
            .hint("it is to hold the token alone")
    };
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
    if text.len() > FILE_MAX {
        return Err(unreadable(format!("it is longer than {FILE_MAX} bytes")));
    }
    Ok(text)
}

/// Always succeeds: the parser of arguments would show what it refuses.
impl FromStr for Token {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::failure::Exit;

    fn resolve(given: &str) -> Result<Option<HeaderValue>, Failure> {
        Token::resolve(Some(&Token(given.to_owned())), None)
    }

    fn of_file(text: &str) -> Result<Option<HeaderValue>, Failure> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Token::resolve(Some(&Token("other".to_owned())), Some(file.path()))
    }

    #[test]
    fn a_token_comes_from_file_or_variable_and_the_first_of_several_is_used() {
        assert_eq!(Token::resolve(None, None).unwrap(), None);
        assert_eq!(resolve(" ").unwrap(), None);
        assert_eq!(resolve("abc").unwrap().unwrap(), "Bearer abc");
        assert_eq!(resolve("abc, def").unwrap().unwrap(), "Bearer abc");
        assert_eq!(of_file("abc\n").unwrap().unwrap(), "Bearer abc");
    }

    #[test]
    fn nothing_of_it_stands_in_an_error() {
        for failure in [resolve("hunter 2"), resolve("hunter\u{e4}"), of_file("hunter 2"), of_file("\n")] {
            let failure = failure.unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(!format!("{failure:?}").contains("hunter"), "{failure:?}");
        }
        let missing = Token::resolve(None, Some(Path::new("/nope/token"))).unwrap_err();
        assert!(missing.message.contains("/nope/token"), "{missing:?}");
        let printed = format!("{:?} {:?}", Token("hunter".to_owned()), resolve("hunter"));
        assert!(!printed.contains("hunter"), "{printed}");
    }
}
