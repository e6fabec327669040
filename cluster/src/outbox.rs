//! What waits to be written to one connection.
//!
//! Owns two queues: control frames (pings, answers, goodbyes) go before data frames (forwarded appends, pushes).
//! Invariants:
//! 1. Putting something in never waits. Both queues are bounded: what does not fit is not taken, and the caller knows.
//! 2. Data frames are written in the order in which they were put in.

use std::collections::VecDeque;
use std::io;

use alluvium_infra::limits;
use alluvium_infra::store::Payload;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::transport::FrameWriter;

/// Control frames that may wait: an answer for each request in flight, and pings with theirs.
const CONTROL_FRAMES_MAX: usize = 2 * limits::PEER_REQUESTS_IN_FLIGHT_MAX;

/// The queues of one connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    filled: Notify,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    control: VecDeque<Payload>,
    data: VecDeque<Data>,
    data_bytes: usize,
    writing: bool,
    closed: bool,
}

#[derive(Debug)]
struct Data {
    /// The request that is sent with it, if it is one.
    request: Option<u64>,
    frame: Payload,
}

impl Outbox {
    /// Takes a control frame. `false` when it was not taken.
    pub(crate) fn control(&self, frame: Payload) -> bool {
        let mut queue = self.queue.lock();
        if queue.closed || queue.control.len() >= CONTROL_FRAMES_MAX {
            return false;
        }
        queue.control.push_back(frame);
        drop(queue);
        self.filled.notify_one();
        true
    }

    /// Takes a request. `false` when it was not taken.
    pub(crate) fn request(&self, number: u64, frame: Payload) -> bool {
        self.data(Data { request: Some(number), frame }, limits::PEER_QUEUE_BYTES_MAX)
    }

    /// Takes a frame that nobody misses. `false` when it was not taken.
    pub(crate) fn push(&self, frame: Payload) -> bool {
        self.data(Data { request: None, frame }, limits::PEER_PUSH_QUEUE_BYTES_MAX)
    }

    fn data(&self, data: Data, bytes_max: usize) -> bool {
        let length = data.frame.len();
        let mut queue = self.queue.lock();
        // A frame that is longer than the queue alone may still go when nothing else waits.
        if queue.closed || (queue.data_bytes > 0 && queue.data_bytes + length > bytes_max) {
            return false;
        }
        queue.data_bytes += length;
        queue.data.push_back(data);
        drop(queue);
        self.filled.notify_one();
        true
    }

    /// Takes nothing any more.
    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.filled.notify_one();
        self.emptied.notify_waiters();
    }

    /// Waits until everything is written, or nothing will be any more.
    pub(crate) async fn flushed(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            {
                let queue = self.queue.lock();
                let empty = queue.control.is_empty() && queue.data.is_empty() && !queue.writing;
                if empty || queue.closed {
                    return;
                }
            }
            emptied.await;
        }
    }

    /// Writes until the outbox is closed or the connection breaks. Before a request is written `begin` is asked whether it
    /// still is to be.
    pub(crate) async fn write_all(
        &self,
        writer: &mut dyn FrameWriter,
        begin: impl Fn(u64) -> bool + Send + Sync,
    ) -> io::Result<()> {
        loop {
            match self.next() {
                Next::Frame(Data { request: Some(number), .. }) if !begin(number) => {}
                Next::Frame(Data { frame, .. }) => writer.write(frame).await?,
                Next::Nothing => self.filled.notified().await,
                Next::Closed => return Ok(()),
            }
        }
    }

    fn next(&self) -> Next {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Next::Closed;
        }
        let next = match queue.control.pop_front() {
            Some(frame) => Some(Data { request: None, frame }),
            None => {
                let data = queue.data.pop_front();
                queue.data_bytes -= data.as_ref().map_or(0, |data| data.frame.len());
                data
            }
        };
        queue.writing = next.is_some();
        if next.is_none() {
            self.emptied.notify_waiters();
        }
        next.map_or(Next::Nothing, Next::Frame)
    }
}

enum Next {
    Frame(Data),
    Nothing,
    Closed,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use alluvium_infra::Runtime;
    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;

    /// Remembers what was written, one frame a second.
    #[derive(Debug)]
    struct Slow(Runtime, Arc<Mutex<Vec<Bytes>>>);

    #[async_trait]
    impl FrameWriter for Slow {
        async fn write(&mut self, frame: Payload) -> io::Result<()> {
            self.0.sleep(Duration::from_secs(1)).await;
            self.1.lock().push(frame.into_bytes());
            Ok(())
        }
    }

    #[test]
    fn control_goes_first_data_keeps_its_order_and_given_up_requests_stay_here() {
        Runtime::simulate(1, |runtime| async move {
            let outbox = Arc::new(Outbox::default());
            assert!(outbox.request(1, Payload::from(&b"one"[..])));
            assert!(outbox.request(2, Payload::from(&b"two"[..])));
            assert!(outbox.push(Payload::from(&b"push"[..])));
            assert!(outbox.control(Payload::from(&b"ping"[..])));
            let written = Arc::new(Mutex::new(Vec::new()));
            let task = runtime.spawn("writer", {
                let (outbox, mut writer) = (outbox.clone(), Slow(runtime.clone(), written.clone()));
                async move { outbox.write_all(&mut writer, |number| number != 1).await }
            });
            outbox.flushed().await;
            assert_eq!(*written.lock(), [&b"ping"[..], b"two", b"push"]);
            outbox.close();
            task.await.unwrap().unwrap();
            assert!(!outbox.control(Payload::default()) && !outbox.push(Payload::default()));
        });
    }

    #[test]
    fn queues_are_bounded_and_pushes_leave_room_for_requests() {
        let outbox = Outbox::default();
        let part = || Payload::from(Bytes::from(vec![0; limits::PEER_PUSH_QUEUE_BYTES_MAX / 2]));
        assert!(outbox.push(part()) && outbox.push(part()) && !outbox.push(part()));
        assert!(outbox.request(1, part()), "requests may fill more than pushes");
        while outbox.request(1, part()) {}
        assert!(outbox.queue.lock().data_bytes <= limits::PEER_QUEUE_BYTES_MAX);
        let controls = (0..2 * CONTROL_FRAMES_MAX).filter(|_| outbox.control(Payload::default())).count();
        assert_eq!(controls, CONTROL_FRAMES_MAX);
    }
}
