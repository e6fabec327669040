//! The tail: bytes of what was committed last, kept in memory so that readers who are near the end never ask the store.
//!
//! Invariants: bounded by a byte budget, oldest objects go first; bytes are shared with whoever committed them, never
//! copied; only committed objects are in it (invariant 3).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::format::ENVELOPE_HEADER_BYTES;
use crate::state::ObjectRef;

/// Recently committed objects.
#[derive(Debug)]
pub struct Tail {
    bytes_max: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<ObjectRef, Arc<TailObject>>,
    order: VecDeque<ObjectRef>,
    bytes: u64,
}

/// The data of one object, as the list of chunks that it was put from.
#[derive(Debug)]
struct TailObject {
    chunks: Vec<Bytes>,
    /// Position of each chunk in the object, and one more: the end.
    starts: Vec<u64>,
}

impl Tail {
    /// An empty tail that keeps up to `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, inner: Mutex::default() }
    }

    /// Adds an object's data chunks, which start right behind the envelope header.
    pub fn insert(&self, object: ObjectRef, chunks: Vec<Bytes>) {
        let mut starts = Vec::with_capacity(chunks.len() + 1);
        let mut position = ENVELOPE_HEADER_BYTES as u64;
        for chunk in &chunks {
            starts.push(position);
            position += chunk.len() as u64;
        }
        starts.push(position);
        let bytes = position - ENVELOPE_HEADER_BYTES as u64;
        if bytes == 0 || bytes > self.bytes_max {
            return;
        }
        let mut inner = self.inner.lock();
        if inner.objects.insert(object, Arc::new(TailObject { chunks, starts })).is_some() {
            return;
        }
        inner.order.push_back(object);
        inner.bytes += bytes;
        while inner.bytes > self.bytes_max {
            let Some(oldest) = inner.order.pop_front() else { break };
            if let Some(gone) = inner.objects.remove(&oldest) {
                inner.bytes -= gone.len();
            }
        }
    }

    /// The bytes of an object from `position` on, `length` of them, if the object is here.
    #[must_use]
    pub fn slices(&self, object: ObjectRef, position: u64, length: u64) -> Option<Vec<Bytes>> {
        let found = self.inner.lock().objects.get(&object).cloned()?;
        found.slices(position, length)
    }

    /// Whether an object is here.
    #[must_use]
    pub fn contains(&self, object: ObjectRef) -> bool {
        self.inner.lock().objects.contains_key(&object)
    }

    /// Bytes held now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inner.lock().bytes
    }
}

impl TailObject {
    fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or_default() - ENVELOPE_HEADER_BYTES as u64
    }

    fn slices(&self, position: u64, length: u64) -> Option<Vec<Bytes>> {
        let end = position.checked_add(length)?;
        if position < ENVELOPE_HEADER_BYTES as u64 || end > self.starts.last().copied()? {
            return None;
        }
        let mut index = self.starts.partition_point(|start| *start <= position) - 1;
        let mut out = Vec::new();
        let mut at = position;
        while at < end {
            let chunk = &self.chunks[index];
            let from = (at - self.starts[index]) as usize;
            let to = chunk.len().min((end - self.starts[index]) as usize);
            if from < to {
                out.push(chunk.slice(from..to));
            }
            index += 1;
            at = self.starts[index];
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(slices: Vec<Bytes>) -> Vec<u8> {
        slices.iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    #[test]
    fn slices_cross_chunks_and_stay_inside_the_object() {
        let tail = Tail::new(100);
        let object = ObjectRef::Entry(1);
        tail.insert(object, vec![Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"defg")]);
        assert_eq!(collect(tail.slices(object, 64, 7).expect("whole")), b"abcdefg");
        assert_eq!(collect(tail.slices(object, 66, 3).expect("middle")), b"cde");
        assert!(tail.slices(object, 64, 8).is_none());
        assert!(tail.slices(object, 0, 8).is_none());
        assert!(tail.slices(ObjectRef::Entry(2), 64, 1).is_none());
    }

    #[test]
    fn the_oldest_goes_when_the_budget_is_spent() {
        let tail = Tail::new(10);
        for n in 1..=3 {
            tail.insert(ObjectRef::Entry(n), vec![Bytes::from_static(b"12345")]);
        }
        assert_eq!(tail.bytes(), 10);
        assert!(tail.slices(ObjectRef::Entry(1), 64, 5).is_none());
        assert!(tail.slices(ObjectRef::Entry(3), 64, 5).is_some());
        tail.insert(ObjectRef::Entry(4), vec![Bytes::from_static(b"far too long to keep")]);
        assert_eq!(tail.bytes(), 10);
    }
}
