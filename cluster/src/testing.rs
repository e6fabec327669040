//! A network in memory: named hosts, delays, cuts between hosts, frames that suffer.
//!
//! It behaves as TCP does: frames of a connection come in order and once, a cut is silent and what was sent into it arrives when
//! it heals, a host whose tasks are gone refuses connections and ends those that it had. [`Network::set_fate`] goes
//! beyond that on purpose.
//!
//! Invariant: with a seeded runtime all delays are repeatable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_infra::store::Payload;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::frame;
use crate::messages::FrameKind;
use crate::transport::{ConnectError, Connection, FrameReader, FrameWriter, Listener, Transport};

/// Bytes on their way in one direction of a connection before its writer waits.
const IN_FLIGHT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a frame is, for whoever decides its fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameSort {
    /// An append for the leader.
    Forward,
    /// What became of one.
    Answer,
    /// An entry that was committed.
    Push,
    /// A ping or its answer.
    Ping,
    /// A goodbye.
    Goodbye,
    /// A greeting or its answer.
    Greeting,
    /// Not a frame of this release.
    Other,
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It comes in its turn.
    Arrives,
    /// It never comes; the connection goes on.
    IsLost,
    /// It comes twice.
    ComesTwice,
    /// It comes so much later, and others overtake it.
    IsOvertaken(Duration),
}

type FateOf = dyn Fn(&str, &str, FrameSort) -> Fate + Send + Sync;

/// A network. Cloning is cheap and shares it.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Runtime,
    state: Mutex<State>,
    healed: Notify,
}

struct State {
    listeners: BTreeMap<String, mpsc::UnboundedSender<Connection>>,
    /// From whom to whom nothing arrives.
    cuts: BTreeSet<(String, String)>,
    pipes: Vec<Weak<Pipe>>,
    delay: (Duration, Duration),
    fate: Option<Arc<FateOf>>,
    last_port: u16,
}

impl fmt::Debug for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Network")
    }
}

impl Network {
    /// A network in which a frame takes 0.1 to 1 ms.
    #[must_use]
    pub fn new(runtime: Runtime) -> Self {
        let state = State {
            listeners: BTreeMap::new(),
            cuts: BTreeSet::new(),
            pipes: Vec::new(),
            delay: (Duration::from_micros(100), Duration::from_millis(1)),
            fate: None,
            last_port: 7000,
        };
        Self { shared: Arc::new(Shared { runtime, state: Mutex::new(state), healed: Notify::new() }) }
    }

    /// The way of a host into the network. Its addresses are `name:port`.
    #[must_use]
    pub fn host(&self, name: &str) -> Arc<dyn Transport> {
        Arc::new(Host { network: self.clone(), name: name.to_owned() })
    }

    /// How long a frame takes, at least and at most.
    pub fn set_delay(&self, least: Duration, most: Duration) {
        self.shared.state.lock().delay = (least, most);
    }

    /// Nothing arrives any more, from `one` to `other` and back, until it is healed.
    pub fn cut(&self, one: &str, other: &str) {
        self.cut_direction(one, other);
        self.cut_direction(other, one);
    }

    /// Nothing arrives any more from `from` at `to`.
    pub fn cut_direction(&self, from: &str, to: &str) {
        self.shared.state.lock().cuts.insert((from.to_owned(), to.to_owned()));
    }

    /// Ends all cuts between these two.
    pub fn heal(&self, one: &str, other: &str) {
        let between = |from: &str, to: &str| (from == one && to == other) || (from == other && to == one);
        self.shared.state.lock().cuts.retain(|(from, to)| !between(from, to));
        self.wake();
    }

    /// Ends all cuts.
    pub fn heal_all(&self) {
        self.shared.state.lock().cuts.clear();
        self.wake();
    }

    /// Decides what becomes of each frame, by sender, receiver and what it is.
    pub fn set_fate(&self, fate: impl Fn(&str, &str, FrameSort) -> Fate + Send + Sync + 'static) {
        self.shared.state.lock().fate = Some(Arc::new(fate));
    }

    /// From now on every frame arrives.
    pub fn clear_fate(&self) {
        self.shared.state.lock().fate = None;
    }

    fn wake(&self) {
        let pipes: Vec<Arc<Pipe>> = {
            let mut state = self.shared.state.lock();
            state.pipes.retain(|pipe| pipe.strong_count() > 0);
            state.pipes.iter().filter_map(Weak::upgrade).collect()
        };
        for pipe in pipes {
            pipe.filled.notify_one();
            pipe.drained.notify_one();
        }
        self.shared.healed.notify_waiters();
    }

