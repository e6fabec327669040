//! Frames over TCP: a length of four bytes, big-endian, then the frame.
//!
//! Invariants: a length that is not believed is refused before memory is taken for it; memory grows with what has arrived.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use alluvium_infra::store::Payload;
use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::{ConnectError, Connection, FrameReader, FrameWriter, Listener, Transport};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// Bytes that a frame is given room for before they have arrived.
const FRAME_ROOM_BYTES: usize = 1024 * 1024;

/// TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpTransport;

#[async_trait]
impl Transport for TcpTransport {
    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>> {
        let listener = TcpListener::bind(address).await?;
        let address = told(listener.local_addr()?).to_string();
        Ok(Box::new(Accepting { listener, address }))
    }

    async fn connect(&self, address: &str) -> Result<Connection, ConnectError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::ConnectionRefused => ConnectError::Refused,
            _ => ConnectError::Unreachable(error.to_string()),
        };
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        connection(stream, address.to_owned()).map_err(failed)
    }
}

/// Who listens on all addresses of a machine tells others the one from which it would reach them, as in a container that does
/// not know its address beforehand.
fn told(bound: SocketAddr) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    SocketAddr::new(address_of_this_machine().unwrap_or(bound.ip()), bound.port())
}

/// Connecting a datagram socket sends nothing; the system only chooses the address.
fn address_of_this_machine() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

#[derive(Debug)]
struct Accepting {
    listener: TcpListener,
    address: String,
}

#[async_trait]
impl Listener for Accepting {
    fn address(&self) -> String {
        self.address.clone()
    }

    async fn accept(&mut self) -> io::Result<Connection> {
        let (stream, remote) = self.listener.accept().await?;
        connection(stream, remote.to_string())
    }
}

fn connection(stream: TcpStream, remote: String) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let (read, write) = stream.into_split();
    let reader = Box::new(Reading { stream: BufReader::with_capacity(READ_BYTES, read) });
    Ok(Connection { reader, writer: Box::new(Writing { stream: write }), remote })
}

#[derive(Debug)]
struct Reading {
    stream: BufReader<OwnedReadHalf>,
}

#[async_trait]
impl FrameReader for Reading {
    async fn read(&mut self, bytes_max: usize) -> io::Result<Option<Bytes>> {
        let length = match self.stream.read_u32().await {
            Ok(length) => length as usize,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        if length > bytes_max {
            let text = format!("a frame of {length} bytes where at most {bytes_max} are expected");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut frame = BytesMut::with_capacity(length.min(FRAME_ROOM_BYTES));
        let mut rest = (&mut self.stream).take(length as u64);
        while frame.len() < length {
            if rest.read_buf(&mut frame).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Some(frame.freeze()))
    }
}

#[derive(Debug)]
struct Writing {
    stream: OwnedWriteHalf,
}

#[async_trait]
impl FrameWriter for Writing {
    async fn write(&mut self, frame: Payload) -> io::Result<()> {
        let length = u32::try_from(frame.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut parts: VecDeque<Bytes> = frame.0.into_iter().filter(|part| !part.is_empty()).collect();
        parts.push_front(Bytes::copy_from_slice(&length.to_be_bytes()));
        self.stream.write_all_buf(&mut Parts(parts)).await
    }
}

/// Parts that are written one after the other, as many with one call as the system takes. None is empty.
struct Parts(VecDeque<Bytes>);

impl Buf for Parts {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let count = slices.len().min(self.0.len());
        for (slice, part) in slices.iter_mut().zip(&self.0) {
            *slice = IoSlice::new(part);
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let Some(first) = self.0.front_mut() else { return };
            if first.len() > count {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_listens_everywhere_tells_an_address_that_leads_there() {
        let mut listener = TcpTransport.listen("0.0.0.0:0").await.unwrap();
        let address = listener.address();
        let told: SocketAddr = address.parse().unwrap();
        // A machine without any route has no address to tell; it is refused later, and asked for one.
        assert_eq!(told.ip(), address_of_this_machine().unwrap_or([0, 0, 0, 0].into()));
        let (connected, accepted) = tokio::join!(TcpTransport.connect(&address), listener.accept());
        assert!(connected.is_ok() && accepted.is_ok(), "{told}");
        let one = TcpTransport.listen("127.0.0.1:0").await.unwrap();
        assert!(one.address().starts_with("127.0.0.1:"), "{}", one.address());
    }

    #[tokio::test]
    async fn frames_come_whole_and_in_order_however_many_parts_they_have() {
        let mut listener = TcpTransport.listen("127.0.0.1:0").await.unwrap();
        let address = listener.address();
        let (connected, accepted) = tokio::join!(TcpTransport.connect(&address), listener.accept());
        let (mut client, mut server) = (connected.unwrap(), accepted.unwrap());
        let large: Vec<Bytes> = (0..300_u32).map(|part| Bytes::from(vec![part as u8; (part * 37) as usize])).collect();
        let frames = [Payload::from(&b"one"[..]), Payload::default(), Payload(large)];
        let sent: Vec<Bytes> = frames.iter().map(|frame| frame.clone().into_bytes()).collect();
        let writing = async {
            for frame in frames {
                client.writer.write(frame).await.unwrap();
            }
            drop(client);
        };
        let reading = async {
            let mut read = Vec::new();
            while let Some(frame) = server.reader.read(10_000_000).await.unwrap() {
                read.push(frame);
            }
            read
        };
        let ((), read) = tokio::join!(writing, reading);
        assert_eq!(read, sent);
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_and_a_cut_frame_are_errors_and_nobody_there_is_a_refusal() {
        let mut listener = TcpTransport.listen("127.0.0.1:0").await.unwrap();
        let address = listener.address();
        let mut raw = TcpStream::connect(&address).await.unwrap();
        let mut server = listener.accept().await.unwrap();
        raw.write_all(&[0, 0, 1, 0]).await.unwrap();
        assert_eq!(server.reader.read(255).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let mut raw = TcpStream::connect(&address).await.unwrap();
        let mut server = listener.accept().await.unwrap();
        raw.write_all(&[0, 0, 0, 9, 1, 2]).await.unwrap();
        drop(raw);
        assert_eq!(server.reader.read(255).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        drop(listener);
        assert_eq!(TcpTransport.connect(&address).await.unwrap_err(), ConnectError::Refused);
    }
}
