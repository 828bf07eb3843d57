//! Images: fetching, asking for, removing one.

use std::time::Duration;

use bollard::{
    auth::DockerCredentials,
    query_parameters::{CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder},
};
use futures_util::StreamExt;
use maelstrom_core::{
    component::PullSpec,
    ports::engine::{EngineError, EngineResult, Image},
};

use super::{
    connection::Connection,
    containers::ASK_LIMIT,
    errors::{Subject, not_pulled},
    pull_command,
};

/// A pull that takes longer than any sensible image over a slow line.
const PULL_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Docker reports progress many times a second; unpacking one huge layer may be silent for a while.
const PULL_SILENCE: Duration = Duration::from_secs(5 * 60);
/// Deleting layers of a large image is slow on a busy disk.
const REMOVE_LIMIT: Duration = Duration::from_secs(120);

pub(super) async fn pull(connection: &Connection, image: String, pull: PullSpec) -> EngineResult<()> {
    check_name(&image)?;
    match &pull.command {
        Some(command) => pull_command::run(command, &image, PULL_LIMIT).await?,
        None => {
            let work = fetch(connection, &image, credentials(&image, &pull));
            let ended = tokio::time::timeout(PULL_LIMIT, work).await;
            ended.map_err(|_| not_pulled(&image, "the pull did not end within 30 minutes"))??;
        }
    }
    match image_id(connection, image.clone()).await? {
        Some(_) => Ok(()),
        None => Err(not_pulled(&image, "the pull ended well, but there is no such image on the node")),
    }
}

async fn fetch(
    connection: &Connection,
    image: &str,
    credentials: Option<DockerCredentials>,
) -> EngineResult<()> {
    let action = format!("pulling image {image}");
    let options = CreateImageOptionsBuilder::default().from_image(&with_tag(image)).build();
    let docker = connection.client().await?;
    let mut progress = Box::pin(docker.create_image(Some(options), None, credentials));
    loop {
        match tokio::time::timeout(PULL_SILENCE, progress.next()).await {
            Err(_) => return Err(not_pulled(image, "no progress for 5 minutes")),
            Ok(None) => return Ok(()),
            Ok(Some(Ok(_))) => {}
            // The last line may end in CRLF, on which this client stumbles; whether the image has come
            // is asked for afterwards.
            Ok(Some(Err(error))) if error.to_string().contains("bytes remaining on stream") => return Ok(()),
            Ok(Some(Err(error))) => {
                return Err(match connection.failed(error, &action, Subject::Image(image)) {
                    EngineError::Refused { reason, .. } | EngineError::ImageMissing { reason, .. } => {
                        not_pulled(image, &reason)
                    }
                    other => other,
                });
            }
        }
    }
}

pub(super) async fn image_id(connection: &Connection, image: String) -> EngineResult<Option<String>> {
    check_name(&image)?;
    let action = format!("asking for image {image}");
    let found = connection
        .call(ASK_LIMIT, &action, Subject::Image(&image), async |docker| docker.inspect_image(&image).await)
        .await;
    match found {
        Ok(found) => Ok(found.id),
        Err(EngineError::ImageMissing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn images(connection: &Connection) -> EngineResult<Vec<Image>> {
    let options = ListImagesOptionsBuilder::default().build();
    let listed = connection
        .call(ASK_LIMIT, "listing images", Subject::Engine, async |docker| {
            docker.list_images(Some(options)).await
        })
        .await?;
    let named = |mut names: Vec<String>| {
        names.retain(|name| !name.contains("<none>"));
        names
    };
    let image = |image: bollard::models::ImageSummary| Image {
        id: image.id,
        names: named(image.repo_tags),
        digests: named(image.repo_digests),
    };
    Ok(listed.into_iter().map(image).collect())
}

pub(super) async fn remove(connection: &Connection, image: String) -> EngineResult<()> {
    check_name(&image)?;
    let action = format!("removing image {image}");
    let options = RemoveImageOptionsBuilder::default().force(false).build();
    let removed = connection
        .call(REMOVE_LIMIT, &action, Subject::Image(&image), async |docker| {
            docker.remove_image(&image, Some(options), None).await.map(drop)
        })
        .await;
    match removed {
        Err(EngineError::ImageMissing { .. }) => Ok(()),
        other => other,
    }
}

fn credentials(image: &str, pull: &PullSpec) -> Option<DockerCredentials> {
    let username = pull.username.clone()?;
    Some(DockerCredentials {
        username: Some(username),
        password: pull.password.clone(),
        serveraddress: Some(registry(image).to_owned()),
        ..Default::default()
    })
}

/// The part of the name before the first slash if it looks like a host; else Docker's own registry.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "https://index.docker.io/v1/",
    }
}

/// Without a tag Docker would fetch all tags there are.
fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// Names become part of a path of the engine's API: nothing that could lead elsewhere may pass.
fn check_name(image: &str) -> EngineResult<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    let parts_are_fine = image.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if !image.is_empty() && image.chars().all(allowed) && parts_are_fine {
        return Ok(());
    }
    Err(EngineError::ImageMissing {
        image: image.to_owned(),
        reason: "it is not an image name; write [registry/]name[:tag] or name@sha256:digest".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["web", "web:1", "r.example:5000/a/b_c:1.2-x", "a@sha256:00ff", "sha256:00ff"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "../containers/x", "a/../b", "a b", "a?force=1", "a#b", "a//b", "a%2e"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_pull_without_a_tag_means_latest() {
        assert_eq!(with_tag("r:5000/web"), "r:5000/web:latest");
        assert_eq!(with_tag("web:1"), "web:1");
        assert_eq!(with_tag("web@sha256:00"), "web@sha256:00");
    }

    #[test]
    fn credentials_go_to_the_image_s_registry() {
        assert_eq!(registry("r.example/web:1"), "r.example");
        assert_eq!(registry("localhost:5000/web"), "localhost:5000");
        assert_eq!(registry("library/web"), "https://index.docker.io/v1/");
        assert_eq!(registry("web:1"), "https://index.docker.io/v1/");
    }
}
