//! Event sources: cron.

use anyhow::Result;
use maelstrom_tests::{
    daemon::Daemon,
    wait::{self, LONG},
};
use serde_json::json;

#[tokio::test]
async fn a_cron_rule_fires_starts_its_component_and_obeys_the_toggle() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon.put_component("job", json!({}), json!({})).await?;
    let cron = json!({ "schedule": "@every 1s", "http": { "method": "GET", "path": "/counter" } });
    let source =
        json!({ "name": "tick", "componentName": "job", "version": 0, "modifiedAt": 0, "cron": cron });
    daemon.rpc("MaelstromService.PutEventSource", json!({ "eventSource": source })).await?;
    let fired = || async {
        let events =
            daemon.rpc("MaelstromService.ListEvents", json!({ "kinds": ["cron"], "limit": 1000 })).await?;
        anyhow::Ok(events["events"].as_array().map_or(0, Vec::len))
    };
    wait::until("three firings", LONG, || async { Ok((fired().await? >= 3).then_some(())) }).await?;
    let toggled = daemon
        .rpc("MaelstromService.ToggleEventSources", json!({ "enabled": false, "namePrefix": "ti" }))
        .await?;
    assert_eq!(toggled["eventSourceNames"], json!(["tick"]));
    // What was under way may still end; then nothing fires for longer than three periods.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let before = fired().await?;
    tokio::time::sleep(std::time::Duration::from_millis(3500)).await;
    assert_eq!(fired().await?, before);
    Ok(())
}
