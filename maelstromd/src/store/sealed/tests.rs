use maelstrom_core::testing::store::MemoryStore;

use super::*;
use crate::access::Secret;

const KEY: &str = "seal-0123456789abcdef";
const OTHER: &str = "seal-fedcba9876543210";

fn seal(keys: &str) -> Seal {
    Seal::new(&Secret::list(keys).unwrap()).unwrap()
}

async fn fresh() -> (Arc<dyn Store>, ()) {
    (Arc::new(SealedStore::new(Arc::new(MemoryStore::new()), seal(KEY))), ())
}

maelstrom_core::store_conformance!(fresh);

fn put(name: &str, value: &str) -> Op {
    let component = wire::Component {
        name: name.into(),
        environment: vec![wire::NameValue { name: "A".into(), value: value.into() }],
        docker: Some(wire::DockerComponent { pull_password: Some(value.into()), ..Default::default() }),
        ..Default::default()
    };
    Op::PutComponent { component: Box::new(component), based_on: 0 }
}

#[tokio::test]
async fn the_store_never_sees_what_is_secret() {
    let inner = Arc::new(MemoryStore::new());
    let store = SealedStore::new(inner.clone(), seal(KEY));
    store.commit(vec![put("web", "hunter2")]).await.unwrap();
    assert!(!format!("{:?}", inner.configuration().await.unwrap()).contains("hunter2"));
    let read = store.configuration().await.unwrap();
    assert_eq!(read.components[0].environment[0].value, "hunter2");
    assert_eq!(read.components[0].docker.as_ref().unwrap().pull_password.as_deref(), Some("hunter2"));
    assert!(read.unreadable.is_empty());
}

#[tokio::test]
async fn what_this_node_has_no_key_for_is_said_and_left_and_can_be_replaced() {
    let inner = Arc::new(MemoryStore::new());
    let first = SealedStore::new(inner.clone(), seal(KEY));
    first.commit(vec![put("web", "hunter2"), put("api", "")]).await.unwrap();
    let other = SealedStore::new(inner.clone(), seal(OTHER));
    other.commit(vec![put("new", "hunter3")]).await.unwrap();
    let read = other.configuration().await.unwrap();
    assert_eq!(read.components.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["new"]);
    assert_eq!(read.unreadable.len(), 2, "{:?}", read.unreadable);
    assert!(read.unreadable.iter().all(|one| one.reason.contains("MAEL_SECRETS_KEY") && one.version == 1));
    assert_eq!(first.configuration().await.unwrap().components.len(), 2, "nothing was lost");
    let again = Op::PutComponent {
        component: Box::new(wire::Component { name: "web".into(), ..Default::default() }),
        based_on: read.component_version("web"),
    };
    other.commit(vec![again]).await.unwrap();
    assert_eq!(other.configuration().await.unwrap().components.len(), 2);
}

#[tokio::test]
async fn a_value_that_is_moved_in_the_store_does_not_open() {
    let inner = Arc::new(MemoryStore::new());
    let store = SealedStore::new(inner.clone(), seal(KEY));
    store.commit(vec![put("web", "hunter2")]).await.unwrap();
    let stolen = inner.configuration().await.unwrap().components[0].environment[0].value.clone();
    inner.commit(vec![put("thief", &stolen)]).await.unwrap();
    let read = store.configuration().await.unwrap();
    assert_eq!(read.unreadable.len(), 1);
    assert_eq!(read.unreadable[0].name, "thief");
}
