//! The protocol on raw JSON, as clients of the original send it.

use serde_json::{Value, json};

use super::*;
use crate::{
    ports::BoxFuture,
    rpc::{CallError, Client, Transport, TransportError},
    wire,
};

fn registry() -> Registry {
    Registry::new()
        .on(wire::GetComponent, |input| async move {
            match input.name.as_str() {
                "panics" => panic!("a defect"),
                "gone" => Err(RpcError::not_found("component 'gone'")),
                _ => Ok(wire::GetComponentOutput {
                    component: wire::Component { name: input.name, ..Default::default() },
                }),
            }
        })
        .on(wire::ListProjects, |input| async move {
            let projects = input.name_prefix.into_iter();
            Ok(wire::ListProjectsOutput {
                projects: projects
                    .map(|project_name| wire::ProjectInfo { project_name, ..Default::default() })
                    .collect(),
            })
        })
        .on(wire::PutComponent, |input| async move {
            Ok(wire::PutOutput { name: input.component.name, version: input.component.version + 1 })
        })
}

async fn answer(body: &str) -> String {
    registry()
        .handle(body.as_bytes())
        .await
        .map_or_else(String::new, |bytes| String::from_utf8(bytes.to_vec()).expect("answers are UTF-8"))
}

async fn json_answer(body: &str) -> Value {
    serde_json::from_str(&answer(body).await).expect("answers are JSON")
}

async fn code_of(body: &str) -> i64 {
    json_answer(body).await["error"]["code"].as_i64().expect("an error was expected")
}

#[tokio::test]
async fn ids_come_back_byte_for_byte() {
    for id in [r#""abc""#, "7", "-3", "12345678901234567890", "1.50", r#""\u0041""#, "null"] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"MaelstromService.ListProjects","params":[{{}}]}}"#
        );
        assert_eq!(
            answer(&body).await,
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"projects":[]}}}}"#)
        );
    }
}

#[tokio::test]
async fn params_may_be_an_array_an_object_or_missing() {
    for params in [r#","params":[{}]"#, r#","params":[]"#, r#","params":{}"#, r#","params":null"#, ""] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"MaelstromService.ListProjects"{params}}}"#);
        assert_eq!(json_answer(&body).await["result"], json!({"projects": []}), "{params}");
    }
}

#[tokio::test]
async fn params_that_do_not_fit_are_refused_by_field() {
    let cases = [
        (r#"[{}]"#, "params[0]", "missing field `name`"),
        (r#"[{"name":5}]"#, "name", "expected a string"),
        (r#"[5]"#, "params[0]", "must be an object"),
        (r#"[{"name":"a"},{}]"#, "params", "2 elements"),
        (r#""x""#, "params", "must be an array"),
    ];
    for (params, field, words) in cases {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"MaelstromService.GetComponent","params":{params}}}"#
        );
        let error = &json_answer(&body).await["error"];
        assert_eq!(error["code"], -32602, "{params}");
        assert_eq!(error["data"][0]["field"], field, "{params}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words) && message.contains(field), "{params}: {message}");
    }
}

#[tokio::test]
async fn a_nested_field_is_named_with_its_path() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"MaelstromService.PutComponent","params":
        [{"component":{"name":"web","docker":{"image":"i","dns":["1.1.1.1",8]}}}]}"#;
    assert_eq!(json_answer(body).await["error"]["data"][0]["field"], "component.docker.dns[1]");
}

#[tokio::test]
async fn what_is_not_a_request_is_told_so() {
    for body in ["", "{", "nope", "{\"a\":}", "[{]"] {
        assert_eq!(code_of(body).await, -32700, "{body}");
    }
    let requests = [
        "5",
        "\"x\"",
        "null",
        "[]",
        "{}",
        r#"{"id":1}"#,
        r#"{"id":1,"method":5}"#,
        r#"{"id":true,"method":"MaelstromService.ListProjects"}"#,
        r#"{"id":{},"method":"MaelstromService.ListProjects"}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"MaelstromService.ListProjects"}"#,
    ];
    for body in requests {
        assert_eq!(code_of(body).await, -32600, "{body}");
    }
    assert_eq!(registry().handle(&[0xff, 0xfe]).await.map(|b| b.starts_with(b"{\"jsonrpc\"")), Some(true));
    let deep = "[".repeat(100_000);
    assert_eq!(code_of(&deep).await, -32700);
}

#[tokio::test]
async fn an_unknown_method_names_the_nearest() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"MaelstromService.GetComponents","params":[{}]}"#;
    let error = &json_answer(body).await["error"];
    assert_eq!(error["code"], -32601);
    assert!(error["message"].as_str().unwrap().contains("did you mean 'MaelstromService.GetComponent'"));
}

