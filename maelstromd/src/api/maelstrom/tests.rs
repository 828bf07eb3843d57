//! The service on raw JSON, as an unchanged client of the original sends and reads it.

use maelstrom_core::{
    journal,
    ports::store::{Op, Store},
    testing::store::MemoryStore,
};
use serde_json::{Value, json};

use super::*;
use crate::{clock::SystemClock, journal::Journal};

struct Client {
    registry: Registry,
    store: MemoryStore,
    journal: Arc<Journal>,
}

impl Client {
    async fn new() -> Self {
        let store = MemoryStore::new();
        let node = NodeId::new("n1");
        let journal = Arc::new(Journal::new(node.clone()));
        let configuration = ConfigurationCache::load(Arc::new(store.clone()), journal.clone()).await.unwrap();
        let service = Arc::new(MaelstromService {
            node,
            configuration,
            clock: Arc::new(SystemClock),
            put_in_place: Arc::new(|| ()),
        });
        Self { registry: service.register(Registry::new()), store, journal }
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let method = format!("MaelstromService.{method}");
        let request = json!({"jsonrpc": "2.0", "id": "1", "method": method, "params": [params]});
        let answer = self.registry.handle(request.to_string().as_bytes()).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!("1")));
        if answer.get("error").is_some() { answer["error"].clone() } else { answer["result"].clone() }
    }

    async fn put_component(&self, name: &str, version: i64) -> Value {
        self.call(
            "PutComponent",
            json!({"component": {"name": name, "environment": [], "maxConcurrency": 5,
            "version": version, "docker": {"image": "i:1", "httpPort": 80, "httpHealthCheckPath": "/"}}}),
        )
        .await
    }

    async fn put_route(&self, name: &str, component: &str) -> Value {
        self.call(
            "PutEventSource",
            json!({"eventSource": {"name": name, "componentName": component, "version": 0,
            "modifiedAt": 0, "http": {"pathPrefix": format!("/{name}")}}}),
        )
        .await
    }
}

#[tokio::test]
async fn every_method_of_the_contract_is_there() {
    let client = Client::new().await;
    let names = [
        "GetComponent",
        "GetEventSource",
        "GetProject",
        "ListComponents",
        "ListEventSources",
        "ListProjects",
        "NotifyDataChanged",
        "PutComponent",
        "PutEventSource",
        "PutProject",
        "RemoveComponent",
        "RemoveEventSource",
        "RemoveProject",
        "ToggleEventSources",
    ];
    let expected: Vec<String> = names.iter().map(|name| format!("MaelstromService.{name}")).collect();
    assert_eq!(client.registry.methods(), expected);
}

#[tokio::test]
async fn required_fields_are_there_and_lists_are_never_null() {
    let client = Client::new().await;
    assert_eq!(client.call("ListProjects", json!({})).await, json!({"projects": []}));
    assert_eq!(client.call("ListComponents", json!({})).await, json!({"components": []}));
    assert_eq!(client.call("ListEventSources", json!({})).await, json!({"eventSources": []}));
    let put = client.call("PutProject", json!({"project": {"name": "p", "components": []}})).await;
    let empty = json!({"name": "p", "componentsAdded": [], "componentsUpdated": [], "componentsRemoved": [],
        "eventSourcesAdded": [], "eventSourcesUpdated": [], "eventSourcesRemoved": []});
    assert_eq!(put, empty);
    let toggled = client.call("ToggleEventSources", json!({"enabled": true})).await;
    assert_eq!(toggled, json!({"enabled": true, "eventSourceNames": []}));
    let notified = client.call("NotifyDataChanged", json!({"nodeId": "n2", "changes": []})).await;
    assert_eq!(notified, json!({"respondingNodeId": "n1"}));
    // The least that a client may send comes back with what the contract requires filled in.
    client.call("PutComponent", json!({"component": {"name": "Bare", "docker": {"image": "i"}}})).await;
    let bare = client.call("GetComponent", json!({"name": "BARE"})).await["component"].clone();
    assert_eq!(
        (&bare["name"], &bare["environment"], &bare["maxConcurrency"], &bare["version"]),
        (&json!("bare"), &json!([]), &json!(1), &json!(1))
    );
    assert_eq!(
        (&bare["docker"]["httpPort"], &bare["docker"]["httpHealthCheckPath"]),
        (&json!(8080), &json!("/"))
    );
    assert!(bare["modifiedAt"].as_i64().unwrap() > 1_600_000_000_000);
    assert!(bare.get("projectName").is_none() && bare.get("minInstances").is_none(), "{bare}");
}

