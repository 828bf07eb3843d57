//! The management API of one node, as tests call it: raw bytes, JSON, or by the types of the contract.

use anyhow::{Context, Result, bail, ensure};
use hyper::Method as Verb;
use maelstrom_core::wire::{self, Method};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    image,
    wait::{self, LONG},
};

/// Calls methods at one node's private gateway.
#[derive(Clone, Debug)]
pub struct Api {
    private: Client,
}

// === impl Api ===

impl Api {
    /// `private` leads to a private gateway.
    pub fn new(private: Client) -> Self {
        Self { private }
    }

    /// Sends `body` as it is.
    pub async fn rpc_raw(&self, body: impl Into<bytes::Bytes>) -> Result<Answer> {
        let headers = [("content-type", "application/json")];
        self.private.send(Verb::POST, "/_mael/v1", &headers, body.into()).await
    }

    /// Calls a method; a JSON-RPC error is an error that says code and message.
    pub async fn rpc(&self, method: &str, params: Value) -> Result<Value> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [params] });
        let answer = self.rpc_raw(request.to_string()).await?.json()?;
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            bail!("{method}: {} {}", error["code"], error["message"]);
        }
        Ok(answer["result"].clone())
    }

    /// Calls a method by its type.
    pub async fn call<M: Method>(&self, _method: M, input: &M::Input) -> Result<M::Output> {
        let result = self.rpc(M::NAME, serde_json::to_value(input)?).await?;
        serde_json::from_value(result).with_context(|| format!("{}: not what the contract says", M::NAME))
    }

    /// The node's status of itself.
    pub async fn status(&self) -> Result<wire::NodeStatus> {
        Ok(self.call(wire::GetStatus, &Default::default()).await?.status)
    }

    /// What the node wrote into its journal, of these kinds.
    pub async fn events(&self, kinds: &[&str]) -> Result<Vec<wire::JournalEvent>> {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let query = wire::ListEventsInput { kinds: Some(kinds), limit: Some(1_000), ..Default::default() };
        Ok(self.call(wire::ListEvents, &query).await?.events)
    }

    /// Puts a component that runs the test service; `fields` override at the top and inside `docker`.
    /// Returns its version.
    pub async fn put_component(&self, name: &str, fields: Value, docker: Value) -> Result<i64> {
        let current = self.rpc("MaelstromService.GetComponent", json!({ "name": name })).await;
        let version = current.map_or(0, |found| found["component"]["version"].as_i64().unwrap_or(0));
        let mut component = json!({
            "name": name, "version": version, "environment": [], "maxConcurrency": 10,
            "docker": {
                "image": image::APP, "httpPort": 8080, "httpHealthCheckPath": "/health", "reserveMemoryMiB": 16,
            },
        });
        merge(&mut component, fields);
        merge(&mut component["docker"], docker);
        let put = self.rpc("MaelstromService.PutComponent", json!({ "component": component })).await?;
        put["version"].as_i64().context("no version")
    }

    /// Routes `prefix` to the component.
    pub async fn put_route(&self, name: &str, component: &str, http: Value) -> Result<()> {
        let source =
            json!({ "name": name, "componentName": component, "version": 0, "modifiedAt": 0, "http": http });
        self.rpc("MaelstromService.PutEventSource", json!({ "eventSource": source })).await?;
        Ok(())
    }

    /// The instances that the node reports, of one component or (with "") of all.
    pub async fn instances(&self, component: &str) -> Result<Vec<Value>> {
        let status = self.rpc("NodeService.GetStatus", json!({})).await?;
        let all =
            status["status"]["runningComponents"].as_array().cloned().context("no runningComponents")?;
        Ok(all.into_iter().filter(|i| component.is_empty() || i["componentName"] == component).collect())
    }

    /// Waits until the component has exactly `count` active instances on the node and no others.
    pub async fn wait_instances(&self, component: &str, count: usize) -> Result<Vec<Value>> {
        let what = format!("{count} active instances of {component}");
        let found = wait::until(&what, LONG, || async {
            let all = self.instances(component).await?;
            let active = all.iter().filter(|i| i["status"] == "active" && i["standby"] != true).count();
            ensure!(active == count && all.len() == count, "there are {all:?}");
            Ok(Some(all))
        });
        found.await
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