#[tokio::test]
async fn a_batch_is_answered_in_order_and_notifications_are_not() {
    let body = r#"[
        {"jsonrpc":"2.0","id":"a","method":"MaelstromService.ListProjects","params":[{}]},
        {"jsonrpc":"2.0","method":"MaelstromService.ListProjects","params":[{}]},
        5,
        {"jsonrpc":"2.0","id":"b","method":"MaelstromService.GetComponent","params":[{"name":"gone"}]}]"#;
    let answers = json_answer(body).await;
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[0]["id"], "a");
    assert_eq!((&answers[1]["id"], &answers[1]["error"]["code"]), (&Value::Null, &json!(-32600)));
    assert_eq!((&answers[2]["id"], &answers[2]["error"]["code"]), (&json!("b"), &json!(1003)));
    assert_eq!(answer(r#"[{"jsonrpc":"2.0","method":"x"}]"#).await, "");
    assert_eq!(answer(r#"{"jsonrpc":"2.0","method":"MaelstromService.ListProjects"}"#).await, "");
}

#[tokio::test]
async fn a_batch_is_bounded() {
    let one = r#"{"jsonrpc":"2.0","method":"MaelstromService.ListProjects"}"#;
    let many = format!("[{}]", vec![one; MAX_BATCH + 1].join(","));
    assert_eq!(code_of(&many).await, -32600);
}

#[tokio::test]
async fn a_handler_that_panics_is_an_error_of_its_request_only() {
    let body =
        r#"{"jsonrpc":"2.0","id":1,"method":"MaelstromService.GetComponent","params":[{"name":"panics"}]}"#;
    assert_eq!(code_of(body).await, -32000);
}

struct Loopback(Registry);

impl Transport for Loopback {
    fn call(&self, body: Bytes) -> BoxFuture<'_, Result<Bytes, TransportError>> {
        Box::pin(async move { Ok(self.0.handle(&body).await.unwrap_or_default()) })
    }

    fn address(&self) -> String {
        "loopback".into()
    }
}

#[tokio::test]
async fn client_and_server_understand_each_other() {
    let client = Client::new(Loopback(registry()));
    let input = wire::NameInput { name: "web".into() };
    let output = client.call(wire::GetComponent, &input).await.unwrap();
    assert_eq!(output.component.name, "web");
    let gone = client.call(wire::GetComponent, &wire::NameInput { name: "gone".into() }).await.unwrap_err();
    assert_eq!(gone.code(), Some(1003));
    assert!(gone.to_string().contains("component 'gone' does not exist"), "{gone}");
    let none = client.call(wire::GetStatus, &Default::default()).await.unwrap_err();
    assert_eq!(none.code(), Some(-32601));
}

struct Fixed(&'static str);

impl Transport for Fixed {
    fn call(&self, _body: Bytes) -> BoxFuture<'_, Result<Bytes, TransportError>> {
        Box::pin(async { Ok(Bytes::from_static(self.0.as_bytes())) })
    }

    fn address(&self) -> String {
        "http://host:1".into()
    }
}

#[tokio::test]
async fn an_answer_of_something_else_is_told_as_such() {
    for text in ["<html>", "{}", r#"{"id":99,"result":{}}"#, r#"{"id":1,"result":5}"#] {
        let error = Client::new(Fixed(text)).call(wire::GetStatus, &Default::default()).await.unwrap_err();
        assert!(matches!(error, CallError::Foreign { .. }), "{text}: {error}");
    }
}

#[tokio::test]
async fn what_a_caller_may_not_do_is_refused_and_nothing_else() {
    let call = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"MaelstromService.{method}","params":[{params}]}}"#)
    };
    let read = call("GetComponent", r#"{"name":"a"}"#);
    let change =
        call("PutComponent", r#"{"component":{"name":"a","environment":[],"maxConcurrency":1,"version":0}}"#);
    let registry = registry();
    for (body, granted, forbidden, texts) in [
        (read.clone(), Access::Read, false, &[r#""name":"a""#][..]),
        (change.clone(), Access::Change, false, &[r#""version":1"#]),
        (change.clone(), Access::Peer, false, &[r#""version":1"#]),
        (change.clone(), Access::Read, true, &["-32004", "MAEL_API_TOKEN", r#""id":1"#]),
        // One that is refused keeps nobody else from being answered.
        (format!("[{read},{change}]"), Access::Read, false, &[r#""name":"a""#, "-32004"]),
        (format!("[{change},{change}]"), Access::Read, true, &["-32004"]),
        // What it is for is not known before it was read.
        (call("PutComponent", r#"{"component":7}"#), Access::Read, false, &["-32602"]),
        (call("Unknown", "{}"), Access::Read, false, &["-32601"]),
        ("{".to_owned(), Access::Read, false, &["-32700"]),
        ("[]".to_owned(), Access::Read, false, &["-32600"]),
    ] {
        let answered = registry.answer(body.as_bytes(), granted).await;
        let text = String::from_utf8(answered.body.to_vec()).expect("answers are UTF-8");
        assert_eq!(answered.forbidden, forbidden, "{body} of {granted:?}: {text}");
        for part in texts {
            assert!(text.contains(part), "{body} of {granted:?}: {text}");
        }
    }
}

#[test]
fn what_is_asked_for_counts_not_the_method_alone() {
    use crate::wire::{GetStatusInput, Method, NodeStatus, PutProjectInput};

    let put = |diff_only| wire::PutProject::access(&PutProjectInput { diff_only, ..Default::default() });
    assert_eq!(
        [put(None), put(Some(false)), put(Some(true))],
        [Access::Change, Access::Change, Access::Read]
    );
    let asked = |status, placement_term| wire::GetStatus::access(&GetStatusInput { status, placement_term });
    assert_eq!(asked(None, None), Access::Read);
    // Who tells a status becomes a peer by it; who tells a term keeps others from giving orders.
    assert_eq!([asked(Some(NodeStatus::default()), None), asked(None, Some(1))], [Access::Peer; 2]);
}
