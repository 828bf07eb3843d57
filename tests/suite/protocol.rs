//! Bytes that no honest client sends: refused with the right status, and the daemon's memory stays flat.

use std::time::Duration;

use anyhow::{Result, ensure};
use maelstrom_tests::{client::raw, daemon::Daemon};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

async fn served() -> Result<Daemon> {
    let daemon = Daemon::run().await?;
    daemon.put_component("web", json!({}), json!({})).await?;
    daemon.put_route("all", "web", json!({ "pathPrefix": "/" })).await?;
    daemon.public().get("/counter").await?;
    Ok(daemon)
}

#[tokio::test]
async fn ambiguous_framing_is_refused_and_the_connection_closed() -> Result<()> {
    let daemon = served().await?;
    let cases: &[(&str, &str)] = &[
        (
            "both lengths",
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "differing lengths",
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        ),
        ("list of lengths", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 5\r\n\r\nabcde"),
        ("signed length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd"),
        ("hex length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\nabcd"),
        (
            "chunked twice",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked not last",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        ),
        ("unknown coding", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("chunked in 1.0", "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("obs-fold", "GET /counter HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n"),
        (
            "folded coding",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "space before colon",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        ),
        ("control byte", "GET /counter HTTP/1.1\r\nHost: a\r\nX-A: b\u{1}c\r\n\r\n"),
        ("nul", "GET /counter HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n"),
        ("bare return", "GET /counter HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n"),
        ("no host", "GET /counter HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET /counter HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (
            "bad chunk size",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        ),
        (
            "overflowing chunk size",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        ),
    ];
    for (name, bytes) in cases {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        let (seen, closed) =
            raw(daemon.public_address(), format!("{bytes}{smuggled}").as_bytes(), Duration::from_secs(5))
                .await?;
        ensure!(seen.starts_with("HTTP/1.1 400") || seen.starts_with("HTTP/1.0 400"), "{name}: {seen:?}");
        ensure!(closed, "{name}: the connection stays open");
        ensure!(
            seen.lines().filter(|line| line.starts_with("HTTP/1.")).count() == 1,
            "{name}: a second answer: {seen}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn huge_and_many_headers_are_refused() -> Result<()> {
    let daemon = served().await?;
    let huge = format!("GET /counter HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "x".repeat(2_000_000));
    let (seen, closed) = raw(daemon.public_address(), huge.as_bytes(), Duration::from_secs(5)).await?;
    ensure!(seen.contains(" 431 ") || seen.contains(" 400 ") || (seen.is_empty() && closed), "{seen:?}");
    let many = (0..5_000).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let many = format!("GET /counter HTTP/1.1\r\nHost: a\r\n{many}\r\n");
    let (seen, _) = raw(daemon.public_address(), many.as_bytes(), Duration::from_secs(5)).await?;
    ensure!(seen.contains(" 431 ") || seen.contains(" 400 "), "{seen:?}");
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(200_000));
    let (seen, _) = raw(daemon.public_address(), long.as_bytes(), Duration::from_secs(5)).await?;
    ensure!(seen.contains(" 414 ") || seen.contains(" 431 ") || seen.contains(" 400 "), "{seen:?}");
    assert_eq!(daemon.public().get("/counter").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_client_that_goes_away_frees_the_instance_at_once() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon.put_component("web", json!({ "maxConcurrency": 1, "maxInstances": 1 }), json!({})).await?;
    daemon.put_route("all", "web", json!({ "pathPrefix": "/" })).await?;
    daemon.public().get("/counter").await?;
    for _ in 0..10 {
        let mut stream = TcpStream::connect(daemon.public_address()).await?;
        stream.write_all(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        let busy = maelstrom_tests::wait::until("the request", maelstrom_tests::wait::LONG, || async {
            Ok((daemon.instances("web").await?[0]["inFlight"] == 1).then_some(()))
        });
        busy.await?;
        drop(stream);
        assert_eq!(daemon.public().get("/counter").await?.status, 200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_under_bad_input() -> Result<()> {
    let daemon = served().await?;
    let bad: Vec<Vec<u8>> = vec![
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x00\xa5\x01\x00\x00".to_vec(),
        b"GET /bytes?n=1000000 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        [b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec(), vec![b'x'; 300_000]].concat(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish that is no frame at all".to_vec(),
    ];
    let rpc = ["{", "[[[[[[[[", r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#, r#"[1,2,3]"#];
    let address = daemon.public_address();
    let round = |times: usize| {
        let bad = bad.clone();
        async move {
            let mut workers = JoinSet::new();
            for worker in 0..8 {
                let bad = bad.clone();
                workers.spawn(async move {
                    for n in 0..times {
                        let bytes = &bad[(worker + n) % bad.len()];
                        let mut stream = TcpStream::connect(address).await?;
                        // Half of them go away without reading.
                        let _ = stream.write_all(bytes).await;
                        if n % 2 == 0 {
                            let mut byte = [0; 1];
                            let read = tokio::io::AsyncReadExt::read(&mut stream, &mut byte);
                            let _ = tokio::time::timeout(Duration::from_millis(20), read).await;
                        }
                    }
                    anyhow::Ok(())
                });
            }
            while let Some(worker) = workers.join_next().await {
                worker??;
            }
            anyhow::Ok(())
        }
    };
    round(60).await?;
    for body in rpc {
        daemon.rpc_raw(body).await?;
    }
    let before = daemon.resident()?;
    for _ in 0..4 {
        round(100).await?;
        for body in rpc.iter().cycle().take(100) {
            daemon.rpc_raw(*body).await?;
        }
    }
    let after = daemon.resident()?;
    ensure!(after < before + 24 * 1024 * 1024, "resident memory rose from {before} to {after}");
    assert_eq!(daemon.public().get("/counter").await?.status, 200);
    Ok(())
}