#[tokio::test]
async fn versions_rise_by_one_and_stale_puts_are_refused() {
    let client = Client::new().await;
    assert_eq!(client.put_component("Web", 0).await, json!({"name": "web", "version": 1}));
    assert_eq!(client.put_component("web", 1).await, json!({"name": "web", "version": 2}));
    for stale in [0, 1, 3] {
        let error = client.put_component("web", stale).await;
        assert_eq!(error["code"], 1004, "{error}");
        assert!(error["message"].as_str().unwrap().contains("version"), "{error}");
    }
    assert_eq!(client.put_component("new", 1).await["code"], 1004);
    assert_eq!(client.put_route("r", "web").await, json!({"name": "r", "version": 1}));
    assert_eq!(client.put_route("r", "web").await["code"], 1004);
}

#[tokio::test]
async fn what_is_not_there_is_1003() {
    let client = Client::new().await;
    for method in ["GetComponent", "GetEventSource", "GetProject"] {
        let error = client.call(method, json!({"name": "gone"})).await;
        assert_eq!(error["code"], 1003, "{method}");
        assert!(error["message"].as_str().unwrap().contains("'gone'"), "{error}");
    }
    assert_eq!(client.put_route("r", "gone").await["code"], 1003);
    for method in ["RemoveComponent", "RemoveEventSource", "RemoveProject"] {
        assert_eq!(
            client.call(method, json!({"name": "Gone"})).await,
            json!({"name": "gone", "found": false})
        );
    }
}

#[tokio::test]
async fn all_problems_are_in_data() {
    let client = Client::new().await;
    let bad = json!({"component": {"name": "we b", "maxConcurrency": -4, "minInstances": 3, "maxInstances": 1,
        "docker": {"image": "", "httpPort": 99_999, "httpHealthCheckPath": "x"}}});
    let error = client.call("PutComponent", bad).await;
    assert_eq!(error["code"], 1001);
    let fields: Vec<&str> =
        error["data"].as_array().unwrap().iter().map(|problem| problem["field"].as_str().unwrap()).collect();
    for field in ["name", "maxConcurrency", "minInstances", "docker.image", "docker.httpPort"] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
        assert!(error["message"].as_str().unwrap().contains(field), "{error}");
    }
    for (source, field) in [
        (json!({}), ""),
        (json!({"http": {}}), "http"),
        (
            json!({"cron": {"schedule": "61 * * * *", "http": {"method": "GET", "path": "/"}}}),
            "cron.schedule",
        ),
        (json!({"cron": {"schedule": "@hourly", "http": {"path": "/"}}}), "cron.http.method"),
    ] {
        let mut source = source;
        source["name"] = json!("e");
        source["componentName"] = json!("web");
        let error = client.call("PutEventSource", json!({"eventSource": source})).await;
        assert_eq!((&error["code"], &error["data"][0]["field"]), (&json!(1001), &json!(field)), "{error}");
    }
}

#[tokio::test]
async fn removing_a_component_removes_its_event_sources() {
    let client = Client::new().await;
    client.put_component("web", 0).await;
    client.put_component("api", 0).await;
    client.put_route("a", "web").await;
    client.put_route("b", "api").await;
    let removed = client.call("RemoveComponent", json!({"name": "WEB"})).await;
    assert_eq!(removed, json!({"name": "web", "found": true}));
    let left = client.call("ListEventSources", json!({})).await;
    assert_eq!(left["eventSources"].as_array().unwrap().len(), 1);
    assert_eq!(left["eventSources"][0]["eventSource"]["name"], "b");
}

#[tokio::test]
async fn toggling_names_only_what_changed_and_keeps_versions() {
    let client = Client::new().await;
    client.put_component("web", 0).await;
    for name in ["a", "b", "x"] {
        client.put_route(name, "web").await;
    }
    let off = json!({"enabled": false, "namePrefix": "a", "eventSourceType": "http", "componentName": "web"});
    assert_eq!(client.call("ToggleEventSources", off.clone()).await["eventSourceNames"], json!(["a"]));
    assert_eq!(client.call("ToggleEventSources", off).await["eventSourceNames"], json!([]));
    let before = client.call("GetEventSource", json!({"name": "a"})).await;
    let rest = client.call("ToggleEventSources", json!({"enabled": false})).await;
    assert_eq!(rest["eventSourceNames"], json!(["b", "x"]));
    assert_eq!(client.call("GetEventSource", json!({"name": "a"})).await, before);
    let listed = client.call("ListEventSources", json!({"limit": 1})).await;
    assert_eq!((&listed["eventSources"][0]["enabled"], &listed["nextToken"]), (&json!(false), &json!("a")));
    let cron = client.call("ToggleEventSources", json!({"enabled": true, "eventSourceType": "cron"})).await;
    assert_eq!(cron["eventSourceNames"], json!([]));
    let bad = client.call("ToggleEventSources", json!({"enabled": true, "eventSourceType": "ftp"})).await;
    assert_eq!(bad["code"], 1001);
}