    fn is_cut(&self, from: &str, to: &str) -> bool {
        self.shared.state.lock().cuts.contains(&(from.to_owned(), to.to_owned()))
    }

    fn delay(&self) -> Duration {
        let (least, most) = self.shared.state.lock().delay;
        let spread = most.saturating_sub(least).as_micros() as u64;
        least + Duration::from_micros(self.shared.runtime.random_below(spread + 1))
    }

    fn fate(&self, from: &str, to: &str, bytes: &Bytes) -> Fate {
        let fate = self.shared.state.lock().fate.clone();
        fate.map_or(Fate::Arrives, |fate| fate(from, to, sort(bytes)))
    }

    fn pipe(&self, from: &str, to: &str) -> Arc<Pipe> {
        let pipe = Arc::new(Pipe {
            network: self.clone(),
            from: from.to_owned(),
            to: to.to_owned(),
            state: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
        });
        let mut state = self.shared.state.lock();
        state.pipes.retain(|pipe| pipe.strong_count() > 0);
        state.pipes.push(Arc::downgrade(&pipe));
        pipe
    }

    async fn connect(&self, from: &str, address: &str) -> Result<Connection, ConnectError> {
        let runtime = &self.shared.runtime;
        let to = host_of(address).to_owned();
        loop {
            runtime.sleep(self.delay()).await;
            let healed = self.shared.healed.notified();
            tokio::pin!(healed);
            healed.as_mut().enable();
            if !self.is_cut(from, &to) && !self.is_cut(&to, from) {
                break;
            }
            healed.await;
        }
        let listener = self.shared.state.lock().listeners.get(address).cloned().ok_or(ConnectError::Refused)?;
        let (there, back) = (self.pipe(from, &to), self.pipe(&to, from));
        let theirs = connection(there.clone(), back.clone(), from.to_owned());
        listener.send(theirs).map_err(|_gone| ConnectError::Refused)?;
        Ok(connection(back, there, address.to_owned()))
    }

    fn listen(&self, name: &str, address: &str) -> io::Result<Box<dyn Listener>> {
        let asked: u16 = address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0);
        let mut state = self.shared.state.lock();
        let port = if asked == 0 {
            state.last_port += 1;
            state.last_port
        } else {
            asked
        };
        let address = format!("{name}:{port}");
        if state.listeners.contains_key(&address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, connections) = mpsc::unbounded_channel();
        state.listeners.insert(address.clone(), sender);
        Ok(Box::new(Listening { network: self.clone(), address, connections }))
    }
}

fn connection(incoming: Arc<Pipe>, outgoing: Arc<Pipe>, remote: String) -> Connection {
    Connection { reader: Box::new(PipeEnd(incoming)), writer: Box::new(PipeStart(outgoing)), remote }
}

fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _port)| host)
}

fn sort(bytes: &Bytes) -> FrameSort {
    match frame::decode(bytes.clone()).ok().and_then(|frame| frame.kind) {
        Some(FrameKind::Forward(_)) => FrameSort::Forward,
        Some(FrameKind::Answer(_)) => FrameSort::Answer,
        Some(FrameKind::Push(_)) => FrameSort::Push,
        Some(FrameKind::Ping(_) | FrameKind::Pong(_)) => FrameSort::Ping,
        Some(FrameKind::Goodbye(_)) => FrameSort::Goodbye,
        Some(FrameKind::Hello(_) | FrameKind::Welcome(_)) => FrameSort::Greeting,
        None => FrameSort::Other,
    }
}

#[derive(Debug)]
struct Host {
    network: Network,
    name: String,
}

#[async_trait]
impl Transport for Host {
    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>> {
        self.network.listen(&self.name, address)
    }

    async fn connect(&self, address: &str) -> Result<Connection, ConnectError> {
        self.network.connect(&self.name, address).await
    }
}

#[derive(Debug)]
struct Listening {
    network: Network,
    address: String,
    connections: mpsc::UnboundedReceiver<Connection>,
}

#[async_trait]
impl Listener for Listening {
    fn address(&self) -> String {
        self.address.clone()
    }

    async fn accept(&mut self) -> io::Result<Connection> {
        self.connections.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.network.shared.state.lock().listeners.remove(&self.address);
    }
}

