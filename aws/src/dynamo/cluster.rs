//! Heartbeats, roles and fires: one small item each, written under a condition on itself.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use maelstrom_core::{
    names::{NodeId, Role},
    ports::store::{Entity, Heartbeat, RoleRecord, StoreError, StoreResult},
    time::WallTime,
};

use super::{
    DynamoStore,
    edit::integer,
    item::{EXPIRES, Item, Key, SK, item, number, number_of, text, text_of},
    table::{Condition, Written},
    usage::Call,
};

const HEARTBEAT: &str = "heartbeat";
const ROLE: &str = "role";
const FIRE: &str = "fire";

/// A node that was not stopped in order leaves its heartbeat behind. All that is decided by it is decided
/// within minutes; the rest of the time is for people who look.
const HEARTBEAT_KEPT: Duration = Duration::from_secs(24 * 3600);
/// A role that nobody has wanted for so long begins anew with its terms: no node runs that saw the old ones
/// in it. Keeps the roles of components that are gone from being read each second for ever.
const ROLE_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Requests of one call under way at once.
const AT_ONCE: usize = 8;

// === impl DynamoStore ===

impl DynamoStore {
    pub(super) async fn write_heartbeat(&self, heartbeat: Heartbeat) -> StoreResult<()> {
        let key = Key { pk: HEARTBEAT, sk: heartbeat.node.to_string() };
        let written = item(
            key,
            [
                ("incarnation", text(&heartbeat.incarnation)),
                ("beat", number(heartbeat.beat)),
                ("duration_ms", number(heartbeat.duration.as_millis())),
                ("peer_url", text(&heartbeat.peer_url)),
                ("written_at", number(heartbeat.written_at.as_millis())),
                (EXPIRES, self.expires(HEARTBEAT_KEPT)),
            ],
        );
        let before = heartbeat.beat.saturating_sub(1);
        let condition = Condition::new(
            "attribute_not_exists(#pk) OR #incarnation <> :incarnation OR #beat IN (:before, :beat)",
            [
                (":incarnation", text(&heartbeat.incarnation)),
                (":before", number(before)),
                (":beat", number(heartbeat.beat)),
            ],
        );
        match self.table.put(Call::Beat, written, condition).await? {
            Written::Done => Ok(()),
            Written::Refused(stored) => Err(StoreError::Conflict {
                entity: Entity::Heartbeat,
                name: heartbeat.node.to_string(),
                expected: integer(before),
                current: number_of(&stored, "beat").unwrap_or_default(),
            }),
        }
    }

    pub(super) async fn read_heartbeats(&self) -> StoreResult<Vec<Heartbeat>> {
        self.read(Call::Heartbeats, HEARTBEAT, |item| {
            Some(Heartbeat {
                node: NodeId::new(text_of(item, SK)?),
                incarnation: text_of(item, "incarnation")?.to_owned(),
                beat: number_of(item, "beat")?,
                duration: Duration::from_millis(number_of(item, "duration_ms")?),
                peer_url: text_of(item, "peer_url")?.to_owned(),
                written_at: WallTime::from_millis(number_of(item, "written_at")?),
            })
        })
        .await
    }

    pub(super) async fn delete_heartbeat(&self, node: NodeId, incarnation: String) -> StoreResult<()> {
        let key = Key { pk: HEARTBEAT, sk: node.to_string() };
        let own = Condition::new("#incarnation = :incarnation", [(":incarnation", text(incarnation))]);
        self.table.delete(Call::RemoveHeartbeat, key, own).await?;
        Ok(())
    }

    pub(super) async fn read_roles(&self) -> StoreResult<Vec<RoleRecord>> {
        self.read(Call::Roles, ROLE, role).await
    }

    pub(super) async fn put_role(&self, record: RoleRecord, seen: u64) -> StoreResult<()> {
        let mut written = item(
            Key { pk: ROLE, sk: record.role.to_string() },
            [
                ("incarnation", text(&record.incarnation)),
                ("term", number(record.term)),
                ("version", number(record.version)),
            ],
        );
        let (name, value) = match &record.owner {
            Some(owner) => ("owner", text(owner.as_str())),
            None => (EXPIRES, self.expires(ROLE_KEPT)),
        };
        written.insert(name.to_owned(), value);
        let condition = match seen {
            0 => Condition::absent(),
            _ => Condition::new("#version = :seen", [(":seen", number(seen))]),
        };
        match self.table.put(Call::WriteRole, written, condition).await? {
            Written::Done => Ok(()),
            Written::Refused(stored) if role(&stored).as_ref() == Some(&record) => Ok(()),
            Written::Refused(stored) => Err(StoreError::Conflict {
                entity: Entity::Role,
                name: record.role.to_string(),
                expected: integer(seen),
                current: number_of(&stored, "version").unwrap_or_default(),
            }),
        }
    }

    pub(super) async fn put_fire(&self, rule: String, due: WallTime, claimant: String) -> StoreResult<bool> {
        let written = item(
            Key { pk: FIRE, sk: rule },
            [("due", number(due.as_millis())), ("claimant", text(&claimant))],
        );
        let condition = Condition::new(
            "attribute_not_exists(#pk) OR #due < :due OR (#due = :due AND #claimant = :claimant)",
            [(":due", number(due.as_millis())), (":claimant", text(claimant))],
        );
        Ok(matches!(self.table.put(Call::ClaimFire, written, condition).await?, Written::Done))
    }

    pub(super) async fn read_fires(&self) -> StoreResult<Vec<(String, WallTime)>> {
        self.read(Call::LastFires, FIRE, |item| {
            Some((text_of(item, SK)?.to_owned(), WallTime::from_millis(number_of(item, "due")?)))
        })
        .await
    }

    pub(super) async fn delete_fires(&self, rules: Vec<String>) -> StoreResult<()> {
        let deletes = rules.into_iter().map(|rule| {
            let there = Condition::new("attribute_exists(#pk)", []);
            self.table.delete(Call::ForgetFires, Key { pk: FIRE, sk: rule }, there)
        });
        let _: Vec<Written> = stream::iter(deletes).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(())
    }

    /// All items of a kind. One that was edited by hand beyond recognition is an error: to leave out a role
    /// or a node could mean two owners.
    async fn read<T>(
        &self,
        call: Call,
        pk: &'static str,
        decode: impl Fn(&Item) -> Option<T>,
    ) -> StoreResult<Vec<T>> {
        let items = self.table.query(call, pk).await?;
        let decoded = items.iter().map(|item| {
            decode(item).ok_or_else(|| {
                let sk = text_of(item, SK).unwrap_or_default();
                self.table.place.broken(format_args!(
                    "is damaged: the item pk={pk}, sk={sk} lacks attributes; remove that item"
                ))
            })
        });
        decoded.collect()
    }

    fn expires(&self, after: Duration) -> AttributeValue {
        number(self.clock.wall().as_millis() / 1000 + after.as_secs().cast_signed())
    }
}

fn role(item: &Item) -> Option<RoleRecord> {
    Some(RoleRecord {
        role: Role::new(text_of(item, SK)?),
        owner: text_of(item, "owner").map(NodeId::new),
        incarnation: text_of(item, "incarnation")?.to_owned(),
        term: number_of(item, "term")?,
        version: number_of(item, "version")?,
    })
}
