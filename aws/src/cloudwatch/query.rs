//! The one request and its answers, as AWS's query protocol has them: a form goes, XML comes.

use std::fmt;

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError},
};
use aws_smithy_types::{
    body::SdkBody,
    error::metadata::{ErrorMetadata, ProvideErrorMetadata},
};
use aws_smithy_xml::decode::{Document, XmlDecodeError, try_data};
use maelstrom_core::ports::monitoring::{DIMENSION, NAMESPACE, Sample, Unit};

pub(super) type Response = HttpResponse;

/// CloudWatch has said no.
#[derive(Debug, Default)]
pub(super) struct Refused(ErrorMetadata);

// === impl Refused ===

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.message().unwrap_or("no message"), self.0.code().unwrap_or("no code"))
    }
}

impl std::error::Error for Refused {}

impl ProvideErrorMetadata for Refused {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

/// The form. Without a time of their own samples are of when they arrive.
pub(super) fn body(group: &str, samples: &[Sample]) -> String {
    let mut fields = vec![
        ("Action".to_owned(), "PutMetricData".to_owned()),
        ("Version".to_owned(), "2010-08-01".to_owned()),
        ("Namespace".to_owned(), NAMESPACE.to_owned()),
    ];
    for (index, sample) in samples.iter().enumerate() {
        let unit = match sample.unit {
            Unit::Percent => "Percent",
            Unit::Count => "Count",
        };
        for (name, value) in [
            ("MetricName", sample.name.to_owned()),
            ("Value", sample.value.to_string()),
            ("Unit", unit.to_owned()),
            ("Dimensions.member.1.Name", DIMENSION.to_owned()),
            ("Dimensions.member.1.Value", group.to_owned()),
        ] {
            fields.push((format!("MetricData.member.{}.{name}", index + 1), value));
        }
    }
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", escaped(value)));
    pairs.collect::<Vec<String>>().join("&")
}

fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

pub(super) fn request(body: String) -> Result<HttpRequest, BoxError> {
    let length = body.len();
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST")?;
    request.set_uri("/")?;
    request.headers_mut().insert("content-type", "application/x-www-form-urlencoded");
    request.headers_mut().insert("content-length", length.to_string());
    Ok(request)
}

pub(super) fn answer(response: &HttpResponse) -> Result<(), OrchestratorError<Refused>> {
    if response.status().is_success() {
        return Ok(());
    }
    // What answers without a code is no CloudWatch, or one that is ill: its status tells.
    let body = response.body().bytes().and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    Err(OrchestratorError::operation(Refused(refusal(body).unwrap_or_default())))
}

/// Code and message of `<ErrorResponse><Error>…`.
fn refusal(xml: &str) -> Result<ErrorMetadata, XmlDecodeError> {
    let mut told = ErrorMetadata::builder();
    let mut document = Document::new(xml);
    let mut root = document.root_element()?;
    while let Some(mut part) = root.next_tag() {
        if part.start_el().local() != "Error" {
            continue;
        }
        while let Some(mut field) = part.next_tag() {
            told = match field.start_el().local() {
                "Code" => told.code(try_data(&mut field)?),
                "Message" => told.message(try_data(&mut field)?),
                _ => told,
            };
        }
    }
    Ok(told.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_with_the_group_that_they_are_of() {
        let samples = [
            Sample { name: "MemoryWanted", value: 112.5, unit: Unit::Percent },
            Sample { name: "Nodes", value: 3.0, unit: Unit::Count },
        ];
        let expected = "Action=PutMetricData&Version=2010-08-01&Namespace=Maelstrom\
            &MetricData.member.1.MetricName=MemoryWanted&MetricData.member.1.Value=112.5\
            &MetricData.member.1.Unit=Percent\
            &MetricData.member.1.Dimensions.member.1.Name=AutoScalingGroupName\
            &MetricData.member.1.Dimensions.member.1.Value=a%20group%26more\
            &MetricData.member.2.MetricName=Nodes&MetricData.member.2.Value=3\
            &MetricData.member.2.Unit=Count\
            &MetricData.member.2.Dimensions.member.1.Name=AutoScalingGroupName\
            &MetricData.member.2.Dimensions.member.1.Value=a%20group%26more";
        assert_eq!(body("a group&more", &samples), expected);
    }

    #[test]
    fn refusals_are_read_and_what_is_none_has_no_code() {
        let denied = "<ErrorResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><Error>\
            <Type>Sender</Type><Code>AccessDenied</Code><Message>not &lt;you&gt;</Message></Error>\
            <RequestId>1</RequestId></ErrorResponse>";
        let told = refusal(denied).unwrap();
        assert_eq!((told.code(), told.message()), (Some("AccessDenied"), Some("not <you>")));
        for other in ["", "<html><body>Bad gateway</body></html>", "{\"code\": 1}", "<ErrorResponse><Error>"]
        {
            assert_eq!(refusal(other).unwrap_or_default().code(), None, "{other}");
        }
    }
}