/// One direction of a connection.
#[derive(Debug)]
struct Pipe {
    network: Network,
    from: String,
    to: String,
    state: Mutex<PipeState>,
    filled: Notify,
    drained: Notify,
}

#[derive(Debug, Default)]
struct PipeState {
    frames: VecDeque<(Instant, Bytes)>,
    bytes: usize,
    last_due: Option<Instant>,
    /// When the reader learns that the writer is gone.
    ends: Option<Instant>,
    reader_gone: bool,
}

impl Pipe {
    fn put(&self, frame: Bytes) {
        let now = self.network.shared.runtime.monotonic();
        let due = now + self.network.delay();
        let fate = self.network.fate(&self.from, &self.to, &frame);
        let mut state = self.state.lock();
        // No frame overtakes another, unless it is its fate.
        let due = state.last_due.map_or(due, |last| last.max(due));
        let copies = match fate {
            Fate::IsLost => return,
            Fate::Arrives => vec![due],
            Fate::ComesTwice => vec![due, due],
            Fate::IsOvertaken(by) => vec![due + by],
        };
        if !matches!(fate, Fate::IsOvertaken(_)) {
            state.last_due = Some(due);
        }
        for due in copies {
            state.bytes += frame.len();
            let at = state.frames.partition_point(|(other, _)| *other <= due);
            state.frames.insert(at, (due, frame.clone()));
        }
        drop(state);
        self.filled.notify_one();
    }

    /// What the reader may have now, or until when it waits.
    fn take(&self) -> Taken {
        if self.network.is_cut(&self.from, &self.to) {
            return Taken::Nothing(None);
        }
        let now = self.network.shared.runtime.monotonic();
        let mut state = self.state.lock();
        match state.frames.front().map(|(due, _)| *due) {
            Some(due) if due > now => Taken::Nothing(Some(due)),
            Some(_) => {
                let Some((_, frame)) = state.frames.pop_front() else { return Taken::Nothing(None) };
                state.bytes -= frame.len();
                drop(state);
                self.drained.notify_one();
                Taken::Frame(frame)
            }
            None if state.ends.is_some_and(|ends| ends <= now) => Taken::End,
            None => Taken::Nothing(state.ends),
        }
    }
}

enum Taken {
    Frame(Bytes),
    End,
    Nothing(Option<Instant>),
}

#[derive(Debug)]
struct PipeEnd(Arc<Pipe>);

#[async_trait]
impl FrameReader for PipeEnd {
    async fn read(&mut self, bytes_max: usize) -> io::Result<Option<Bytes>> {
        loop {
            match self.0.take() {
                Taken::Frame(frame) if frame.len() > bytes_max => return Err(io::ErrorKind::InvalidData.into()),
                Taken::Frame(frame) => return Ok(Some(frame)),
                Taken::End => return Ok(None),
                Taken::Nothing(None) => self.0.filled.notified().await,
                Taken::Nothing(Some(due)) => {
                    let wait = self.0.network.shared.runtime.sleep_until(due);
                    tokio::select! {
                        biased;
                        () = self.0.filled.notified() => {}
                        () = wait => {}
                    }
                }
            }
        }
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.0.state.lock().reader_gone = true;
        self.0.drained.notify_one();
    }
}

#[derive(Debug)]
struct PipeStart(Arc<Pipe>);

#[async_trait]
impl FrameWriter for PipeStart {
    async fn write(&mut self, frame: Payload) -> io::Result<()> {
        let pipe = &self.0;
        loop {
            // That the reader is gone is learned from what it would send, which a cut keeps.
            let known = !pipe.network.is_cut(&pipe.to, &pipe.from) && !pipe.network.is_cut(&pipe.from, &pipe.to);
            {
                let state = pipe.state.lock();
                if state.reader_gone && known {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                if state.bytes < IN_FLIGHT_BYTES_MAX {
                    break;
                }
            }
            pipe.drained.notified().await;
        }
        pipe.put(frame.into_bytes());
        Ok(())
    }
}

impl Drop for PipeStart {
    fn drop(&mut self) {
        let now = self.0.network.shared.runtime.monotonic();
        let ends = now + self.0.network.delay();
        let mut state = self.0.state.lock();
        state.ends = Some(state.last_due.map_or(ends, |last| last.max(ends)));
        drop(state);
        self.0.filled.notify_one();
    }
}
