//! Sums that add up: a checksum of records that does not depend on their order, nor on the files they are in.
//!
//! What must stay true:
//! 1. The sum of records is the sum, modulo 2^128, of the XxHash3-128 (seed 0) of each record's bytes as
//!    [`RecordHasher`] writes them: big endian, a length before all bytes, -1 for null. These bytes never change.
//! 2. Sums of parts add up to the sum of the whole, however it is divided.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;

use alluvium_record::TimestampType;
use twox_hash::XxHash3_128;

use crate::row::Row;

/// The checksum of any number of records. That of none is 0.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
pub struct RecordSum(pub u128);

impl RecordSum {
    /// The 16 bytes of the sum, big endian.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// A sum from its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> RecordSum {
        RecordSum(u128::from_be_bytes(bytes))
    }
}

impl Add for RecordSum {
    type Output = RecordSum;

    fn add(self, other: RecordSum) -> RecordSum {
        RecordSum(self.0.wrapping_add(other.0))
    }
}

impl AddAssign for RecordSum {
    fn add_assign(&mut self, other: RecordSum) {
        *self = *self + other;
    }
}

impl Sub for RecordSum {
    type Output = RecordSum;

    fn sub(self, other: RecordSum) -> RecordSum {
        RecordSum(self.0.wrapping_sub(other.0))
    }
}

impl SubAssign for RecordSum {
    fn sub_assign(&mut self, other: RecordSum) {
        *self = *self - other;
    }
}

impl Sum for RecordSum {
    fn sum<I: Iterator<Item = RecordSum>>(sums: I) -> RecordSum {
        sums.fold(RecordSum::default(), Add::add)
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for RecordSum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for RecordSum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RecordSum({self})")
    }
}

impl FromStr for RecordSum {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<RecordSum, std::num::ParseIntError> {
        u128::from_str_radix(text, 16).map(RecordSum)
    }
}

/// How many records, and their sum.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct RecordTally {
    /// How many.
    pub record_count: u64,
    /// Their sum.
    pub sum: RecordSum,
}

impl RecordTally {
    /// Counts one more record.
    pub fn count(&mut self, sum: RecordSum) {
        self.record_count += 1;
        self.sum += sum;
    }
}

impl Add for RecordTally {
    type Output = RecordTally;

    fn add(self, other: RecordTally) -> RecordTally {
        RecordTally { record_count: self.record_count + other.record_count, sum: self.sum + other.sum }
    }
}

impl AddAssign for RecordTally {
    fn add_assign(&mut self, other: RecordTally) {
        *self = *self + other;
    }
}

impl Sum for RecordTally {
    fn sum<I: Iterator<Item = RecordTally>>(tallies: I) -> RecordTally {
        tallies.fold(RecordTally::default(), Add::add)
    }
}

/// Computes the sums of single records. Keeps a buffer, so that no record costs an allocation.
#[derive(Clone, Debug, Default)]
pub struct RecordHasher {
    buffer: Vec<u8>,
}

impl RecordHasher {
    /// The sum of one record.
    pub fn sum(&mut self, row: &Row<'_>) -> RecordSum {
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.extend_from_slice(&row.offset.to_be_bytes());
        buffer.extend_from_slice(&row.timestamp.to_be_bytes());
        buffer.push(match row.timestamp_type() {
            TimestampType::CreateTime => 0,
            TimestampType::LogAppendTime => 1,
        });
        write_nullable(buffer, row.key);
        write_nullable(buffer, row.value);
        write_length(buffer, row.headers.len());
        for header in row.headers {
            write_nullable(buffer, Some(header.name));
            write_nullable(buffer, header.value);
        }
        RecordSum(XxHash3_128::oneshot(buffer))
    }
}

fn write_length(buffer: &mut Vec<u8>, length: usize) {
    // Kafka's lengths are 32 bits and signed: nothing is cut.
    buffer.extend_from_slice(&(length as i32).to_be_bytes());
}

fn write_nullable(buffer: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => buffer.extend_from_slice(&(-1_i32).to_be_bytes()),
        Some(value) => {
            write_length(buffer, value.len());
            buffer.extend_from_slice(value);
        }
    }
}
