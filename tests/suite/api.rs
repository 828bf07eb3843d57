//! The management API as raw JSON, as an unchanged client of the protocol sends and reads it.

use anyhow::Result;
use maelstrom_tests::daemon::Daemon;
use serde_json::{Value, json};

async fn call(daemon: &Daemon, method: &str, params: Value) -> Result<Value> {
    let request = json!({ "jsonrpc": "2.0", "id": "abc", "method": method, "params": [params] });
    let answer = daemon.rpc_raw(request.to_string()).await?;
    assert_eq!(answer.status, 200);
    let answer = answer.json()?;
    assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!("abc")), "{answer}");
    Ok(answer)
}

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or(0)
}

#[tokio::test]
async fn envelopes_and_their_errors() -> Result<()> {
    let daemon = Daemon::run().await?;
    for (body, expected) in [
        ("{", -32700),
        ("[]", -32600),
        ("7", -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"MaelstromService.Nothing","params":[{}]}"#, -32601),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"MaelstromService.GetComponent","params":[{"name":7}]}"#,
            -32602,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"MaelstromService.GetComponent","params":[{}]}"#, -32602),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"MaelstromService.GetComponent","params":[{"name":"x"}]}"#,
            1003,
        ),
    ] {
        let answer = daemon.rpc_raw(body).await?;
        assert_eq!(answer.status, 200, "{body}");
        assert_eq!(code(&answer.json()?), expected, "{body}: {}", answer.text());
    }
    let field = call(&daemon, "MaelstromService.GetComponent", json!({ "name": 7 })).await?;
    assert!(field["error"]["message"].as_str().is_some_and(|m| m.contains("name")), "{field}");
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"MaelstromService.ListProjects","params":[{}]},
                    {"jsonrpc":"2.0","id":"b","method":"NodeService.GetStatus","params":[{}]}]"#;
    let answers = daemon.rpc_raw(batch).await?.json()?;
    assert_eq!(answers.as_array().map(Vec::len), Some(2), "{answers}");
    assert_eq!(answers[0]["result"]["projects"], json!([]));
    Ok(())
}

#[tokio::test]
async fn components_keep_versions_and_refuse_stale_writes() -> Result<()> {
    let daemon = Daemon::run().await?;
    let component = |version: i64, image: &str| {
        json!({ "component": { "name": "Web", "environment": [], "maxConcurrency": 5, "version": version,
            "docker": { "image": image, "httpPort": 80, "httpHealthCheckPath": "/" } } })
    };
    let put = call(&daemon, "MaelstromService.PutComponent", component(0, "a:1")).await?;
    assert_eq!(put["result"], json!({ "name": "web", "version": 1 }));
    assert_eq!(code(&call(&daemon, "MaelstromService.PutComponent", component(0, "a:2")).await?), 1004);
    assert_eq!(code(&call(&daemon, "MaelstromService.PutComponent", component(7, "a:2")).await?), 1004);
    let put = call(&daemon, "MaelstromService.PutComponent", component(1, "a:2")).await?;
    assert_eq!(put["result"]["version"], 2);
    let got = call(&daemon, "MaelstromService.GetComponent", json!({ "name": "web" })).await?;
    let found = &got["result"]["component"];
    assert_eq!((&found["version"], &found["docker"]["image"]), (&json!(2), &json!("a:2")));
    assert!(found["modifiedAt"].as_i64().is_some_and(|at| at > 1_600_000_000_000), "{found}");
    // Bad input says all that is wrong and changes nothing.
    let bad = json!({ "component": { "name": "web", "environment": [], "maxConcurrency": -4, "version": 2,
        "minInstances": 3, "maxInstances": 1, "docker": { "image": "", "httpPort": 99999, "httpHealthCheckPath": "x" } } });
    let refused = call(&daemon, "MaelstromService.PutComponent", bad).await?;
    assert_eq!(code(&refused), 1001);
    assert!(refused["error"]["data"].to_string().matches("field").count() >= 4, "{refused}");
    let removed = call(&daemon, "MaelstromService.RemoveComponent", json!({ "name": "web" })).await?;
    assert_eq!(removed["result"], json!({ "name": "web", "found": true }));
    let removed = call(&daemon, "MaelstromService.RemoveComponent", json!({ "name": "web" })).await?;
    assert_eq!(removed["result"], json!({ "name": "web", "found": false }));
    Ok(())
}

