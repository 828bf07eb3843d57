//! What calls cost: requests and capacity units as DynamoDB counts them. These are what a cluster is
//! billed for, so a change here is a change of price.

use maelstrom_core::{
    names::{NodeId, Role},
    ports::store::{Heartbeat, RoleRecord, Store, Usage},
    time::WallTime,
};

use super::harness::{Fixture, project, put};

/// What `operation` has cost since `before`: requests, units read, units written.
fn cost(store: &dyn Store, before: &[Usage], operation: &str) -> (u64, f64, f64) {
    let find = |usage: &[Usage]| usage.iter().find(|usage| usage.operation == operation).copied();
    let now = find(&store.usage()).expect("it was called");
    let before = find(before).map_or((0, 0.0, 0.0), |b| (b.requests, b.read_units, b.write_units));
    (now.requests - before.0, now.read_units - before.1, now.write_units - before.2)
}

fn heartbeat(node: usize) -> Heartbeat {
    Heartbeat {
        node: NodeId::new(format!("ip-10-0-12-{node:03}-0123456789")),
        incarnation: "01JZZZZZZZZZZZZZZZZZZZZZZZ".into(),
        beat: 1_000_000,
        duration: std::time::Duration::from_secs(20),
        peer_url: format!("http://10.0.12.{node}:8374"),
        written_at: WallTime::from_millis(1_767_225_600_000),
    }
}

#[tokio::test]
async fn what_a_node_does_each_second_costs_one_unit_each() {
    let fixture = Fixture::new().await;
    let store = fixture.open().await;
    for role in ["placement", "autoscale", "cron"] {
        let owner = Some(NodeId::new("ip-10-0-12-001-0123456789"));
        let incarnation = "01JZZZZZZZZZZZZZZZZZZZZZZZ".to_owned();
        let record = RoleRecord { role: Role::new(role), owner, incarnation, term: 9, version: 9 };
        store.write_role(RoleRecord { version: 1, ..record }, 0).await.unwrap();
    }
    assert_eq!(cost(&store, &[], "write_role"), (3, 0.0, 3.0));
    store.revision().await.unwrap();
    assert_eq!(cost(&store, &[], "revision"), (1, 1.0, 0.0));
    store.roles().await.unwrap();
    assert_eq!(cost(&store, &[], "roles"), (1, 1.0, 0.0));
    store.beat(heartbeat(1)).await.unwrap();
    assert_eq!(cost(&store, &[], "beat"), (1, 0.0, 1.0));
    store.heartbeats().await.unwrap();
    assert_eq!(cost(&store, &[], "heartbeats"), (1, 1.0, 0.0));
    for node in 2..=35 {
        store.beat(heartbeat(node)).await.unwrap();
    }
    let before = store.usage();
    store.heartbeats().await.unwrap();
    assert_eq!(cost(&store, &before, "heartbeats"), (1, 2.0, 0.0), "of 35 nodes");
    store.claim_fire("r".into(), WallTime::from_millis(1), "n".into()).await.unwrap();
    assert_eq!(cost(&store, &[], "claim_fire"), (1, 0.0, 1.0));
}

#[tokio::test]
async fn a_change_of_one_component_costs_its_page() {
    let fixture = Fixture::new().await;
    let (store, other) = (fixture.open().await, fixture.open().await);
    store.commit(project(10, 0, 1_000)).await.unwrap();
    store.commit(vec![put("c001", 1, 1_000)]).await.unwrap();
    other.configuration().await.unwrap();
    let before = store.usage();
    store.commit(vec![put("c003", 1, 1_000)]).await.unwrap();
    let (requests, read, written) = cost(&store, &before, "commit");
    assert_eq!((requests, read), (4, 1.0), "root, page, root, and the page of the commit before is removed");
    assert!((20.0..40.0).contains(&written), "two pages of 12 KB and the root: {written}");
    let before = store.usage();
    store.configuration().await.unwrap();
    assert_eq!(cost(&store, &before, "configuration"), (1, 1.0, 0.0), "it knows the pages");
    let before = other.usage();
    other.configuration().await.unwrap();
    let (requests, read, _) = cost(&other, &before, "configuration");
    assert_eq!(requests, 2, "the root and the page that changed");
    assert!(read <= 5.0, "{read}");
}

#[tokio::test]
async fn a_large_project_costs_its_size() {
    let fixture = Fixture::new().await;
    let store = fixture.open().await;
    store.commit(project(300, 0, 2_000)).await.unwrap();
    let (requests, _, written) = cost(&store, &[], "commit");
    assert!(requests < 20 && written < 900.0, "{requests} requests, {written} units");
    let before = store.usage();
    store.revision().await.unwrap();
    assert_eq!(cost(&store, &before, "revision"), (1, 1.0, 0.0), "the root stays small");
    let fresh = fixture.open().await;
    fresh.configuration().await.unwrap();
    let (requests, read, _) = cost(&fresh, &[], "configuration");
    assert!(requests <= 3 && read < 200.0, "a start: {requests} requests, {read} units");
}
