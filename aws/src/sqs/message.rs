//! A message as SQS tells it → as the port has it.

use aws_sdk_sqs::types::{Message as Told, MessageAttributeValue, MessageSystemAttributeName as Name};
use bytes::Bytes;
use maelstrom_core::{
    ports::queue::{AttributeValue, Message, MessageAttribute},
    time::WallTime,
};

pub(super) fn of(told: Told) -> Message {
    let known = told.attributes.unwrap_or_default();
    let text = |name: &Name| known.get(name).cloned();
    let time = |name| text(name).and_then(|text| text.parse().ok()).map(WallTime::from_millis);
    let attributes = told.message_attributes.unwrap_or_default();
    let mut attributes: Vec<MessageAttribute> =
        attributes.into_iter().map(|(name, value)| attribute(name, value)).collect();
    attributes.sort_by(|a, b| a.name.cmp(&b.name));
    Message {
        id: told.message_id.unwrap_or_default(),
        receipt: told.receipt_handle.unwrap_or_default(),
        body: told.body.unwrap_or_default(),
        body_md5: told.md5_of_body.unwrap_or_default(),
        receive_count: text(&Name::ApproximateReceiveCount).and_then(|text| text.parse().ok()).unwrap_or(1),
        sent_at: time(&Name::SentTimestamp),
        first_received_at: time(&Name::ApproximateFirstReceiveTimestamp),
        sender: text(&Name::SenderId),
        group: text(&Name::MessageGroupId),
        deduplication: text(&Name::MessageDeduplicationId),
        sequence: text(&Name::SequenceNumber),
        attributes,
    }
}

fn attribute(name: String, told: MessageAttributeValue) -> MessageAttribute {
    let value = match told.binary_value {
        Some(binary) => AttributeValue::Binary(Bytes::from(binary.into_inner())),
        None => AttributeValue::Text(told.string_value.unwrap_or_default()),
    };
    MessageAttribute { name, kind: told.data_type, value }
}