#[tokio::test]
async fn event_sources_are_checked_and_toggled() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon.put_component("web", json!({}), json!({})).await?;
    let put = |fields: Value| {
        let mut source = json!({ "name": "es", "componentName": "web", "version": 0, "modifiedAt": 0 });
        if let (Some(source), Value::Object(fields)) = (source.as_object_mut(), fields) {
            source.extend(fields);
        }
        json!({ "eventSource": source })
    };
    for (fields, expected) in [
        (json!({}), 1001),
        (json!({ "http": {} }), 1001),
        (json!({ "cron": { "schedule": "* * * * *", "http": { "method": "GET" } } }), 1001),
        (json!({ "cron": { "schedule": "* * * * *", "http": { "path": "/" } } }), 1001),
        (json!({ "cron": { "schedule": "61 * * * *", "http": { "method": "GET", "path": "/" } } }), 1001),
        (json!({ "http": { "pathPrefix": "/" }, "componentName": "nobody" }), 1003),
        (json!({ "http": { "pathPrefix": "/" }, "version": 4 }), 1004),
    ] {
        let answer = call(&daemon, "MaelstromService.PutEventSource", put(fields.clone())).await?;
        assert_eq!(code(&answer), expected, "{fields}: {answer}");
    }
    let made =
        call(&daemon, "MaelstromService.PutEventSource", put(json!({ "http": { "pathPrefix": "/" } })))
            .await?;
    assert_eq!(made["result"], json!({ "name": "es", "version": 1 }));
    let toggle = |enabled: bool| json!({ "enabled": enabled, "eventSourceType": "http" });
    let off = call(&daemon, "MaelstromService.ToggleEventSources", toggle(false)).await?;
    assert_eq!(off["result"], json!({ "enabled": false, "eventSourceNames": ["es"] }));
    let again = call(&daemon, "MaelstromService.ToggleEventSources", toggle(false)).await?;
    assert_eq!(again["result"]["eventSourceNames"], json!([]));
    assert_eq!(daemon.public().get("/counter").await?.status, 404);
    let listed = call(&daemon, "MaelstromService.ListEventSources", json!({})).await?;
    assert_eq!(listed["result"]["eventSources"][0]["enabled"], false);
    assert_eq!(listed["result"]["eventSources"][0]["eventSource"]["version"], 1);
    call(&daemon, "MaelstromService.ToggleEventSources", toggle(true)).await?;
    assert_eq!(daemon.public().get("/counter").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn projects_are_put_as_one_unit() -> Result<()> {
    let daemon = Daemon::run().await?;
    let part = |name: &str, image: &str| {
        json!({
            "component": { "name": name, "environment": [], "maxConcurrency": 1, "version": 0,
                "docker": { "image": image, "httpPort": 80, "httpHealthCheckPath": "/" } },
            "eventSources": [{ "enabled": true, "eventSource": { "name": format!("{name}-http"), "componentName": name,
                "version": 0, "modifiedAt": 0, "http": { "pathPrefix": format!("/{name}") } } }],
        })
    };
    let put = |parts: Vec<Value>| json!({ "project": { "name": "Shop", "components": parts } });
    let method = "MaelstromService.PutProject";
    let made = call(&daemon, method, put(vec![part("a", "x:1"), part("b", "x:1")])).await?;
    assert_eq!(made["result"]["componentsAdded"].as_array().map(Vec::len), Some(2), "{made}");
    assert_eq!(made["result"]["componentsAdded"][0]["name"], "shop_a");
    assert_eq!(made["result"]["eventSourcesAdded"][0]["name"], "shop_a-http");
    // The same again changes nothing.
    let same = call(&daemon, method, put(vec![part("a", "x:1"), part("b", "x:1")])).await?;
    for list in [
        "componentsAdded",
        "componentsUpdated",
        "componentsRemoved",
        "eventSourcesAdded",
        "eventSourcesUpdated",
        "eventSourcesRemoved",
    ] {
        assert_eq!(same["result"][list], json!([]), "{list}: {same}");
    }
    // One bad part and nothing happens.
    let bad = call(&daemon, method, put(vec![part("a", "x:2"), part("c", "")])).await?;
    assert_eq!(code(&bad), 1001, "{bad}");
    let kept = call(&daemon, "MaelstromService.GetComponent", json!({ "name": "shop_a" })).await?;
    assert_eq!(kept["result"]["component"]["docker"]["image"], "x:1");
    // Only looking changes nothing.
    let mut look = put(vec![part("a", "x:2")]);
    look["diffOnly"] = json!(true);
    let diff = call(&daemon, method, look).await?;
    assert_eq!(diff["result"]["componentsRemoved"], json!(["shop_b"]));
    assert_eq!(diff["result"]["eventSourcesRemoved"], json!(["shop_b-http"]));
    let changed = call(&daemon, method, put(vec![part("a", "x:2"), part("b", "x:1")])).await?;
    assert_eq!(changed["result"]["componentsUpdated"][0]["version"], 2, "{changed}");
    assert_eq!(changed["result"]["componentsUpdated"].as_array().map(Vec::len), Some(1));
    let listed = call(&daemon, "MaelstromService.ListProjects", json!({})).await?;
    let info = json!({ "projectName": "shop", "componentCount": 2, "eventSourceCount": 2 });
    assert_eq!(listed["result"]["projects"], json!([info]));
    let gone = call(&daemon, "MaelstromService.RemoveProject", json!({ "name": "shop" })).await?;
    assert_eq!(gone["result"], json!({ "name": "shop", "found": true }));
    let rest = call(&daemon, "MaelstromService.ListComponents", json!({})).await?;
    assert_eq!(rest["result"], json!({ "components": [] }));
    Ok(())
}

#[tokio::test]
async fn lists_come_in_pages() -> Result<()> {
    let daemon = Daemon::run().await?;
    for index in 0..5 {
        daemon.put_component(&format!("c{index}"), json!({}), json!({})).await?;
    }
    let mut seen = Vec::new();
    let mut token = Value::Null;
    loop {
        let page =
            call(&daemon, "MaelstromService.ListComponents", json!({ "limit": 2, "nextToken": token }))
                .await?;
        let names = page["result"]["components"].as_array().cloned().unwrap_or_default();
        assert!(names.len() <= 2);
        seen.extend(names.iter().filter_map(|c| c["name"].as_str().map(str::to_owned)));
        token = page["result"]["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["c0", "c1", "c2", "c3", "c4"]);
    assert_eq!(code(&call(&daemon, "MaelstromService.ListComponents", json!({ "limit": -1 })).await?), 1001);
    assert_eq!(
        code(&call(&daemon, "MaelstromService.ListComponents", json!({ "limit": 1001 })).await?),
        1001
    );
    Ok(())
}

#[tokio::test]
async fn nodes_tell_their_status_and_take_targets() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon.put_component("web", json!({}), json!({})).await?;
    let listed = call(&daemon, "NodeService.ListNodeStatus", json!({ "forceRefresh": true })).await?;
    let node = &listed["result"]["nodes"][0];
    assert_eq!(node["nodeId"], daemon.node());
    for field in ["startedAt", "observedAt", "version", "totalMemoryMiB", "freeMemoryMiB", "numCPUs"] {
        assert!(node[field].is_i64(), "{field}: {node}");
    }
    for field in ["loadAvg1m", "loadAvg5m", "loadAvg15m"] {
        assert!(node[field].is_number(), "{field}: {node}");
    }
    let placed = call(&daemon, "NodeService.PlaceComponent", json!({ "componentName": "web" })).await?;
    assert_eq!(placed["result"]["componentName"], "web", "{placed}");
    assert_eq!(
        code(&call(&daemon, "NodeService.PlaceComponent", json!({ "componentName": "no" })).await?),
        1003
    );
    daemon.wait_instances("web", 1).await?;
    let stale = json!({ "clientNodeId": "x", "targetVersion": -1, "targetCounts": [], "returnStatus": true });
    let refused = call(&daemon, "NodeService.StartStopComponents", stale).await?;
    assert_eq!(refused["result"]["targetVersionMismatch"], true, "{refused}");
    let other = json!({ "awsLifecycleHook": { "QueueUrl": "q", "MessageReceiptHandle": "r", "AutoScalingGroupName": "g",
        "InstanceId": "i-0", "LifecycleActionToken": "t", "LifecycleHookName": "h" } });
    let answer = call(&daemon, "NodeService.TerminateNode", other).await?;
    assert_eq!(answer["result"]["acceptedMessage"], false, "{answer}");
    Ok(())
}
