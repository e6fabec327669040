//! One connection to one server: requests in order, answers by correlation id, many in flight.
//!
//! Invariants:
//! 1. Requests are on the wire in the order of the calls to [`Connection::send`].
//! 2. When the connection breaks, everybody who waits learns of it, and later calls fail at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::JoinHandle;
use alluvium_protocol::client::{decode_response, encode_request, peek_correlation_id};
use alluvium_protocol::frame::FrameLimits;
use alluvium_protocol::messages::{ApiVersionsRequest, KafkaMessage, RequestResponsePair, StrBytes};
use alluvium_protocol::{apis, errors::ErrorCode};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;

use super::ClientError;

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CLIENT_ID: &str = "alluvium";
/// ApiVersions of every server; newer ones refuse its later versions with an answer in this one.
const API_VERSIONS_VERSION: i16 = 0;

type Waiting = HashMap<i32, oneshot::Sender<Bytes>>;

#[derive(Debug, Default)]
struct Shared {
    waiting: Waiting,
    /// Why the connection broke.
    broken: Option<String>,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    shared: Arc<Mutex<Shared>>,
    /// API number to the versions that the server has.
    versions: HashMap<i16, (i16, i16)>,
    correlation_id: AtomicI32,
    reader: JoinHandle<()>,
    runtime: Runtime,
    timeout: Duration,
}

/// An answer that is on its way.
#[derive(Debug)]
pub(crate) struct Pending<Q> {
    answer: oneshot::Receiver<Bytes>,
    version: i16,
    address: String,
    shared: Arc<Mutex<Shared>>,
    runtime: Runtime,
    timeout: Duration,
    request: std::marker::PhantomData<fn() -> Q>,
}

