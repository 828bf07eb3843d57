//! Pulls from a real registry that asks for a password.

use std::{
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bollard::{
    Docker,
    auth::DockerCredentials,
    query_parameters::{PushImageOptionsBuilder, RemoveImageOptionsBuilder},
};
use futures_util::{StreamExt, TryStreamExt};
use maelstrom_core::{
    component::PullSpec,
    ports::engine::{EngineError, EngineEvent},
};
use maelstrom_tests::image;

use crate::{
    fields::free_port,
    harness::{bench, soon, spec},
};

const USER: &str = "puller";
const PASSWORD: &str = "open sesame";
/// `puller:open sesame` as Docker's client keeps it.
const AUTH: &str = "cHVsbGVyOm9wZW4gc2VzYW1l";

/// Debian's registry on a loopback port, which Docker trusts without TLS.
struct Registry {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Registry {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let passwords = run(Command::new("htpasswd").args(["-Bbn", USER, PASSWORD]));
        let password_file = folder.path().join("htpasswd");
        std::fs::write(&password_file, passwords).expect("the password file");
        let port = free_port();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n\
             storage: {{filesystem: {{rootdirectory: '{}'}}}}\n\
             auth: {{htpasswd: {{realm: test, path: '{}'}}}}\n",
            folder.path().join("data").display(),
            password_file.display(),
        );
        let config_file = folder.path().join("config.yml");
        std::fs::write(&config_file, config).expect("the configuration");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config_file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry: 'tests/setup/packages test' installs it");
        let registry = Self { process, port, folder };
        soon("the registry", async {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        registry
    }

    fn image(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    /// Puts the test service into the registry and forgets it on the node; returns its id.
    async fn publish(&self, docker: &Docker, name: &str, version: &str) -> String {
        let image = self.image(name);
        image::import_as(docker, &image, version).await.expect("import");
        let id = docker.inspect_image(&image).await.expect("inspect").id.expect("an id");
        let credentials = DockerCredentials {
            username: Some(USER.into()),
            password: Some(PASSWORD.into()),
            ..Default::default()
        };
        let (repository, tag) = image.rsplit_once(':').expect("a tag");
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let pushed: Vec<_> = docker
            .push_image(repository, Some(options), Some(credentials))
            .try_collect()
            .await
            .expect("push");
        assert!(pushed.iter().all(|line| line.error_detail.is_none()), "{pushed:?}");
        forget(docker, &image).await;
        id
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("htpasswd: 'tests/setup/packages test' installs it");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

async fn forget(docker: &Docker, image: &str) {
    let options = RemoveImageOptionsBuilder::default().force(true).build();
    let _ = docker.remove_image(image, Some(options), None).await;
}

fn pull(password: Option<&str>) -> PullSpec {
    spec(|docker| {
        docker.pull_username = password.map(|_| USER.into());
        docker.pull_password = password.map(str::to_owned);
    })
    .pull
}

#[tokio::test]
async fn a_private_image_needs_the_right_password() {
    let (bench, registry) = (bench("registry").await, Registry::start().await);
    let image = registry.image("shop/web:1");
    let id = registry.publish(&bench.docker, "shop/web:1", "1").await;
    for wrong in [pull(None), pull(Some("guess"))] {
        let error = bench.engine.pull(image.clone(), wrong).await.expect_err("a wrong password");
        assert!(matches!(error, EngineError::ImageMissing { .. }), "{error:?}");
        assert!(error.to_string().contains("pullpassword"), "{error}");
    }
    bench.engine.pull(image.clone(), pull(Some(PASSWORD))).await.expect("pull");
    assert_eq!(bench.engine.image_id(image.clone()).await, Ok(Some(id)));
    let unknown = bench.engine.pull(registry.image("shop/web:2"), pull(Some(PASSWORD))).await;
    let error = unknown.expect_err("no such tag");
    assert!(matches!(error, EngineError::ImageMissing { .. }), "{error:?}");
    forget(&bench.docker, &image).await;
}

#[tokio::test]
async fn a_tag_that_moved_is_pulled_anew_and_told() {
    let (bench, registry) = (bench("retag").await, Registry::start().await);
    let image = registry.image("shop/api:1");
    let first = registry.publish(&bench.docker, "shop/api:1", "1").await;
    bench.engine.pull(image.clone(), pull(Some(PASSWORD))).await.expect("pull");
    assert_eq!(bench.engine.image_id(image.clone()).await, Ok(Some(first.clone())));

    let mut events = bench.engine.events();
    assert_eq!(soon("the subscription", events.next()).await, Some(EngineEvent::Resubscribed));
    // The node keeps the old image while the registry gets a new one under the same name.
    let kept = bench
        .run("a", {
            let mut docker = spec(|_| {});
            docker.image = image.clone();
            docker
        })
        .await;
    let second = registry.publish(&bench.docker, "shop/api:1", "2").await;
    assert_ne!(first, second);
    bench.engine.pull(image.clone(), pull(Some(PASSWORD))).await.expect("pull again");
    assert_eq!(bench.engine.image_id(image.clone()).await, Ok(Some(second)));
    assert_eq!(bench.engine.inspect(kept.id.clone()).await.expect("inspect").image_id, first);
    let told = async {
        loop {
            match events.next().await {
                Some(EngineEvent::ImageChanged { image: changed }) if changed == image => return,
                other => assert!(other.is_some(), "events never end"),
            }
        }
    };
    soon("the change", told).await;
    bench.engine.remove(kept.id).await.expect("remove");
    for image in [image, first] {
        forget(&bench.docker, &image).await;
    }
}

#[tokio::test]
async fn a_pull_command_fetches_instead_of_the_engine() {
    let (bench, registry) = (bench("command").await, Registry::start().await);
    let image = registry.image("shop/cmd:1");
    let id = registry.publish(&bench.docker, "shop/cmd:1", "1").await;
    let config = docker_config(registry.folder.path(), registry.port);
    let command = |words: &[&str]| {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        spec(|docker| docker.pull_command = Some(words)).pull
    };
    let useless = bench.engine.pull(image.clone(), command(&["true", "<image>"])).await;
    let error = useless.expect_err("a command that fetches nothing");
    assert!(error.to_string().contains("no such image on the node"), "{error}");
    let failing = bench.engine.pull(image.clone(), command(&["docker", "pull", "<image>"])).await;
    let error = failing.expect_err("a command without credentials").to_string();
    assert!(error.contains(&image) && error.contains("exit status"), "{error}");

    let good = command(&["docker", "--config", &config, "pull", "<image>"]);
    bench.engine.pull(image.clone(), good).await.expect("pull");
    assert_eq!(bench.engine.image_id(image.clone()).await, Ok(Some(id)));
    forget(&bench.docker, &image).await;
}

fn docker_config(folder: &Path, port: u16) -> String {
    let folder = folder.join("docker");
    std::fs::create_dir(&folder).expect("a folder");
    let config = format!(r#"{{"auths": {{"127.0.0.1:{port}": {{"auth": "{AUTH}"}}}}}}"#);
    std::fs::write(folder.join("config.json"), config).expect("the configuration");
    folder.display().to_string()
}
