//! One image has several spellings: `web` is `web:latest`, and of Docker's own registry neither host nor
//! `library/` need be written. Names are compared in their full short form.

/// The shortest spelling with its tag.
pub(super) fn full(name: &str) -> String {
    let name = ["docker.io/", "index.docker.io/"]
        .iter()
        .find_map(|host| name.strip_prefix(host))
        .map_or(name, |rest| rest.strip_prefix("library/").unwrap_or(rest));
    let name = name.strip_prefix("library/").unwrap_or(name);
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains([':', '@']) { name.to_owned() } else { format!("{name}:latest") }
}

/// The name without tag and digest.
pub(super) fn repository(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_image_are_equal() {
        for name in ["web", "web:latest", "library/web", "docker.io/library/web:latest"] {
            assert_eq!(full(name), "web:latest", "{name}");
        }
        assert_eq!(full("r:5000/web"), "r:5000/web:latest");
        assert_eq!(full("web@sha256:00"), "web@sha256:00");
        assert_eq!(repository("r:5000/web"), "r:5000/web");
        assert_eq!(repository("r:5000/web:1"), "r:5000/web");
        assert_eq!(repository("web@sha256:00"), "web");
    }
}