impl Connection {
    /// Connects and asks for the server's versions.
    pub(crate) async fn open(address: &str, timeout: Duration, runtime: &Runtime) -> Result<Connection, ClientError> {
        let failed = |reason: String| ClientError::Connect { address: address.to_owned(), reason };
        let stream = runtime
            .timeout(CONNECT_TIMEOUT.min(timeout), TcpStream::connect(address))
            .await
            .map_err(|_elapsed| failed("no answer".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        // Without it small requests wait for the answers to earlier ones; a socket that refuses is only slower.
        let _slower = stream.set_nodelay(true);
        let (reading, writing) = stream.into_split();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let reader = runtime.spawn("client reader", read_answers(reading, shared.clone()));
        let mut connection = Connection {
            address: address.to_owned(),
            writer: tokio::sync::Mutex::new(writing),
            shared,
            versions: HashMap::from([(apis::ApiName::ApiVersions.code(), (0, 0))]),
            correlation_id: AtomicI32::new(1),
            reader,
            runtime: runtime.clone(),
            timeout,
        };
        let answer = connection.call(&ApiVersionsRequest::default(), API_VERSIONS_VERSION).await?;
        if answer.error_code != ErrorCode::None.code() {
            ClientError::refused(format!("ApiVersions of {address}"), answer.error_code, None)?;
        }
        connection.versions =
            answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        Ok(connection)
    }

    /// Where it leads.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether it broke.
    pub(crate) fn is_broken(&self) -> bool {
        lock(&self.shared).broken.is_some()
    }

    /// Sends a request in the newest version up to `version_max` that both sides have, and waits for the answer.
    pub(crate) async fn call<Q: RequestResponsePair>(
        &self,
        request: &Q,
        version_max: i16,
    ) -> Result<Q::Response, ClientError> {
        self.send(request, version_max).await?.answer().await
    }

    /// Sends a request; the answer can be waited for later.
    pub(crate) async fn send<Q: RequestResponsePair>(
        &self,
        request: &Q,
        version_max: i16,
    ) -> Result<Pending<Q>, ClientError> {
        let version = self.version_of::<Q>(version_max)?;
        let correlation_id = self.correlation_id.fetch_add(1, Ordering::Relaxed);
        let frame = self.encode(correlation_id, version, request)?;
        let (reply, answer) = oneshot::channel();
        {
            let mut shared = lock(&self.shared);
            if let Some(reason) = &shared.broken {
                return Err(ClientError::Broken { address: self.address.clone(), reason: reason.clone() });
            }
            shared.waiting.insert(correlation_id, reply);
        }
        self.write(&frame).await?;
        Ok(Pending {
            answer,
            version,
            address: self.address.clone(),
            shared: self.shared.clone(),
            runtime: self.runtime.clone(),
            timeout: self.timeout,
            request: std::marker::PhantomData,
        })
    }

    /// Sends a request that has no answer (Produce with acks=0).
    pub(crate) async fn send_only<Q: RequestResponsePair>(
        &self,
        request: &Q,
        version_max: i16,
    ) -> Result<(), ClientError> {
        let version = self.version_of::<Q>(version_max)?;
        let correlation_id = self.correlation_id.fetch_add(1, Ordering::Relaxed);
        let frame = self.encode(correlation_id, version, request)?;
        self.write(&frame).await
    }

    fn encode<Q: RequestResponsePair>(
        &self,
        correlation_id: i32,
        version: i16,
        request: &Q,
    ) -> Result<Bytes, ClientError> {
        encode_request(correlation_id, Some(&StrBytes::from(CLIENT_ID)), version, request).map_err(|error| {
            ClientError::Codec { address: self.address.clone(), api: api_name::<Q>(), reason: error.to_string() }
        })
    }

    async fn write(&self, frame: &[u8]) -> Result<(), ClientError> {
        let mut writer = self.writer.lock().await;
        let written = self.runtime.timeout(self.timeout, writer.write_all(frame)).await;
        let reason = match written {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "the server does not read".to_owned(),
        };
        fail(&self.shared, &reason);
        Err(ClientError::Broken { address: self.address.clone(), reason })
    }

    fn version_of<Q: RequestResponsePair>(&self, version_max: i16) -> Result<i16, ClientError> {
        let not_served = || ClientError::NotServed { address: self.address.clone(), api: api_name::<Q>() };
        let (min, max) = self.versions.get(&Q::API_KEY.value()).ok_or_else(not_served)?;
        let ours = <Q as KafkaMessage>::SUPPORTED_VERSIONS;
        let version = version_max.min(*max).min(ours.max().value());
        if version < *min || version < ours.min().value() { Err(not_served()) } else { Ok(version) }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl<Q: RequestResponsePair> Pending<Q> {
    /// Waits for the answer.
    pub(crate) async fn answer(self) -> Result<Q::Response, ClientError> {
        let timeout = self.timeout;
        self.answer_within(timeout).await
    }

    /// Waits for the answer, but not longer than this.
    pub(crate) async fn answer_within(self, wait_max: Duration) -> Result<Q::Response, ClientError> {
        let api = api_name::<Q>();
        let address = self.address;
        let frame = match self.runtime.timeout(wait_max, self.answer).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(_dropped)) => {
                let reason = lock(&self.shared).broken.clone().unwrap_or_else(|| "it was closed".to_owned());
                return Err(ClientError::Broken { address, reason });
            }
            Err(_elapsed) => return Err(ClientError::TimedOut { address, api, waited_ms: wait_max.as_millis() }),
        };
        match decode_response::<Q::Response>(self.version, frame, &FrameLimits::default()) {
            Ok((_correlation_id, answer)) => Ok(answer),
            Err(error) => Err(ClientError::Codec { address, api, reason: error.to_string() }),
        }
    }
}

fn api_name<Q: RequestResponsePair>() -> &'static str {
    apis::name_of(Q::API_KEY.value()).unwrap_or("a request")
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // Nobody panics while holding it; were it so, what it holds would still be whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fail(shared: &Mutex<Shared>, reason: &str) {
    let mut shared = lock(shared);
    shared.broken.get_or_insert_with(|| reason.to_owned());
    shared.waiting.clear();
}

async fn read_answers(mut reading: OwnedReadHalf, shared: Arc<Mutex<Shared>>) {
    let reason = loop {
        match read_frame(&mut reading).await {
            Ok(frame) => {
                let waiting = peek_correlation_id(&frame).and_then(|id| lock(&shared).waiting.remove(&id));
                if let Some(reply) = waiting {
                    // Nobody waits any more when the request has timed out.
                    drop(reply.send(frame));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                break "the server closed it".to_owned();
            }
            Err(error) => break error.to_string(),
        }
    };
    fail(&shared, &reason);
}

async fn read_frame(reading: &mut OwnedReadHalf) -> std::io::Result<Bytes> {
    let length = reading.read_i32().await?;
    let bytes_max = FrameLimits::default().frame_bytes_max;
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= bytes_max)
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "it does not speak Kafka's protocol"))?;
    let mut frame = vec![0; length];
    reading.read_exact(&mut frame).await?;
    Ok(Bytes::from(frame))
}
