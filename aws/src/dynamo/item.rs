//! DynamoDB's items: attribute maps in and out. What is not there or of another type reads as `None`.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

pub(super) type Item = HashMap<String, AttributeValue>;

/// Partition and sort key: the same names in every item.
pub(super) const PK: &str = "pk";
pub(super) const SK: &str = "sk";
/// Unix seconds after which DynamoDB removes an item by itself, some time later.
pub(super) const EXPIRES: &str = "expires";

/// Where an item is.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) pk: &'static str,
    pub(super) sk: String,
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// An item of this key with these attributes.
pub(super) fn item<const N: usize>(key: Key, attributes: [(&str, AttributeValue); N]) -> Item {
    let mut item = Item::from([(PK.to_owned(), text(key.pk)), (SK.to_owned(), text(key.sk))]);
    item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
    item
}

pub(super) fn text_of<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(super) fn number_of<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// The texts of a list; others in it are left out.
pub(super) fn texts_of(item: &Item, name: &str) -> Option<Vec<String>> {
    let list = item.get(name)?.as_l().ok()?;
    Some(list.iter().filter_map(|value| value.as_s().ok().cloned()).collect())
}

pub(super) fn texts(list: impl IntoIterator<Item = String>) -> AttributeValue {
    AttributeValue::L(list.into_iter().map(AttributeValue::S).collect())
}