fn project(names: &[&str]) -> Value {
    let part = |name: &&str| {
        json!({"component": {"name": name, "docker": {"image": "i:1"}},
        "eventSources": [{"eventSource": {"name": name, "http": {"pathPrefix": format!("/{name}")}}}]})
    };
    json!({"name": "Shop", "components": names.iter().map(part).collect::<Vec<_>>()})
}

#[tokio::test]
async fn a_project_goes_in_as_one_and_comes_out_as_it_went_in() {
    let client = Client::new().await;
    let diff = client.call("PutProject", json!({"project": project(&["b", "a"]), "diffOnly": true})).await;
    assert_eq!(diff["componentsAdded"][0]["name"], "shop_a");
    assert_eq!(client.call("GetProject", json!({"name": "shop"})).await["code"], 1003);
    assert_eq!(client.call("PutProject", json!({"project": project(&["b", "a"])})).await["name"], "shop");
    let got = client.call("GetProject", json!({"name": "Shop"})).await["project"].clone();
    assert_eq!(got["components"][1]["eventSources"][0]["eventSource"]["componentName"], "shop_b");
    assert_eq!(got["components"][1]["eventSources"][0]["enabled"], true);
    let again = client.call("PutProject", json!({"project": got})).await;
    assert_eq!(again["componentsUpdated"], json!([]));
    let listed = client.call("ListProjects", json!({"namePrefix": "sh"})).await;
    assert_eq!(
        listed,
        json!({"projects": [{"projectName": "shop", "componentCount": 2, "eventSourceCount": 2}]})
    );
    let smaller = client.call("PutProject", json!({"project": project(&["a"])})).await;
    assert_eq!(smaller["componentsRemoved"], json!(["shop_b"]));
    assert_eq!(smaller["eventSourcesRemoved"], json!(["shop_b"]));
    let removed = client.call("RemoveProject", json!({"name": "shop"})).await;
    assert_eq!(removed, json!({"name": "shop", "found": true}));
    assert_eq!(client.call("ListComponents", json!({})).await["components"], json!([]));
}

#[tokio::test]
async fn a_project_with_one_mistake_changes_nothing() {
    let client = Client::new().await;
    let mut bad = project(&["a", "b"]);
    bad["components"][1]["component"]["docker"]["image"] = json!("");
    let error = client.call("PutProject", json!({"project": bad})).await;
    assert_eq!(
        (&error["code"], &error["data"][0]["field"]),
        (&json!(1001), &json!("components.b.docker.image"))
    );
    assert_eq!(client.call("ListComponents", json!({})).await["components"], json!([]));
}

/// The defect this prevents: what somebody else commits between reading and writing is overwritten.
#[tokio::test]
async fn a_project_put_that_was_overtaken_is_decided_again() {
    let client = Client::new().await;
    client.call("PutProject", json!({"project": project(&["a"])})).await;
    let other = wire::Component {
        name: "shop_late".into(),
        project_name: Some("shop".into()),
        docker: Some(wire::DockerComponent { image: "i".into(), ..Default::default() }),
        ..Default::default()
    };
    client.store.intrude(vec![Op::PutComponent { component: Box::new(other), based_on: 0 }]);
    let put = client.call("PutProject", json!({"project": project(&["a", "b"])})).await;
    assert_eq!(
        (&put["componentsAdded"][0]["name"], &put["componentsRemoved"]),
        (&json!("shop_b"), &json!(["shop_late"]))
    );
    assert_eq!(
        client.call("GetProject", json!({"name": "shop"})).await["project"]["components"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_store_that_is_away_is_32001_for_writes_and_nothing_for_reads() {
    let client = Client::new().await;
    client.put_component("web", 0).await;
    client.store.set_away(true);
    let error = client.put_component("web", 1).await;
    assert_eq!(error["code"], -32001, "{error}");
    assert_eq!(client.call("GetComponent", json!({"name": "web"})).await["component"]["version"], 1);
    client.store.set_away(false);
    assert_eq!(client.put_component("web", 1).await["version"], 2);
}

#[tokio::test]
async fn changes_stand_in_the_journal_without_secrets() {
    let client = Client::new().await;
    let secret = json!({"component": {"name": "web", "docker": {"image": "i", "pullUsername": "u",
        "pullPassword": "hunter2"}, "environment": [{"name": "TOKEN", "value": "hunter2"}]}});
    client.call("PutComponent", secret).await;
    let events = client.journal.list(&wire::ListEventsInput::default());
    assert_eq!(events[0].kind, journal::Kind::Configuration.name());
    assert!(!serde_json::to_string(&events).unwrap().contains("hunter2"));
    assert!(client.store.revision().await.is_ok());
}
