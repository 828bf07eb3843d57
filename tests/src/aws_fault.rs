//! Between a daemon and AWS: passes requests on, or refuses those that say a word, as AWS refuses.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, StatusCode, Uri, body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// What is refused, and how.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Requests whose action or body says this: a queue's name, an action.
    pub word: String,
    pub status: u16,
    pub code: &'static str,
}

/// See the module. Dropping it ends it.
#[derive(Debug)]
pub struct Faulty {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    refusal: Mutex<Option<Refusal>>,
}

// === impl Faulty ===

impl Faulty {
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let shared = Arc::new(Shared { target, client, refusal: Mutex::default() });
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(serve(listener, Arc::clone(&shared))));
        Ok(Self { address, shared, stop })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn refuse(&self, refusal: Option<Refusal>) {
        *self.shared.refusal.lock().expect("nothing panics under this lock") = refusal;
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&shared), request));
            let served =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A daemon that ends closes its connections in the middle.
            let _ = served.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let refusal = shared.refusal.lock().expect("nothing panics under this lock").clone();
    let says = |word: &str| {
        let action = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        action.is_some_and(|action| action.contains(word)) || String::from_utf8_lossy(&body).contains(word)
    };
    if let Some(refusal) = refusal.filter(|refusal| says(&refusal.word)) {
        let text =
            json!({ "__type": format!("com.amazonaws.sqs#{}", refusal.code), "message": "as a test wants" });
        return Ok(Response::builder()
            .status(StatusCode::from_u16(refusal.status)?)
            .header("content-type", "application/x-amz-json-1.0")
            .body(Full::new(Bytes::from(text.to_string())))?);
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = format!("http://{}{path}", shared.target).parse::<Uri>()?;
    let response = shared.client.request(Request::from_parts(head, Full::new(body))).await.context("AWS")?;
    let (head, body) = response.into_parts();
    Ok(Response::from_parts(head, Full::new(body.collect().await?.to_bytes())))
}
