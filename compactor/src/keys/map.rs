//! The newest offset of each key, in memory of a fixed size, however many keys there are.
//!
//! Keys are hashed to 128 bits and divided into classes by the upper half. A map holds the class from where the last one ended to an
//! end that moves nearer each time the map is full: what is in the map is complete for its class.
//!
//! Invariants:
//! 1. The table is allocated once; while it is made smaller it takes half as much again.
//! 2. For each key of the class, the map has the largest offset that it was given.

use twox_hash::XxHash3_128;

/// Bytes of one place in the table.
const SLOT_BYTES: usize = std::mem::size_of::<Slot>();
/// The share of places that may be taken, in percent.
const LOAD_PERCENT: usize = 75;
const SLOTS_MIN: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Slot {
    upper: u64,
    lower: u64,
    /// -1 in a place that is free.
    offset: i64,
}

const FREE: Slot = Slot { upper: 0, lower: 0, offset: -1 };

/// A key, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyHash {
    upper: u64,
    lower: u64,
}

impl KeyHash {
    pub(super) fn of(key: &[u8]) -> Self {
        let hash = XxHash3_128::oneshot(key);
        Self { upper: (hash >> 64) as u64, lower: hash as u64 }
    }
}

/// The newest offsets of a class of keys.
#[derive(Debug)]
pub(super) struct OffsetMap {
    slots: Vec<Slot>,
    taken: usize,
    begin: u64,
    /// The last of the class.
    end: u64,
}

impl OffsetMap {
    /// A map of all keys of so many records, within so much memory. Few records take little.
    pub(super) fn new(memory_bytes: usize, record_count: u64) -> Self {
        let needed = usize::try_from(record_count).unwrap_or(usize::MAX).saturating_mul(100) / LOAD_PERCENT + 1;
        let slots = (memory_bytes * 2 / 3 / SLOT_BYTES).min(needed).max(SLOTS_MIN);
        Self { slots: vec![FREE; slots], taken: 0, begin: 0, end: u64::MAX }
    }

    /// Goes on to the keys behind the class; false when there are none.
    pub(super) fn next_class(&mut self) -> bool {
        let Some(begin) = self.end.checked_add(1) else { return false };
        self.slots.fill(FREE);
        (self.taken, self.begin, self.end) = (0, begin, u64::MAX);
        true
    }

    /// Whether the class is all keys.
    pub(super) fn is_whole(&self) -> bool {
        (self.begin, self.end) == (0, u64::MAX)
    }

    /// Whether a key is of the class.
    pub(super) fn holds(&self, key: KeyHash) -> bool {
        (self.begin..=self.end).contains(&key.upper)
    }

    /// Takes note of a record. Keys of other classes are passed over.
    pub(super) fn put(&mut self, key: KeyHash, offset: i64) {
        if !self.holds(key) {
            return;
        }
        if self.taken >= self.slots.len() * LOAD_PERCENT / 100 {
            self.shrink();
            if !self.holds(key) {
                return;
            }
        }
        let index = self.find(key);
        let slot = &mut self.slots[index];
        if slot.offset < 0 {
            *slot = Slot { upper: key.upper, lower: key.lower, offset };
            self.taken += 1;
        } else {
            slot.offset = slot.offset.max(offset);
        }
    }

    /// The newest offset of a key of the class.
    pub(super) fn get(&self, key: KeyHash) -> Option<i64> {
        let offset = self.slots[self.find(key)].offset;
        (offset >= 0).then_some(offset)
    }

    /// Where a key is, or the free place for it. There always is one.
    fn find(&self, key: KeyHash) -> usize {
        // The upper half is what classes are made of: places go by the lower one.
        let mut index = ((u128::from(key.lower) * self.slots.len() as u128) >> 64) as usize;
        loop {
            let slot = &self.slots[index];
            if slot.offset < 0 || (slot.upper == key.upper && slot.lower == key.lower) {
                return index;
            }
            index = if index + 1 == self.slots.len() { 0 } else { index + 1 };
        }
    }

    /// Halves the class and forgets the keys of its upper half.
    fn shrink(&mut self) {
        while self.taken >= self.slots.len() * LOAD_PERCENT / 100 && self.end > self.begin {
            self.end = self.begin + (self.end - self.begin) / 2;
            let end = self.end;
            let kept: Vec<Slot> =
                self.slots.iter().filter(|slot| slot.offset >= 0 && slot.upper <= end).copied().collect();
            self.slots.fill(FREE);
            self.taken = kept.len();
            for slot in kept {
                let index = self.find(KeyHash { upper: slot.upper, lower: slot.lower });
                self.slots[index] = slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn each_class_is_complete_and_classes_are_all_keys() {
        let keys: Vec<String> = (0..5_000).map(|key| format!("key {key}")).collect();
        let records: Vec<(&str, i64)> =
            (0..20_000_i64).map(|offset| (keys[(offset * 7919 % 5_000) as usize].as_str(), offset)).collect();
        let newest: BTreeMap<&str, i64> = records.iter().copied().collect();
        let mut map = OffsetMap::new(16 * 1024, u64::MAX);
        let mut seen = BTreeSet::new();
        let mut classes = 0;
        loop {
            for (key, offset) in &records {
                map.put(KeyHash::of(key.as_bytes()), *offset);
            }
            for key in &keys {
                let hash = KeyHash::of(key.as_bytes());
                if map.holds(hash) {
                    assert_eq!(map.get(hash), newest.get(key.as_str()).copied());
                    assert!(seen.insert(key), "a key is of one class");
                }
            }
            classes += 1;
            if !map.next_class() {
                break;
            }
        }
        assert_eq!(seen.len(), keys.len());
        assert!((10..=40).contains(&classes), "{classes} classes of 340 keys at most");
    }

    #[test]
    fn as_many_keys_as_records_fit_however_few_those_are() {
        for records in [1, 63, 64, 1_000, 12_345_u64] {
            let mut map = OffsetMap::new(1 << 30, records);
            (0..records).for_each(|key| map.put(KeyHash::of(&key.to_be_bytes()), key as i64));
            assert!(!map.next_class(), "{records} keys of as many records are one class");
            assert!(map.slots.len() as u64 <= records * 4 / 3 + 64, "{} places for {records}", map.slots.len());
        }
    }

    #[test]
    fn what_fits_is_one_class_and_older_offsets_change_nothing() {
        let mut map = OffsetMap::new(1 << 20, 2);
        let (one, other) = (KeyHash::of(b"one"), KeyHash::of(b""));
        map.put(one, 7);
        map.put(one, 3);
        assert_eq!((map.get(one), map.get(other)), (Some(7), None));
        assert!(!map.next_class());
    }
}
