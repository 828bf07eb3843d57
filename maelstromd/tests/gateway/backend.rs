//! Containers as tests need them: raw sockets that say exactly what the test wants and keep what they got.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// One connection to a backend.
pub struct Connection {
    pub stream: TcpStream,
    /// Number of this connection, from 1.
    pub number: usize,
    buffer: Vec<u8>,
}

/// A listening backend; dropped, it and all its connections are gone.
pub struct Backend {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backend {
    /// Runs `serve` for each connection.
    pub async fn start<F, Fut>(serve: F) -> Self
    where
        F: Fn(Connection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut running = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let number = count.fetch_add(1, SeqCst) + 1;
                running.spawn(serve(Connection { stream, number, buffer: Vec::new() }));
            }
        });
        Self { address, connections, task }
    }

    /// Answers every request with the same bytes.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |mut connection| {
            let answer = Arc::clone(&answer);
            async move {
                while connection.request().await.is_some() {
                    connection.send(&answer).await;
                }
            }
        })
        .await
    }

    /// Answers every request with its own head and body, as text.
    pub async fn echo() -> Self {
        Self::start(|mut connection| async move {
            while let Some(request) = connection.request().await {
                connection.send(&ok(&request)).await;
            }
        })
        .await
    }
}

/// A 200 with this body.
pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

impl Connection {
    /// The next head, with its empty line; `None` when the connection ended.
    pub async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = self.buffer.split_off(end + 4);
                return Some(String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next request, head and body as they came.
    pub async fn request(&mut self) -> Option<String> {
        let head = self.head().await?;
        let lower = head.to_ascii_lowercase();
        let mut request = head;
        if let Some(at) = lower.find("content-length: ") {
            let digits: String = lower[at + 16..].chars().take_while(char::is_ascii_digit).collect();
            let body = self.exactly(digits.parse().unwrap()).await?;
            request.push_str(&String::from_utf8_lossy(&body));
        } else if lower.contains("transfer-encoding: chunked") {
            request.push_str(&self.chunked().await?);
        }
        Some(request)
    }

    /// A chunked body as it is on the wire, trailers included.
    pub async fn chunked(&mut self) -> Option<String> {
        let mut wire = Vec::new();
        loop {
            let line = self.line().await?;
            wire.extend_from_slice(&line);
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            if size == 0 {
                break;
            }
            wire.extend(self.exactly(size + 2).await?);
        }
        loop {
            let line = self.line().await?;
            wire.extend_from_slice(&line);
            if line == b"\r\n" {
                return Some(String::from_utf8_lossy(&wire).into_owned());
            }
        }
    }

    pub async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            if !self.more().await {
                return None;
            }
        }
        let rest = self.buffer.split_off(length);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return self.exactly(end + 1).await;
            }
            if !self.more().await {
                return None;
            }
        }
    }

    pub async fn more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.buffer).await, Ok(read) if read > 0)
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // The gateway may have left: that is the test's own business.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Ends when the gateway has closed its side.
    pub async fn closed(&mut self) {
        while self.more().await {}
    }
}
