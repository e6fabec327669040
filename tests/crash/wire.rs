//! The client's side of one connection: requests out, answers in, in the same order.

use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_protocol::client::{decode_response, encode_request};
use alluvium_protocol::frame::FrameLimits;
use alluvium_protocol::messages::{KafkaRequest, KafkaResponse, RequestResponsePair, StrBytes};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than any answer takes; a server that was killed ends the connection at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that broke, or never was.
#[derive(Debug)]
pub(crate) struct Broken;

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    runtime: Runtime,
    correlation_id: i32,
}

impl Wire {
    pub(crate) async fn open(port: u16, runtime: &Runtime) -> Result<Wire, Broken> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|_| Broken)?;
        stream.set_nodelay(true).map_err(|_| Broken)?;
        Ok(Wire { stream, runtime: runtime.clone(), correlation_id: 0 })
    }

    /// Opens a connection as soon as somebody listens.
    pub(crate) async fn reopen(port: u16, runtime: &Runtime) -> Wire {
        loop {
            if let Ok(wire) = Wire::open(port, runtime).await {
                return wire;
            }
            runtime.sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn send<Q: KafkaRequest>(&mut self, request: &Q, version: i16) -> Result<(), Broken> {
        self.correlation_id += 1;
        let client = StrBytes::from("crash-test");
        let frame = encode_request(self.correlation_id, Some(&client), version, request).expect("the request is valid");
        self.stream.write_all(&frame).await.map_err(|_| Broken)
    }

    /// The next answer, which must be of this kind.
    pub(crate) async fn receive<R: KafkaResponse>(&mut self, version: i16) -> Result<R, Broken> {
        let reading = async {
            let length = self.stream.read_u32().await?;
            let mut frame = vec![0; length as usize];
            self.stream.read_exact(&mut frame).await?;
            std::io::Result::Ok(frame)
        };
        let frame = self.runtime.timeout(PATIENCE, reading).await.expect("the server answers").map_err(|_| Broken)?;
        let (_, answer) =
            decode_response(version, Bytes::from(frame), &FrameLimits::default()).expect("the answer is valid");
        Ok(answer)
    }

    pub(crate) async fn call<Q: RequestResponsePair>(
        &mut self,
        request: &Q,
        version: i16,
    ) -> Result<Q::Response, Broken> {
        self.send(request, version).await?;
        self.receive(version).await
    }
}
