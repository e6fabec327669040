//! Large buffers that are used again.
//!
//! Memory that goes back to the system is mapped, cleared and given out page by page when it is wanted again. For buffers
//! of megabytes that come and go all the time this takes longer than what is written into them.
//!
//! Invariants:
//! 1. Buffers that nobody has take `bytes_max` at most; the ones that were unused for longest go first.
//! 2. Nobody sees what was in a buffer before: it is given out empty.
//! 3. A buffer is at most an eighth larger than what was asked for, and than the bytes that keep it.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::limits::BUFFER_BYTES_MIN;

/// Buffers for large bytes; all clones share them.
#[derive(Clone, Debug)]
pub struct Buffers {
    idle: Arc<Idle>,
}

#[derive(Debug)]
struct Idle {
    /// The one that came back last is at the end.
    buffers: Mutex<VecDeque<Vec<u8>>>,
    bytes_max: usize,
}

impl Buffers {
    /// None yet. Those that nobody has will take `bytes_max` bytes at most.
    pub fn new(bytes_max: usize) -> Buffers {
        Buffers { idle: Arc::new(Idle { buffers: Mutex::new(VecDeque::new()), bytes_max }) }
    }

    /// An empty buffer with room for so many bytes.
    pub fn take(&self, bytes: usize) -> Vec<u8> {
        if bytes < BUFFER_BYTES_MIN {
            return Vec::with_capacity(bytes);
        }
        let mut idle = self.idle.buffers.lock();
        let fitting = idle.iter().rposition(|buffer| (bytes..=room_max(bytes)).contains(&buffer.capacity()));
        let found = fitting.and_then(|position| idle.remove(position));
        drop(idle);
        // With a little more room it fits the next one too, which is seldom as long to the byte.
        found.unwrap_or_else(|| Vec::with_capacity(bytes + bytes / 32))
    }

    /// What a buffer holds. The buffer comes back when the last one who has these bytes, or a slice of them, lets go.
    pub fn lend(&self, mut buffer: Vec<u8>) -> Bytes {
        if buffer.capacity() > room_max(buffer.len()) {
            buffer.shrink_to_fit();
        }
        if buffer.capacity() < BUFFER_BYTES_MIN {
            return Bytes::from(buffer);
        }
        Bytes::from_owner(Lent { buffer, idle: Arc::downgrade(&self.idle) })
    }
}

/// The largest buffer for so many bytes.
fn room_max(bytes: usize) -> usize {
    bytes + bytes / 8
}

/// A buffer that is on loan.
struct Lent {
    buffer: Vec<u8>,
    idle: Weak<Idle>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(idle) = self.idle.upgrade() {
            idle.take_back(std::mem::take(&mut self.buffer));
        }
    }
}

impl Idle {
    fn take_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() > self.bytes_max {
            return;
        }
        buffer.clear();
        let mut too_many = Vec::new();
        let mut idle = self.buffers.lock();
        idle.push_back(buffer);
        let mut bytes: usize = idle.iter().map(Vec::capacity).sum();
        while bytes > self.bytes_max
            && let Some(oldest) = idle.pop_front()
        {
            bytes -= oldest.capacity();
            too_many.push(oldest);
        }
        // Memory goes back to the system when nobody waits for the lock.
        drop(idle);
        drop(too_many);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 4 * BUFFER_BYTES_MIN;

    fn idle_bytes(buffers: &Buffers) -> usize {
        buffers.idle.buffers.lock().iter().map(Vec::capacity).sum()
    }

    fn lent(buffers: &Buffers, bytes: usize, filler: u8) -> Bytes {
        let mut buffer = buffers.take(bytes);
        assert!(buffer.is_empty() && buffer.capacity() >= bytes, "{}", buffer.capacity());
        buffer.resize(bytes, filler);
        buffers.lend(buffer)
    }

    #[test]
    fn a_buffer_comes_back_with_its_last_slice_and_is_empty() {
        let buffers = Buffers::new(4 * BYTES);
        let first = lent(&buffers, BYTES, 1);
        let place = first.as_ptr();
        let slice = first.slice(7..9);
        drop(first);
        assert_eq!(idle_bytes(&buffers), 0);
        assert_eq!(&slice[..], &[1, 1]);
        drop(slice);
        assert!(idle_bytes(&buffers) >= BYTES);
        // A little longer than the one before, and in its place.
        let second = lent(&buffers, BYTES + BYTES / 64, 2);
        assert_eq!(second.as_ptr(), place);
        assert!(second.iter().all(|byte| *byte == 2));
        assert_eq!(idle_bytes(&buffers), 0);
    }

    #[test]
    fn a_buffer_that_is_too_large_stays_where_it_is() {
        let buffers = Buffers::new(4 * BYTES);
        drop(lent(&buffers, 2 * BYTES, 1));
        let idle = idle_bytes(&buffers);
        assert!(idle >= 2 * BYTES);
        let smaller = lent(&buffers, BYTES, 2);
        assert_eq!((idle_bytes(&buffers), smaller.len()), (idle, BYTES));
    }

    #[test]
    fn idle_buffers_are_bounded_and_the_newest_stay() {
        let buffers = Buffers::new(3 * BYTES);
        let all: Vec<Bytes> = (0..8).map(|filler| lent(&buffers, BYTES, filler)).collect();
        let last = all[7].as_ptr();
        drop(all);
        assert!(idle_bytes(&buffers) <= 3 * BYTES);
        assert_eq!(lent(&buffers, BYTES, 9).as_ptr(), last);
        drop(lent(&buffers, 4 * BYTES, 9));
        assert!(idle_bytes(&buffers) <= 3 * BYTES);
    }

    #[test]
    fn small_ones_and_those_of_nobody_go_to_the_system() {
        let buffers = Buffers::new(4 * BYTES);
        drop(lent(&buffers, BUFFER_BYTES_MIN / 2, 1));
        assert_eq!(idle_bytes(&buffers), 0);
        // Much room for few bytes is not kept by them.
        let mut buffer = buffers.take(BYTES);
        buffer.push(1);
        drop(buffers.lend(buffer));
        assert_eq!(idle_bytes(&buffers), 0);
        let bytes = lent(&buffers, BYTES, 1);
        drop(buffers);
        assert!(bytes.iter().all(|byte| *byte == 1));
    }
}
