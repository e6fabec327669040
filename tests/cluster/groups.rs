//! Scenario 9: groups of the new protocol (KIP-848), and members that break the rules of the old one.

use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use alluvium_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use alluvium_protocol::messages::{JoinGroupRequest, JoinGroupResponse, StrBytes, SyncGroupRequest, SyncGroupResponse};
use alluvium_tests::wire::Wire;
use bytes::Bytes;

use crate::asking;
use crate::load::{Load, Roles};
use crate::nodes::{Cluster, Plan};
use crate::waiting::eventually;
use crate::workers::{consume, produce};

const PROGRESS_MAX: Duration = Duration::from_secs(60);

fn roles_of_both_protocols() -> Roles {
    let java = vec![
        produce("java-producer", 60, ""),
        consume("java-1", "java-consumer", "protocol=consumer"),
        consume("java-2", "java-consumer", "protocol=consumer,instance=java-static"),
        consume("java-3", "java-classic", "protocol=classic"),
        consume("java-4", "java-classic", "protocol=classic"),
        // A group whose members speak both: it is moved from one protocol to the other while it runs.
        consume("java-5", "java-mixed", "protocol=classic,assignor=cooperative"),
        consume("java-6", "java-mixed", "protocol=consumer"),
    ];
    let python = vec![
        produce("librdkafka-producer", 60, ""),
        consume("librdkafka-1", "librdkafka-consumer", "protocol=consumer"),
        consume("librdkafka-2", "librdkafka-consumer", "protocol=consumer"),
    ];
    vec![("java", java), ("python", python)]
}

/// 9: groups of both protocols, and one of both, while each node is killed once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s09_both_protocols() {
    let runtime = Runtime::system();
    let Some(mut cluster) = Cluster::start("s09", &Plan::default(), &runtime).await else { return };
    let Some(mut load) = Load::start(&cluster, "protocols", roles_of_both_protocols()).await else { return };
    for index in 0..3 {
        let killed = load.event(format!("kill -9 of node {}", cluster.nodes[index].id));
        cluster.nodes[index].kill();
        let _took = load.progress(killed, PROGRESS_MAX).await;
        cluster.nodes[index].start();
        cluster.complete().await;
        let whole = runtime.monotonic();
        let _took = load.progress(whole, PROGRESS_MAX).await;
    }
    let (checked, stalls) = load.finish(&cluster).await;
    println!("ok s09: {checked}\n{}", stalls.table());
    cluster.stop().await;
}

const GROUP: &str = "unruly";
/// How long a member that owes an answer is waited for.
const REBALANCE_MS: i32 = 6_000;

fn join(member_id: &str) -> JoinGroupRequest {
    let protocol =
        message!(JoinGroupRequestProtocol { name: StrBytes::from("range"), metadata: Bytes::from_static(b"x") });
    message!(JoinGroupRequest {
        group_id: StrBytes::from(GROUP),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: REBALANCE_MS,
        member_id: StrBytes::from(member_id),
        protocol_type: StrBytes::from("consumer"),
        protocols: vec![protocol],
    })
}

/// A new member: the first answer gives it its id.
async fn new_member(wire: &mut Wire) -> String {
    let answer = wire.call(&join(""), 7).await.expect("the coordinator answers");
    assert_eq!(ErrorCode::from_code(answer.error_code), Some(ErrorCode::MemberIdRequired));
    answer.member_id.to_string()
}

async fn joined(wire: &mut Wire, member_id: &str) -> JoinGroupResponse {
    wire.call(&join(member_id), 7).await.expect("the coordinator answers")
}

/// Syncs; a leader hands out `assignment` to itself.
async fn sync(wire: &mut Wire, generation_id: i32, member_id: &str, leads: bool) -> SyncGroupResponse {
    let own = message!(SyncGroupRequestAssignment {
        member_id: StrBytes::from(member_id),
        assignment: Bytes::from_static(b"mine"),
    });
    let request = message!(SyncGroupRequest {
        group_id: StrBytes::from(GROUP),
        generation_id,
        member_id: StrBytes::from(member_id),
        protocol_type: Some(StrBytes::from("consumer")),
        protocol_name: Some(StrBytes::from("range")),
        assignments: if leads { vec![own] } else { Vec::new() },
    });
    wire.call(&request, 5).await.expect("the coordinator answers")
}

