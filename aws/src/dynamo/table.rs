//! One table: the few kinds of requests that the store is made of, each counted, its failures told.

use std::{collections::HashMap, error::Error};

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{delete_item::DeleteItemError, put_item::PutItemError},
    types::{
        AttributeValue, ConsumedCapacity, ReturnConsumedCapacity::Total,
        ReturnValuesOnConditionCheckFailure::AllOld, error::ConditionalCheckFailedException,
    },
};
use maelstrom_core::ports::store::StoreResult;

use super::{
    failure::Place,
    item::{Item, Key, PK, SK, text},
    usage::{Call, Counts, Way},
};

#[derive(Debug)]
pub(super) struct Table {
    pub(super) client: Client,
    pub(super) place: Place,
    pub(super) counts: Counts,
}

/// What must hold of the item that is there. Attributes in the expression begin with `#`, values with `:`.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    expression: &'static str,
    values: Vec<(&'static str, AttributeValue)>,
}

/// How a conditional write ended.
#[derive(Clone, Debug)]
pub(super) enum Written {
    Done,
    /// The condition did not hold of this; empty if nothing is there.
    Refused(Item),
}

// === impl Condition ===

impl Condition {
    pub(super) fn new<const N: usize>(
        expression: &'static str,
        values: [(&'static str, AttributeValue); N],
    ) -> Self {
        Self { expression, values: values.into() }
    }

    /// Nothing may be there.
    pub(super) fn absent() -> Self {
        Self::new("attribute_not_exists(#pk)", [])
    }

    /// `#name` stands for the attribute `name`: some names are words of DynamoDB's own.
    fn names(&self) -> HashMap<String, String> {
        let words = self.expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '#'));
        words.filter_map(|word| Some((word.to_owned(), word.strip_prefix('#')?.to_owned()))).collect()
    }

    /// `None` where there are none: DynamoDB refuses an empty map.
    fn values(self) -> Option<HashMap<String, AttributeValue>> {
        let values: HashMap<_, _> =
            self.values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Some(values).filter(|values| !values.is_empty())
    }
}

// === impl Table ===

impl Table {
    /// Strongly consistent: sees every write that was answered before.
    pub(super) async fn get(&self, call: Call, key: Key) -> StoreResult<Option<Item>> {
        self.counts.request(call);
        let request = self
            .client
            .get_item()
            .table_name(&self.place.table)
            .key(PK, text(key.pk))
            .key(SK, text(key.sk))
            .consistent_read(true)
            .return_consumed_capacity(Total);
        let answer = Box::pin(request.send()).await.map_err(|error| self.place.tell("GetItem", &error))?;
        self.counts.capacity(call, Way::Read, answer.consumed_capacity());
        Ok(answer.item)
    }

    /// All items of a partition, sorted by sort key; strongly consistent, but not as of one moment.
    pub(super) async fn query(&self, call: Call, pk: &'static str) -> StoreResult<Vec<Item>> {
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            self.counts.request(call);
            let request = self
                .client
                .query()
                .table_name(&self.place.table)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(pk))
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .return_consumed_capacity(Total);
            let answer = Box::pin(request.send()).await.map_err(|error| self.place.tell("Query", &error))?;
            self.counts.capacity(call, Way::Read, answer.consumed_capacity());
            items.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// Writes a whole item where `condition` holds of the one that is there.
    pub(super) async fn put(&self, call: Call, item: Item, condition: Condition) -> StoreResult<Written> {
        self.counts.request(call);
        let request = self
            .client
            .put_item()
            .table_name(&self.place.table)
            .set_item(Some(item))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(Some(condition.names()))
            .set_expression_attribute_values(condition.values())
            .return_values_on_condition_check_failure(AllOld)
            .return_consumed_capacity(Total);
        let answer = Box::pin(request.send()).await.map(|answer| answer.consumed_capacity);
        self.written(call, "PutItem", answer, |error| match error {
            PutItemError::ConditionalCheckFailedException(refused) => Some(refused),
            _ => None,
        })
    }

    pub(super) async fn delete(&self, call: Call, key: Key, condition: Condition) -> StoreResult<Written> {
        self.counts.request(call);
        let request = self
            .client
            .delete_item()
            .table_name(&self.place.table)
            .key(PK, text(key.pk))
            .key(SK, text(key.sk))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(Some(condition.names()))
            .set_expression_attribute_values(condition.values())
            .return_values_on_condition_check_failure(AllOld)
            .return_consumed_capacity(Total);
        let answer = Box::pin(request.send()).await.map(|answer| answer.consumed_capacity);
        self.written(call, "DeleteItem", answer, |error| match error {
            DeleteItemError::ConditionalCheckFailedException(refused) => Some(refused),
            _ => None,
        })
    }

    /// Counts the answer to a write; a condition that did not hold is one of its outcomes.
    fn written<E: ProvideErrorMetadata + Error + 'static>(
        &self,
        call: Call,
        action: &'static str,
        answer: Result<Option<ConsumedCapacity>, SdkError<E, HttpResponse>>,
        refused: impl FnOnce(&E) -> Option<&ConditionalCheckFailedException>,
    ) -> StoreResult<Written> {
        let error = match answer {
            Ok(consumed) => {
                self.counts.capacity(call, Way::Write, consumed.as_ref());
                return Ok(Written::Done);
            }
            Err(error) => error,
        };
        match error.as_service_error().and_then(refused) {
            Some(refused) => {
                // Refusals are paid for, too, and come without a count: what is refused here is small.
                let one = ConsumedCapacity::builder().capacity_units(1.0).build();
                self.counts.capacity(call, Way::Write, Some(&one));
                Ok(Written::Refused(refused.item().cloned().unwrap_or_default()))
            }
            None => Err(self.place.tell(action, &error)),
        }
    }
}
