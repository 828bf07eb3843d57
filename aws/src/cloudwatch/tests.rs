//! What CloudWatch keeps of what is put, on LocalStack; and how it is told when it can't be.

use std::time::Duration;

use maelstrom_core::ports::monitoring::{DIMENSION, NAMESPACE, Unit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::localstack;

const SAMPLES: [Sample; 2] = [
    Sample { name: "MemoryWanted", value: 112.5, unit: Unit::Percent },
    Sample { name: "Nodes", value: 3.0, unit: Unit::Count },
];

/// An answer to a form, by who does not look at signatures.
async fn ask(address: &str, form: &str) -> String {
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=test/20200101/us-east-1/monitoring/aws4_request, SignedHeaders=host, \
         Signature=none\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    localstack::exchange(address, &request).await
}

#[tokio::test]
async fn what_is_put_can_be_read_by_group() {
    let account = localstack::account().await;
    let address = account.config().endpoint_url().unwrap().trim_start_matches("http://").to_owned();
    let cloudwatch = CloudWatch::new(account.into());
    let group = format!("g-{}", ulid::Ulid::generate());
    cloudwatch.put(group.clone(), SAMPLES.to_vec()).await.unwrap();
    for sample in SAMPLES {
        let form = format!(
            "Action=GetMetricStatistics&Version=2010-08-01&Namespace={NAMESPACE}&MetricName={}&Period=31536000\
             &StartTime=2020-01-01T00:00:00Z&EndTime=2100-01-01T00:00:00Z&Statistics.member.1=Average\
             &Dimensions.member.1.Name={DIMENSION}&Dimensions.member.1.Value={group}",
            sample.name
        );
        let answer = ask(address.trim_end_matches('/'), &form).await;
        let averages: Vec<&str> = answer.split("<Average>").skip(1).collect();
        assert_eq!(averages.len(), 1, "{answer}");
        let average: f64 = averages[0].split('<').next().unwrap().parse().unwrap();
        assert_eq!(average, sample.value, "{answer}");
    }
}

/// One that answers all requests alike, and what it was sent.
async fn answers(status: &str, body: &str) -> (String, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = tokio::sync::mpsc::channel(100);
    let answer =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = Vec::new();
            let mut buffer = [0; 4_096];
            while !String::from_utf8_lossy(&seen).contains("Dimensions.member.1.Value=group") {
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => seen.extend_from_slice(&buffer[..count]),
                }
            }
            let _ = sender.try_send(String::from_utf8_lossy(&seen).into_owned());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, receiver)
}

fn refusal(code: &str, message: &str) -> String {
    format!("<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>")
}

async fn put(address: &str) -> MonitoringResult {
    let cloudwatch = CloudWatch::new(localstack::account_at(address).into());
    cloudwatch.put("group".into(), SAMPLES[..1].to_vec()).await
}

#[tokio::test]
async fn a_denied_request_says_what_to_allow_and_is_not_repeated() {
    let (address, mut seen) = answers("403 Forbidden", &refusal("AccessDenied", "not you")).await;
    let error = put(&address).await.unwrap_err();
    assert_eq!(error.kind(), "denied");
    let text = error.to_string();
    for part in ["cloudwatch:PutMetricData is not permitted: not you", "IAM role", "namespace is 'Maelstrom'"]
    {
        assert!(text.contains(part), "{text}");
    }
    let request = seen.recv().await.unwrap();
    assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
    for part in ["authorization: AWS4-HMAC-SHA256", "/us-east-1/monitoring/aws4_request", "x-amz-date:"] {
        assert!(request.contains(part), "{request}");
    }
    assert!(seen.try_recv().is_err(), "it was asked again");
}

#[tokio::test]
async fn a_throttled_request_is_tried_again_and_then_told() {
    let (address, mut seen) = answers("400 Bad Request", &refusal("Throttling", "Rate exceeded")).await;
    let error = put(&address).await.unwrap_err();
    assert_eq!(error.kind(), "throttled");
    assert!(error.to_string().contains("Rate exceeded"), "{error}");
    seen.recv().await.unwrap();
    assert!(seen.try_recv().is_ok(), "it was asked once");
}

#[tokio::test]
async fn a_refused_request_has_words_and_what_is_no_cloudwatch_is_named() {
    let (address, _seen) = answers("400 Bad Request", &refusal("InvalidParameterValue", "what?")).await;
    let error = put(&address).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().contains("what? (InvalidParameterValue)")),
        ("refused", true)
    );
    let (address, _seen) = answers("404 Not Found", "<html>nothing here</html>").await;
    let error = put(&address).await.unwrap_err();
    assert_eq!(error.kind(), "unavailable");
    assert!(error.to_string().contains("not CloudWatch"), "{error}");
}

#[tokio::test]
async fn one_that_is_away_or_silent_is_given_up_in_time() {
    // Nothing listens at the discard port.
    let error = put("http://127.0.0.1:9").await.unwrap_err();
    assert_eq!(error.kind(), "unavailable");
    assert!(error.to_string().contains("AWS_ENDPOINT_URL_CLOUDWATCH"), "{error}");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let error = tokio::time::timeout(Duration::from_secs(10), put(&address)).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("no answer from CloudWatch in time"), "{error}");
}

#[test]
fn regions_have_endpoints_of_their_own() {
    let config = |fips| SdkConfig::builder().use_fips(fips).build();
    for (region, fips, expected) in [
        ("eu-central-1", false, "https://monitoring.eu-central-1.amazonaws.com"),
        ("us-east-1", true, "https://monitoring-fips.us-east-1.amazonaws.com"),
        ("cn-north-1", false, "https://monitoring.cn-north-1.amazonaws.com.cn"),
    ] {
        assert_eq!(endpoint(&config(fips), region), expected);
    }
    let given = SdkConfig::builder().endpoint_url("http://here").build();
    assert_eq!(endpoint(&given, "us-east-1"), "http://here");
}