/// 6d, 6e: a member that joins and never syncs holds nobody up for longer than its rebalance timeout; what an old generation
/// commits is refused, by the old coordinator and by the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s06d_members_that_break_the_rules() {
    let runtime = Runtime::system();
    let Some(mut cluster) = Cluster::start("s06d", &Plan::default(), &runtime).await else { return };
    let topic = "unruly";
    asking::create_topic(&cluster.nodes[0].address, topic, 1, &runtime).await;
    let id = asking::coordinator(&cluster.nodes[0].address, GROUP, &runtime).await.expect("a coordinator is named");
    let index = cluster.index_of(id);
    let address = cluster.nodes[index].address.clone();

    // The silent one joins first and so leads; it is told the generation and says nothing more.
    let mut silent = Wire::open(&address, &runtime).await.unwrap();
    let silent_id = new_member(&mut silent).await;
    let first = joined(&mut silent, &silent_id).await;
    assert_eq!(first.error_code, 0);
    assert_eq!(first.leader.to_string(), silent_id);

    let mut good = Wire::open(&address, &runtime).await.unwrap();
    let good_id = new_member(&mut good).await;
    let begun = runtime.monotonic();
    let mut generation = joined(&mut good, &good_id).await;
    let assignment = loop {
        assert_eq!(generation.error_code, 0, "the good member joins");
        let leads = generation.leader.to_string() == good_id;
        let answer = sync(&mut good, generation.generation_id, &good_id, leads).await;
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => break answer.assignment,
            Some(ErrorCode::RebalanceInProgress) => generation = joined(&mut good, &good_id).await,
            other => panic!("the good member's sync is answered with {other:?}"),
        }
    };
    let waited = runtime.monotonic() - begun;
    assert_eq!(assignment, Bytes::from_static(b"mine"));
    let longest = Duration::from_millis(3 * REBALANCE_MS as u64);
    assert!(waited < longest, "the good member waited {waited:?} for the silent one");
    assert!(generation.generation_id > first.generation_id);

    let now = (GROUP, generation.generation_id, good_id.as_str());
    let old = (GROUP, first.generation_id, good_id.as_str());
    let gone = (GROUP, first.generation_id, silent_id.as_str());
    assert_eq!(asking::commit(&mut good, now, topic, 0, 7).await.unwrap(), 0);
    refused(&mut good, old, topic, ErrorCode::IllegalGeneration).await;
    refused(&mut silent, gone, topic, ErrorCode::UnknownMemberId).await;

    // The same under the next coordinator.
    cluster.nodes[index].kill();
    let survivor = cluster.nodes[(index + 1) % 3].address.clone();
    let mut heir = None;
    let _took = eventually(&runtime, Duration::from_secs(15), "another node coordinates", async || {
        heir = asking::coordinator(&survivor, GROUP, &runtime).await.ok().filter(|heir| *heir != id);
        heir.is_some()
    })
    .await;
    let heir = cluster.index_of(heir.unwrap());
    let mut wire = Wire::open(&cluster.nodes[heir].address, &runtime).await.unwrap();
    let _took = eventually(&runtime, Duration::from_secs(10), "the heir knows the generation", async || {
        asking::commit(&mut wire, now, topic, 0, 8).await.unwrap() == 0
    })
    .await;
    refused(&mut wire, old, topic, ErrorCode::IllegalGeneration).await;
    refused(&mut wire, gone, topic, ErrorCode::UnknownMemberId).await;
    let told = asking::committed(&mut wire, GROUP, topic, 1).await.unwrap();
    assert_eq!(told.map(|offsets| offsets[&0]), Ok(8), "what is committed in the end");
    println!("ok s06d: the good member waited {waited:.1?} for the silent one");
    cluster.stop().await;
}

async fn refused(wire: &mut Wire, member: (&str, i32, &str), topic: &str, expected: ErrorCode) {
    let code = asking::commit(wire, member, topic, 0, 3).await.expect("the coordinator answers");
    assert_eq!(ErrorCode::from_code(code), Some(expected), "a commit of {member:?}");
}
