//! The client's side of one connection: requests out, answers in, in the same order.

use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_protocol::client::{decode_response, encode_request};
use alluvium_protocol::frame::FrameLimits;
use alluvium_protocol::messages::{KafkaRequest, KafkaResponse, RequestResponsePair, StrBytes};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};

/// Longer than any answer takes; a server that was killed ends the connection at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that broke, or never was.
#[derive(Debug)]
pub struct Broken;

/// One connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    runtime: Runtime,
    correlation_id: i32,
    patience: Option<Duration>,
}

impl Wire {
    /// Connects.
    pub async fn open(address: impl ToSocketAddrs, runtime: &Runtime) -> Result<Wire, Broken> {
        let stream = TcpStream::connect(address).await.map_err(|_| Broken)?;
        stream.set_nodelay(true).map_err(|_| Broken)?;
        Ok(Wire { stream, runtime: runtime.clone(), correlation_id: 0, patience: None })
    }

    /// Connects to a server that may be silent: connecting, and later each answer, takes at most `patience`.
    pub async fn open_within(
        patience: Duration,
        address: impl ToSocketAddrs,
        runtime: &Runtime,
    ) -> Result<Wire, Broken> {
        let opened = runtime.timeout(patience, Wire::open(address, runtime)).await.map_err(|_| Broken)??;
        Ok(Wire { patience: Some(patience), ..opened })
    }

    /// Opens a connection as soon as somebody listens.
    pub async fn reopen(address: impl ToSocketAddrs + Copy, runtime: &Runtime) -> Wire {
        loop {
            if let Ok(wire) = Wire::open(address, runtime).await {
                return wire;
            }
            runtime.sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends a request.
    ///
    /// # Panics
    /// When the version cannot carry the request.
    pub async fn send<Q: KafkaRequest>(&mut self, request: &Q, version: i16) -> Result<(), Broken> {
        self.correlation_id += 1;
        let client = StrBytes::from("alluvium-tests");
        let frame = encode_request(self.correlation_id, Some(&client), version, request).expect("the request is valid");
        self.stream.write_all(&frame).await.map_err(|_| Broken)
    }

    /// The next answer, which must be of this kind.
    ///
    /// # Panics
    /// When the answer cannot be read, or does not come from a server that may not be silent.
    pub async fn receive<R: KafkaResponse>(&mut self, version: i16) -> Result<R, Broken> {
        let reading = async {
            let length = self.stream.read_u32().await?;
            let mut frame = vec![0; length as usize];
            self.stream.read_exact(&mut frame).await?;
            std::io::Result::Ok(frame)
        };
        let frame = match self.runtime.timeout(self.patience.unwrap_or(PATIENCE), reading).await {
            Ok(frame) => frame.map_err(|_| Broken)?,
            Err(_) if self.patience.is_some() => return Err(Broken),
            Err(_) => panic!("the server does not answer"),
        };
        let (_, answer) =
            decode_response(version, Bytes::from(frame), &FrameLimits::default()).expect("the answer is valid");
        Ok(answer)
    }

    /// A request and its answer.
    pub async fn call<Q: RequestResponsePair>(&mut self, request: &Q, version: i16) -> Result<Q::Response, Broken> {
        self.send(request, version).await?;
        self.receive(version).await
    }
}
