//! The stream and its methods on a node in memory.

use std::sync::Arc;

use maelstrom_core::rpc::code;
use serde_json::{Value, json};

use super::{gather::Watching, view::View};
use crate::api::node::tests::World;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// What a client that was told `before` is told next, once it shows what is waited for.
async fn told_until(
    watching: &mut Watching,
    before: &mut Option<Arc<View>>,
    shows: impl Fn(&Value) -> bool,
) -> Value {
    let wait = async {
        loop {
            let view = watching.next().await.unwrap();
            let text = view.told(before.as_deref());
            *before = Some(view);
            let (_, data) = text.split_once("data: ").unwrap();
            let told: Value = serde_json::from_str(data.trim_end()).unwrap();
            if shows(&told) {
                return told;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap()
}

#[tokio::test]
async fn the_whole_cluster_is_told_and_then_what_changes() {
    let world = World::new().await;
    let (mut watching, mut before) = (world.live.watch().unwrap(), None);
    let first = told_until(&mut watching, &mut before, |_| true).await;
    assert_eq!(first["node"], "n1");
    assert_eq!(first["nodes"]["put"]["n1"]["totalMemoryMiB"], 1_000);
    assert_eq!(first["components"]["put"]["web"]["image"], "i:1");
    assert!(first["components"]["put"]["web"].get("environment").is_none(), "{first}");

    let source = json!({"eventSource": {"name": "tick", "componentName": "web",
        "cron": {"schedule": "@hourly", "http": {"method": "GET", "path": "/"}}}});
    world.result("MaelstromService.PutEventSource", source).await;
    let told = told_until(&mut watching, &mut before, |told| told.get("sources").is_some()).await;
    let tick = &told["sources"]["put"]["tick"];
    assert_eq!(tick["enabled"], true);
    assert_eq!(tick["next"].as_array().map(Vec::len), Some(3), "{tick}");
    assert!(told.get("components").is_none(), "what stays the same is not told again: {told}");

    let off = json!({"enabled": false, "name": "TICK"});
    world.result("MaelstromService.ToggleEventSources", off).await;
    let told = told_until(&mut watching, &mut before, |told| told.get("sources").is_some()).await;
    assert_eq!(told["sources"]["put"]["tick"]["enabled"], false);

    let version = world.result("NodeService.GetStatus", json!({})).await["status"]["version"].clone();
    let target = json!({"clientNodeId": "x", "targetVersion": version, "block": true,
        "targetCounts": [{"componentName": "web", "targetCount": 1}]});
    world.result("NodeService.StartStopComponents", target).await;
    let told = told_until(&mut watching, &mut before, |told| {
        told["instances"]["put"].as_object().is_some_and(|put| put.values().any(|i| i["status"] == "active"))
    })
    .await;
    assert!(told.get("components").is_none(), "{told}");

    world.result("MaelstromService.RemoveComponent", json!({"name": "web"})).await;
    let told = told_until(&mut watching, &mut before, |told| told["components"].get("gone").is_some()).await;
    assert_eq!(told["components"]["gone"], json!(["web"]));
    drop(watching);
    world.stop().await;
}

#[tokio::test]
async fn only_so_many_watch_and_who_leaves_makes_room() {
    let world = World::new().await;
    let mut watching: Vec<Watching> = std::iter::from_fn(|| world.live.watch()).take(1_000).collect();
    assert_eq!(watching.len(), 64);
    watching.pop();
    assert!(world.live.watch().is_some());
    drop(watching);
    world.stop().await;
}

#[tokio::test]
async fn a_component_is_described_as_people_write_it() {
    let world = World::new().await;
    let told = world.result("MaelstromService.DescribeComponent", json!({"name": "Web"})).await;
    let yaml = told["yaml"].as_str().unwrap();
    assert!(yaml.contains("web:") && yaml.contains("image: i:1"), "{yaml}");
    let history = world.result("MaelstromService.ReadHistory", json!({"name": "web"})).await;
    assert_eq!(history["stepMillis"], 10_000);
    for method in ["DescribeComponent", "ReadHistory"] {
        let refused = world.call(&format!("MaelstromService.{method}"), json!({"name": "nobody"})).await;
        assert_eq!(refused["error"]["code"], code::NOT_FOUND, "{refused}");
    }
    world.stop().await;
}
