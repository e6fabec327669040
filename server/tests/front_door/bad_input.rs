//! What the door does with those who do not speak Kafka, or speak it wrongly.

use alluvium_infra::Runtime;
use alluvium_protocol::apis::SERVED;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, StrBytes};
use bytes::{BufMut, BytesMut};
use tokio::io::AsyncWriteExt;

use crate::harness::Node;

fn header(api_key: i16, version: i16) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_i32(10);
    frame.put_i16(api_key);
    frame.put_i16(version);
    frame.put_i32(1);
    frame.put_i16(-1);
    frame
}

async fn is_closed_after(node: &Node, bytes: &[u8]) -> bool {
    let mut client = node.client().await;
    client.stream.write_all(bytes).await.unwrap();
    client.is_closed().await
}

#[tokio::test]
async fn garbage_closes_the_connection_and_the_node_lives_on() {
    let node = Node::start().await;
    assert!(is_closed_after(&node, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await);
    assert!(is_closed_after(&node, &[0x16, 0x03, 0x01, 0x02, 0, 1, 0, 1, 0xfc, 3, 3]).await);
    assert!(is_closed_after(&node, &[0xff; 64]).await);
    assert!(is_closed_after(&node, &i32::MAX.to_be_bytes()).await);
    assert!(is_closed_after(&node, &[0, 0, 0, 4, 0, 3, 0, 0]).await);
    let mut client = node.client().await;
    assert_eq!(client.ask(13, &MetadataRequest::default()).await.error_code, 0);
}

#[tokio::test]
async fn a_frame_above_the_limit_is_refused_before_it_is_read() {
    let node = Node::start_with(|settings| settings.request_bytes_max = 4096).await;
    let mut frame = BytesMut::new();
    frame.put_i32(4097);
    frame.put_slice(&[0; 16]);
    assert!(is_closed_after(&node, &frame).await);
}

#[tokio::test]
async fn unknown_apis_and_versions_close_the_connection() {
    let node = Node::start().await;
    assert!(is_closed_after(&node, &header(999, 0)).await, "no such API");
    assert!(is_closed_after(&node, &header(4, 0)).await, "an API between brokers");
    assert!(is_closed_after(&node, &header(1, 99)).await, "no such version");
    assert!(is_closed_after(&node, &header(1, 3)).await, "a version that Kafka 4 dropped");
}

#[tokio::test]
async fn a_broken_body_closes_the_connection() {
    let node = Node::start().await;
    let mut frame = BytesMut::new();
    // CreateTopics version 2 with an array that claims two thousand million topics.
    frame.put_i32(14);
    frame.put_slice(&header(19, 2)[4..]);
    frame.put_i32(2_000_000_000);
    assert!(is_closed_after(&node, &frame).await);
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.stream.write_all(&header(18, 99)).await.unwrap();
    let (_, response) = client.receive::<ApiVersionsRequest>(0).await.unwrap();
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
    assert!(response.api_keys.iter().any(|api| api.api_key == 18 && api.max_version == 4));
    // The connection goes on.
    let request = message!(ApiVersionsRequest {
        client_software_name: StrBytes::from("test"),
        client_software_version: StrBytes::from("1.0")
    });
    let response: ApiVersionsResponse = client.ask(4, &request).await;
    assert_eq!(response.error_code, 0);
    assert!(response.api_keys.iter().any(|api| api.api_key == 0 && (api.min_version, api.max_version) == (0, 13)));
}

#[tokio::test]
async fn a_client_without_a_proper_name_is_told_so() {
    let node = Node::start().await;
    let mut client = node.client().await;
    let request = message!(ApiVersionsRequest {
        client_software_name: StrBytes::from("bad name!"),
        client_software_version: StrBytes::from("1")
    });
    assert_eq!(client.ask(3, &request).await.error_code, ErrorCode::InvalidRequest.code());
}

#[tokio::test]
async fn connections_above_the_limit_are_closed() {
    let node = Node::start_with(|settings| settings.connections_max = 1).await;
    let mut first = node.client().await;
    assert_eq!(first.ask(13, &MetadataRequest::default()).await.error_code, 0);
    let mut second = node.client().await;
    assert!(second.is_closed().await);
    assert_eq!(first.ask(13, &MetadataRequest::default()).await.error_code, 0);
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let node = Node::start_with(|settings| settings.idle_ms_max = 50).await;
    assert!(node.client().await.is_closed().await);
}

/// Random bodies for every version of every API: each is answered or closes its connection, and nothing panics.
#[tokio::test]
async fn random_bodies_never_panic() {
    static PANICS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|location| !location.file().contains("tests/front_door")) {
            PANICS.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        default_hook(panic);
    }));
    let node = Node::start().await;
    let random = Runtime::seeded(7);
    for api in SERVED {
        for version in api.advertised_min..=api.version_max {
            for _ in 0..4 {
                let mut frame = header(api.code, version);
                for _ in 0..random.random_below(80) {
                    // Small numbers are likelier to pass for lengths and counts.
                    let byte = random.random_below(if random.random_below(2) == 0 { 3 } else { 256 });
                    frame.put_u8(byte as u8);
                }
                let length = u32::try_from(frame.len() - 4).unwrap();
                frame[..4].copy_from_slice(&length.to_be_bytes());
                let mut client = node.client().await;
                client.stream.write_all(&frame).await.unwrap();
                let answered = tokio::time::timeout(std::time::Duration::from_millis(100), client.receive_frame());
                let _closed_answered_or_waiting = answered.await;
            }
        }
    }
    let mut client = node.client().await;
    assert_eq!(client.ask(13, &MetadataRequest::default()).await.error_code, 0);
    assert_eq!(PANICS.load(std::sync::atomic::Ordering::SeqCst), 0);
}
