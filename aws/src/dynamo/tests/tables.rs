//! Making tables, and tables that are not as they should be.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use futures_util::future::join_all;
use maelstrom_core::{
    names::{NodeId, Role},
    ports::{
        clock::Clock as _,
        store::{Entity, Heartbeat, Revision, RoleRecord, Store as _, StoreError},
    },
    time::WallTime,
};

use super::harness::{Fixture, clock, put};
use crate::{DynamoStore, dynamo::create_table};

async fn open_error(fixture: &Fixture, table: &str) -> StoreError {
    DynamoStore::open(&fixture.account, table, clock()).await.err().expect("it can't be opened")
}

fn key(pk: &str, sk: &str) -> HashMap<String, AttributeValue> {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

#[tokio::test]
async fn a_table_is_made_once_and_found_again() {
    let fixture = Fixture::new().await;
    fixture.open().await.commit(vec![put("web", 0, 10)]).await.unwrap();
    let told = create_table(&fixture.account, &fixture.table).await.unwrap();
    assert!(told[0].contains("is there"), "{told:?}");
    assert!(told[1].contains("'expires'"), "{told:?}");
    assert_eq!(fixture.open().await.configuration().await.unwrap().components.len(), 1);
}

#[tokio::test]
async fn a_missing_table_says_how_to_make_it() {
    let fixture = Fixture::new().await;
    let error = open_error(&fixture, "nope-nope").await;
    let StoreError::Broken { reason } = &error else { panic!("{error}") };
    assert!(reason.contains("'nope-nope' in us-east-1 does not exist"), "{reason}");
    assert!(reason.contains("maelctl store init dynamodb:nope-nope"), "{reason}");
}

#[tokio::test]
async fn a_table_with_other_keys_is_refused() {
    let fixture = Fixture::new().await;
    let name = format!("{}-other", fixture.table);
    let other = Fixture { account: fixture.account.clone(), table: name.clone() };
    let attribute =
        AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let schema = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let create = other.client().create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(attribute.build().unwrap()).key_schema(schema.build().unwrap());
    create.send().await.unwrap();
    let error = open_error(&fixture, &name).await;
    assert!(error.to_string().contains("its keys have to be 'pk' (partition) and 'sk' (sort)"), "{error}");
    assert!(create_table(&fixture.account, &name).await.is_err());
}

#[tokio::test]
async fn nodes_that_start_at_once_on_a_new_table_agree_on_it() {
    let fixture = Fixture::new().await;
    let stores = join_all((0..6).map(|_| fixture.open())).await;
    for (n, store) in stores.iter().enumerate() {
        store.commit(vec![put(&format!("c{n}"), 0, 10)]).await.unwrap();
    }
    assert_eq!(stores[0].revision().await, Ok(Revision(6)));
}

/// An empty configuration would mean that every component is to be stopped.
#[tokio::test]
async fn a_table_that_was_made_anew_is_not_taken_for_an_empty_one() {
    let fixture = Fixture::new().await;
    let store = fixture.open().await;
    store.commit(vec![put("web", 0, 10)]).await.unwrap();
    let client = fixture.client();
    client.delete_table().table_name(&fixture.table).send().await.unwrap();
    let error = store.configuration().await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    create_table(&fixture.account, &fixture.table).await.unwrap();
    let error = store.revision().await.unwrap_err();
    assert!(error.to_string().contains("has lost its root"), "{error}");
    fixture.open().await;
    let error = store.configuration().await.unwrap_err();
    assert!(error.to_string().contains("is another one than when this daemon started"), "{error}");
    assert!(store.commit(vec![put("api", 0, 10)]).await.is_err());
}

#[tokio::test]
async fn a_table_of_a_newer_version_is_refused() {
    let fixture = Fixture::new().await;
    let store = fixture.open().await;
    let update = fixture.client().update_item().table_name(&fixture.table);
    let update = update.set_key(Some(key("configuration", "root"))).update_expression("SET #f = :newer");
    let update = update.expression_attribute_names("#f", "format");
    let newer = AttributeValue::N("2".to_owned());
    update.expression_attribute_values(":newer", newer).send().await.unwrap();
    for error in [open_error(&fixture, &fixture.table).await, store.revision().await.unwrap_err()] {
        assert!(error.to_string().contains("was written by a newer maelstromd (format 2"), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_entity_is_left_out_and_the_others_are_read() {
    let fixture = Fixture::new().await;
    let store = fixture.open().await;
    store.commit(vec![put("web", 0, 10), put("api", 0, 10), put("job", 0, 10)]).await.unwrap();
    let query = fixture.client().query().table_name(&fixture.table).key_condition_expression("pk = :pk");
    let query = query.expression_attribute_values(":pk", AttributeValue::S("page".into()));
    let page = query.send().await.unwrap().items.unwrap().remove(0);
    let update = fixture.client().update_item().table_name(&fixture.table);
    let update = update.set_key(Some(key("page", page["sk"].as_s().unwrap())));
    let update = update.update_expression("SET entries.#api.body = :bad, entries.#job = :bad");
    let update = update.expression_attribute_names("#api", "component/api");
    let update = update.expression_attribute_names("#job", "component/job");
    let bad = AttributeValue::S("{not json".to_owned());
    update.expression_attribute_values(":bad", bad).send().await.unwrap();

    let store = fixture.open().await;
    let read = store.configuration().await.unwrap();
    assert_eq!(read.components.len(), 1);
    let damaged: Vec<_> = read.unreadable.iter().map(|u| (u.entity, u.name.as_str(), u.version)).collect();
    assert_eq!(damaged, [(Entity::Component, "api", 1), (Entity::Component, "job", 0)]);
    store.commit(vec![put("api", 1, 10), put("job", 0, 10)]).await.expect("a put repairs them");
    assert_eq!(store.configuration().await.unwrap().unreadable, []);
}

#[tokio::test]
async fn a_page_that_somebody_removed_is_an_error_and_no_empty_configuration() {
    let fixture = Fixture::new().await;
    fixture.open().await.commit(vec![put("web", 0, 10)]).await.unwrap();
    let query = fixture.client().query().table_name(&fixture.table).key_condition_expression("pk = :pk");
    let query = query.expression_attribute_values(":pk", AttributeValue::S("page".into()));
    let page = query.send().await.unwrap().items.unwrap().remove(0);
    let name = page["sk"].as_s().unwrap();
    let delete = fixture.client().delete_item().table_name(&fixture.table);
    delete.set_key(Some(key("page", name))).send().await.unwrap();
    let error = fixture.open().await.configuration().await.unwrap_err();
    let StoreError::Broken { reason } = &error else { panic!("{error}") };
    assert!(reason.contains(&format!("pk=page, sk={name} is missing")), "{reason}");
}

#[tokio::test]
async fn heartbeats_and_roles_given_back_expire_and_owned_roles_do_not() {
    let fixture = Fixture::new().await;
    let store = fixture.open().await;
    let heartbeat = Heartbeat {
        node: NodeId::new("n"),
        incarnation: "run".into(),
        beat: 1,
        duration: Duration::from_secs(20),
        peer_url: "http://127.0.0.1:1".into(),
        written_at: WallTime::from_millis(1),
    };
    store.beat(heartbeat).await.unwrap();
    let owner = Some(NodeId::new("n"));
    let record = |owner, version| RoleRecord {
        role: Role::new("cron"),
        owner,
        incarnation: "run".into(),
        term: 1,
        version,
    };
    let expires = async |pk, sk| -> Option<i64> {
        let get = fixture.client().get_item().table_name(&fixture.table).set_key(Some(key(pk, sk)));
        let item = get.send().await.unwrap().item.unwrap();
        item.get("expires").map(|value| value.as_n().unwrap().parse().unwrap())
    };
    let now = clock().wall().as_millis() / 1000;
    assert_eq!(expires("heartbeat", "n").await, Some(now + 24 * 3600));
    store.write_role(record(owner.clone(), 1), 0).await.unwrap();
    assert_eq!(expires("role", "cron").await, None);
    store.write_role(record(None, 2), 1).await.unwrap();
    assert_eq!(expires("role", "cron").await, Some(now + 7 * 24 * 3600));
    store.write_role(record(owner, 3), 2).await.unwrap();
    assert_eq!(expires("role", "cron").await, None, "taken again, it stays");
}
