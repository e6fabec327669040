//! Request ids: the same id with the same records is one set of records, however often and wherever it is sent.
//!
//! A batch of a request with an id is the batch of an idempotent producer of its own: the producer id comes from the request id,
//! the sequence number from the records. The log remembers it with the partition's other producers, answers a batch that is there
//! already with its first offset, and forgets it through entries (docs/rfcs/2026-11-22-http-and-functions.md).
//!
//! Invariants:
//! 1. What is derived here is a promise to clients across releases: the same id and records give the same numbers for ever.
//! 2. Producer ids of requests never meet those that InitProducerId gives out, which count up from 0.
//! 3. The first batch of a partition has a number that also says where the others begin, when there are others.
//! 4. Timestamps that a client did not give are no part of what it said: a retry is another moment.

use axum::http::HeaderMap;
use sha2::{Digest, Sha256};

use super::error::RestError;
use super::record::NewRecord;

/// The header with the id.
pub(super) const HEADER: &str = "idempotency-key";
/// The longest id.
const BYTES_MAX: usize = 255;
/// Producer ids of requests have this bit; blocks of 1,000 ids will not be claimed that often.
const OWN_SPACE: u64 = 1 << 62;

/// The id that a client gave a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct RequestId(String);

impl RequestId {
    /// The id among the headers, if there is one.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, RestError> {
        let mut given = headers.get_all(HEADER).iter();
        let Some(value) = given.next() else { return Ok(None) };
        let wrong = || RestError::invalid("Idempotency-Key: give it once, with 1 to 255 visible ASCII characters");
        if given.next().is_some() {
            return Err(wrong());
        }
        let text = value.to_str().map_err(|_| wrong())?.trim();
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if text.is_empty() || text.len() > BYTES_MAX || !is_visible {
            return Err(wrong());
        }
        Ok(Some(Self(text.to_owned())))
    }

    /// The producer of the batch with this number, counted in its partition from 0.
    pub(super) fn producer_id(&self, number: u32) -> i64 {
        let digest = Sha256::new()
            .chain_update(b"alluvium request id\0")
            .chain_update(self.0.as_bytes())
            .chain_update([0])
            .chain_update(number.to_be_bytes())
            .finalize();
        ((first_word(&digest) >> 2) | OWN_SPACE) as i64
    }

    /// What decides about the partition of records without a key.
    pub(super) fn partition_seed(&self) -> u64 {
        first_word(&Sha256::new().chain_update(b"alluvium partition\0").chain_update(self.0.as_bytes()).finalize())
    }
}

fn first_word(digest: &[u8]) -> u64 {
    digest.iter().take(8).fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

/// What the records of a batch say.
#[derive(Clone, Default)]
pub(super) struct Content(Sha256);

impl Content {
    pub(super) fn add(&mut self, record: &NewRecord) {
        self.field(record.key.as_deref());
        self.field(record.value.as_deref());
        self.field(record.timestamp_ms.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
        self.0.update((record.headers.len() as u64).to_be_bytes());
        for header in &record.headers {
            self.field(Some(&header.name));
            self.field(header.value.as_deref());
        }
    }

    /// How the records of a partition were cut into batches, of which this is the first.
    pub(super) fn cut(&mut self, record_counts: &[i32]) {
        self.0.update(b"alluvium cut\0");
        record_counts.iter().for_each(|count| self.0.update(count.to_be_bytes()));
    }

    fn field(&mut self, field: Option<&[u8]>) {
        match field {
            None => self.0.update(u64::MAX.to_be_bytes()),
            Some(bytes) => {
                self.0.update((bytes.len() as u64).to_be_bytes());
                self.0.update(bytes);
            }
        }
    }

    /// The sequence number of their batch.
    pub(super) fn base_sequence(&self, producer_id: i64) -> i32 {
        let digest = self.0.clone().chain_update(producer_id.to_be_bytes()).finalize();
        (first_word(&digest) >> 33) as i32
    }
}

#[cfg(test)]
mod tests {
    use alluvium_record::Header;
    use bytes::Bytes;

    use super::*;

    fn id(text: &str) -> RequestId {
        RequestId(text.to_owned())
    }

    fn record(value: &'static str) -> NewRecord {
        NewRecord { value: Some(Bytes::from(value)), ..NewRecord::default() }
    }

    fn sequence(records: &[NewRecord]) -> i32 {
        let mut content = Content::default();
        records.iter().for_each(|record| content.add(record));
        content.base_sequence(id("a").producer_id(0))
    }

    #[test]
    fn numbers_are_the_same_for_ever() {
        assert_eq!(id("order-17").producer_id(0), 8_622_329_797_618_370_244);
        assert_eq!(id("order-17").producer_id(1), 7_724_944_928_541_812_980);
        assert_eq!(sequence(&[record("x")]), 1_781_680_126);
    }

    #[test]
    fn producers_are_in_a_space_of_their_own() {
        for text in ["a", "b", "0", "a much longer one with spaces"] {
            assert!(id(text).producer_id(0) >= 1 << 62);
        }
    }

    #[test]
    fn other_records_have_another_sequence() {
        let with_key = NewRecord { key: Some(Bytes::from_static(b"x")), ..NewRecord::default() };
        let with_header = NewRecord { headers: vec![Header::new("x", None)], ..NewRecord::default() };
        let with_time = NewRecord { timestamp_ms: Some(1), ..record("x") };
        let one = record("xy");
        let two = [record("x"), record("y")];
        let all = [
            sequence(&[record("x")]),
            sequence(&[with_key]),
            sequence(&[with_header]),
            sequence(&[with_time]),
            sequence(&[one]),
            sequence(&two),
            sequence(&[]),
        ];
        let distinct: std::collections::BTreeSet<i32> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(all.iter().all(|sequence| *sequence >= 0));
    }

    #[test]
    fn another_cut_is_another_sequence() {
        let cut = |counts: &[i32]| {
            let mut content = Content::default();
            content.add(&record("x"));
            content.cut(counts);
            content.base_sequence(id("a").producer_id(0))
        };
        assert_eq!(cut(&[1, 2]), cut(&[1, 2]));
        assert!(cut(&[1, 2]) != cut(&[1, 1, 1]) && cut(&[1, 2]) != sequence(&[record("x")]));
    }

    #[test]
    fn only_one_visible_id_is_taken() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HEADER, value.parse().unwrap());
            }
            headers
        };
        assert_eq!(RequestId::of(&headers(&[])), Ok(None));
        assert_eq!(RequestId::of(&headers(&[" a b "])), Ok(Some(id("a b"))));
        for wrong in [&["a", "b"][..], &[""], &["ä"], &[&"x".repeat(256)]] {
            assert!(RequestId::of(&headers(wrong)).is_err(), "{wrong:?}");
        }
    }
}
