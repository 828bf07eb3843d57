//! The table itself: how it is made, and how one that somebody else made is checked.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client, config,
    error::ProvideErrorMetadata as _,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification,
        ScalarAttributeType, TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
    },
};
use maelstrom_core::ports::store::{StoreError, StoreResult};

use super::{
    failure::{Endpoint, Place},
    item::{EXPIRES, PK, SK},
    table::Table,
    usage::{Call, Counts},
};
use crate::Account;

/// A new table is there after some seconds.
const CREATION_LIMIT: Duration = Duration::from_secs(120);
const CREATION_POLL: Duration = Duration::from_millis(500);

/// Makes the table if it isn't there, waits until it can be used, and turns on what it should have: items
/// that expire, and point-in-time recovery. Can be run again at any time. Tells what it found and did, a
/// line each.
pub async fn create_table(account: &Account, table: &str) -> StoreResult<Vec<String>> {
    let endpoint = Endpoint::default();
    let config = config::Builder::from(account.config()).interceptor(endpoint.clone()).build();
    let place = Place { table: table.to_owned(), region: account.region().to_owned(), endpoint };
    let table = Table { client: Client::from_conf(config), place, counts: Counts::default() };
    let mut told = vec![create(&table).await?];
    wait_until_active(&table).await?;
    told.push(expiring_items(&table).await?);
    told.push(recovery(&table).await);
    Ok(told)
}

/// That it can be used as a store.
pub(super) async fn check(table: &Table) -> StoreResult<()> {
    let found = describe(table).await?;
    match found.table_status() {
        Some(TableStatus::Active | TableStatus::Updating) => {}
        Some(status) => {
            return Err(table.place.unavailable(format_args!("can't be used yet: it is {status}")));
        }
        None => return Err(table.place.unavailable("has no status")),
    }
    check_keys(&table.place, &found)
}

fn check_keys(place: &Place, found: &TableDescription) -> StoreResult<()> {
    let keys = found.key_schema().iter().map(|key| {
        let text = found.attribute_definitions().iter().any(|attribute| {
            attribute.attribute_name() == key.attribute_name()
                && *attribute.attribute_type() == ScalarAttributeType::S
        });
        (key.attribute_name(), key.key_type().clone(), text)
    });
    if keys.eq([(PK, KeyType::Hash, true), (SK, KeyType::Range, true)]) {
        return Ok(());
    }
    Err(place.broken(format_args!(
        "is not a store of Maelstrom: its keys have to be '{PK}' (partition) and '{SK}' (sort), both texts; \
         name another table"
    )))
}

async fn describe(table: &Table) -> StoreResult<TableDescription> {
    table.counts.request(Call::Open);
    let request = table.client.describe_table().table_name(&table.place.table);
    let answer = Box::pin(request.send()).await.map_err(|error| table.place.tell("DescribeTable", &error))?;
    answer.table.ok_or_else(|| table.place.unavailable("is not described by AWS"))
}

async fn create(table: &Table) -> StoreResult<String> {
    let attribute = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
    };
    let key =
        |name: &str, kind: KeyType| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let incomplete = |error| table.place.broken(format_args!("can't be asked for: {error}"));
    let request = table
        .client
        .create_table()
        .table_name(&table.place.table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute(PK).map_err(incomplete)?)
        .attribute_definitions(attribute(SK).map_err(incomplete)?)
        .key_schema(key(PK, KeyType::Hash).map_err(incomplete)?)
        .key_schema(key(SK, KeyType::Range).map_err(incomplete)?);
    let name = table.place.name();
    match Box::pin(request.send()).await {
        Ok(_) => Ok(format!("{name} is made, paid by use")),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
            Ok(format!("{name} is there"))
        }
        Err(error) => Err(table.place.tell("CreateTable", &error)),
    }
}

async fn wait_until_active(table: &Table) -> StoreResult<()> {
    let active = async {
        loop {
            match check(table).await {
                // Right after its making some of AWS's machines don't know it yet.
                Err(StoreError::Unavailable { .. }) => tokio::time::sleep(CREATION_POLL).await,
                done => return done,
            }
        }
    };
    tokio::time::timeout(CREATION_LIMIT, active).await.unwrap_or_else(|_| {
        Err(table.place.unavailable(format_args!(
            "can't be used yet after {} s; run this again",
            CREATION_LIMIT.as_secs()
        )))
    })
}

async fn expiring_items(table: &Table) -> StoreResult<String> {
    let done = format!("items expire by their attribute '{EXPIRES}'");
    let request = table.client.describe_time_to_live().table_name(&table.place.table);
    let found =
        Box::pin(request.send()).await.map_err(|error| table.place.tell("DescribeTimeToLive", &error))?;
    if let Some(found) = found.time_to_live_description() {
        let on = matches!(
            found.time_to_live_status(),
            Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
        );
        match found.attribute_name() {
            Some(EXPIRES) if on => return Ok(done),
            Some(other) if on => {
                return Err(table.place.broken(format_args!(
                    "lets items expire by the attribute '{other}', not '{EXPIRES}'; name another table, or \
                     change that in AWS"
                )));
            }
            _ => {}
        }
    }
    let wanted = TimeToLiveSpecification::builder().attribute_name(EXPIRES).enabled(true).build();
    let wanted = wanted.map_err(|error| table.place.broken(error))?;
    let request =
        table.client.update_time_to_live().table_name(&table.place.table).time_to_live_specification(wanted);
    Box::pin(request.send()).await.map_err(|error| table.place.tell("UpdateTimeToLive", &error))?;
    Ok(done)
}

/// For the day when somebody deletes the wrong thing. Not every kind of DynamoDB has it; a store works
/// without.
async fn recovery(table: &Table) -> String {
    let wanted = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(error) => return error.to_string(),
    };
    let request = table
        .client
        .update_continuous_backups()
        .table_name(&table.place.table)
        .point_in_time_recovery_specification(wanted);
    match Box::pin(request.send()).await {
        Ok(_) => "point-in-time recovery is on".to_owned(),
        Err(error) => {
            let why = match error.message() {
                Some(message) => message.to_owned(),
                None => table.place.tell("UpdateContinuousBackups", &error).to_string(),
            };
            format!("point-in-time recovery could not be turned on ({why}); the store works without")
        }
    }
}
