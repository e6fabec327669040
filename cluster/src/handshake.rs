//! The first frame in each direction: who speaks, for which cluster, in which version of the protocol.
//!
//! Invariant: no other frame is read from a peer, and none of its frames is acted upon, before it said that it belongs to this
//! cluster and speaks a version that both understand. Until then it gets little memory and little time.

use alluvium_infra::limits;
use alluvium_infra::store::Payload;
use alluvium_log::format::node::NodeRecord;
use alluvium_record::NodeId;
use uuid::Uuid;

use crate::frame::{self, uuid, uuid_bytes};
use crate::messages::{FrameKind, HelloMessage, PROTOCOL_OLDEST, PROTOCOL_VERSION, WelcomeMessage};
use crate::node::Node;
use crate::transport::{ConnectError, Connection, FrameReader};

/// Who is on the other side.
#[derive(Debug, Clone)]
pub(crate) struct Greeting {
    pub(crate) id: NodeId,
    pub(crate) incarnation: Uuid,
    pub(crate) record: NodeRecord,
    /// It only asks who is here.
    pub(crate) question: bool,
    /// It leaves the cluster.
    pub(crate) leaving: bool,
}

/// Why there is no link with a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    /// Nobody listens there, or somebody else does.
    #[error("its address refuses connections")]
    Refused,
    /// Another node answers at its address.
    #[error("node {0} answers at its address")]
    OtherNode(NodeId),
    /// No answer.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// One of the two does not want it.
    #[error("{0}")]
    Unwanted(String),
    /// It is leaving.
    #[error("it leaves the cluster")]
    Leaving,
}

impl LinkError {
    /// Whether it shows that the node is not at its address.
    pub(crate) fn shows_absence(&self) -> bool {
        matches!(self, LinkError::Refused | LinkError::OtherNode(_))
    }
}

impl From<ConnectError> for LinkError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused => LinkError::Refused,
            ConnectError::Unreachable(reason) => LinkError::Unreachable(reason),
        }
    }
}

/// What this node says first.
pub(crate) fn hello(node: &Node, question: bool) -> HelloMessage {
    HelloMessage {
        version: PROTOCOL_VERSION,
        oldest: PROTOCOL_OLDEST,
        cluster_id: node.log.cluster_id().to_owned(),
        node_id: node.id().0,
        incarnation: uuid_bytes(node.incarnation),
        record: node.record().encode().into_bytes(),
        question,
    }
}

/// Connects to `address` and greets, within the time allowed.
pub(crate) async fn connect(node: &Node, address: &str, question: bool) -> Result<(Connection, Greeting), LinkError> {
    let greeted = node.runtime.timeout(node.settings.connect_timeout, greet(node, address, question));
    greeted.await.unwrap_or_else(|_elapsed| Err(LinkError::Unreachable("no answer in time".to_owned())))
}

async fn greet(node: &Node, address: &str, question: bool) -> Result<(Connection, Greeting), LinkError> {
    let failed = |error: std::io::Error| LinkError::Unreachable(error.to_string());
    let mut connection = node.transport.connect(address).await?;
    connection.writer.write(frame::notice(FrameKind::Hello(hello(node, question)))).await.map_err(failed)?;
    match first_frame(connection.reader.as_mut()).await.map_err(LinkError::Unreachable)? {
        FrameKind::Welcome(WelcomeMessage { hello: Some(hello), refusal, leaving }) => {
            if !refusal.is_empty() {
                return Err(LinkError::Unwanted(refusal));
            }
            let greeting = check(node, &hello).map_err(LinkError::Unwanted)?;
            Ok((connection, Greeting { leaving, ..greeting }))
        }
        _ => Err(LinkError::Unwanted("what answers there is no node of a cluster".to_owned())),
    }
}

/// Who is at `address`, if anybody of this cluster is.
pub(crate) async fn ask(node: &Node, address: &str) -> Result<Greeting, LinkError> {
    connect(node, address, true).await.map(|(_connection, greeting)| greeting)
}

/// Reads the first frame of whoever connected.
pub(crate) async fn read_hello(reader: &mut dyn FrameReader) -> Result<HelloMessage, String> {
    match first_frame(reader).await? {
        FrameKind::Hello(hello) => Ok(hello),
        _ => Err("the first frame is no greeting".to_owned()),
    }
}

async fn first_frame(reader: &mut dyn FrameReader) -> Result<FrameKind, String> {
    let bytes = reader.read(limits::PEER_HELLO_BYTES_MAX).await.map_err(|error| error.to_string())?;
    let frame = frame::decode(bytes.ok_or("the connection was closed")?).map_err(|error| error.to_string())?;
    frame.kind.ok_or_else(|| "the first frame is of an unknown kind".to_owned())
}

/// Whether a peer may be talked with.
///
/// # Errors
/// Why not, in words for both sides.
pub(crate) fn check(node: &Node, hello: &HelloMessage) -> Result<Greeting, String> {
    if hello.cluster_id != node.log.cluster_id() {
        return Err(format!("one belongs to cluster {}, the other to {}", hello.cluster_id, node.log.cluster_id()));
    }
    if hello.oldest > PROTOCOL_VERSION || hello.version < PROTOCOL_OLDEST {
        return Err(format!(
            "one speaks versions {} to {} of the protocol between nodes, the other {PROTOCOL_OLDEST} to {PROTOCOL_VERSION}",
            hello.oldest, hello.version
        ));
    }
    let incarnation = uuid(&hello.incarnation).ok_or("an incarnation is 16 bytes")?;
    let record = NodeRecord::decode(&hello.record).map_err(|error| error.to_string())?;
    if record.node_id != hello.node_id || record.incarnation != incarnation {
        return Err("the record is of another node".to_owned());
    }
    Ok(Greeting { id: NodeId(hello.node_id), incarnation, record, question: hello.question, leaving: false })
}

/// The answer to a greeting: with an empty `refusal` there is a link.
pub(crate) fn welcome(node: &Node, refusal: &str) -> Payload {
    let message =
        WelcomeMessage { hello: Some(hello(node, false)), refusal: refusal.to_owned(), leaving: node.is_leaving() };
    frame::notice(FrameKind::Welcome(message))
}
