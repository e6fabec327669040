//! What a request will weigh in memory, found out before it is decoded.
//!
//! Decoded structures are larger than their bytes: an empty topic name is one byte on the wire and more than a hundred as a
//! growing array of structures, so a frame of 100 MiB could become gigabytes although no single length in it is a lie. This walk
//! goes over a body by its layout, allocates nothing, and adds up what each array element will cost.
//!
//! Invariants:
//! 1. A body that the codec decodes is walked to exactly its last field (differential test over all APIs and versions).
//! 2. Elements are charged as they are met, never as they are claimed; each charge counts toward the limit, so the walk ends.
//! 3. A broken body is not reported here: the codec stops at the same place and says it better.

#[rustfmt::skip] // A table reads by its lines.
pub(crate) mod table;

use crate::apis::ServedApi;

/// One field: first version, last version, kind.
pub(crate) type Field = (i16, i16, Kind);

/// How a field is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A string, nullable or not.
    Text,
    /// Bytes or records, nullable or not.
    Blob,
    /// Elements without tagged fields: size of one in memory, and its kind.
    PlainArray(usize, &'static Self),
    /// Structures: size of one in memory, and its fields.
    Array(usize, &'static [Field]),
    /// A structure that is always there. No request has one; the responses that tests make do.
    #[cfg(test)]
    Structure(&'static [Field]),
    /// A structure behind a presence byte.
    Optional(&'static [Field]),
}

/// An array doubles while it grows, so old and new lie side by side: up to three times the elements that it holds.
const GROWTH_FACTOR: usize = 3;
/// The first element makes room for four.
const FIRST_ELEMENT_FACTOR: usize = 4;
/// What an unknown tagged field costs when it is kept: a tag, a byte slice, and growth.
const TAG_BYTES: usize = 48 * GROWTH_FACTOR;
/// No body of a served request weighs more than this many times its bytes (unit test over the layouts).
pub(super) const WEIGHT_PER_BYTE_MAX: usize = 256;

/// Why the walk ended before the last field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum WalkEnd {
    /// The body is broken here.
    Malformed,
    /// The elements so far weigh more than the limit.
    TooHeavy,
}

/// Walks a body. Returns the weight of its structure and how many bytes the fields take.
pub(super) fn weigh(api: &ServedApi, version: i16, body: &[u8], weight_max: usize) -> Result<(usize, usize), WalkEnd> {
    let flexible = api.is_flexible(version);
    let mut walk = Walk { version, flexible, rest: body, weight: 0, weight_max };
    walk.structure(table::layout_of(api.key))?;
    Ok((walk.weight, body.len() - walk.rest.len()))
}

struct Walk<'a> {
    version: i16,
    flexible: bool,
    rest: &'a [u8],
    weight: usize,
    weight_max: usize,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &[Field]) -> Result<(), WalkEnd> {
        for (since, until, kind) in fields {
            if (*since..=*until).contains(&self.version) {
                self.field(kind)?;
            }
        }
        if self.flexible {
            self.tags()?;
        }
        Ok(())
    }

    fn field(&mut self, kind: &Kind) -> Result<(), WalkEnd> {
        match kind {
            Kind::Fixed(bytes) => self.skip(*bytes),
            Kind::Text => {
                let length = if self.flexible { self.compact_length()? } else { self.length_i16()? };
                self.skip(length)
            }
            Kind::Blob => {
                let length = self.array_length()?;
                self.skip(length)
            }
            Kind::PlainArray(element_bytes, element) => {
                for index in 0..self.array_length()? {
                    self.charge_element(*element_bytes, index)?;
                    self.field(element)?;
                }
                Ok(())
            }
            Kind::Array(element_bytes, fields) => {
                for index in 0..self.array_length()? {
                    self.charge_element(*element_bytes, index)?;
                    self.structure(fields)?;
                }
                Ok(())
            }
            #[cfg(test)]
            Kind::Structure(fields) => self.structure(fields),
            Kind::Optional(fields) => {
                let present = self.take::<1>()?[0] < 0x80;
                if present { self.structure(fields) } else { Ok(()) }
            }
        }
    }

    fn tags(&mut self) -> Result<(), WalkEnd> {
        for _ in 0..self.unsigned_varint()? {
            self.charge(TAG_BYTES)?;
            self.unsigned_varint()?;
            let length = self.unsigned_varint()?;
            self.skip(length)?;
        }
        Ok(())
    }

    fn charge_element(&mut self, element_bytes: usize, index: usize) -> Result<(), WalkEnd> {
        let factor = if index == 0 { FIRST_ELEMENT_FACTOR } else { GROWTH_FACTOR };
        self.charge(element_bytes * factor)
    }

    fn charge(&mut self, bytes: usize) -> Result<(), WalkEnd> {
        self.weight += bytes;
        if self.weight > self.weight_max { Err(WalkEnd::TooHeavy) } else { Ok(()) }
    }

    /// A 32-bit or compact length; null counts as empty.
    fn array_length(&mut self) -> Result<usize, WalkEnd> {
        if self.flexible {
            return self.compact_length();
        }
        match i32::from_be_bytes(self.take()?) {
            -1 => Ok(0),
            length => usize::try_from(length).map_err(|_| WalkEnd::Malformed),
        }
    }

    fn length_i16(&mut self) -> Result<usize, WalkEnd> {
        match i16::from_be_bytes(self.take()?) {
            -1 => Ok(0),
            length => usize::try_from(length).map_err(|_| WalkEnd::Malformed),
        }
    }

    fn compact_length(&mut self) -> Result<usize, WalkEnd> {
        Ok(self.unsigned_varint()?.saturating_sub(1))
    }

    fn unsigned_varint(&mut self) -> Result<usize, WalkEnd> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.take::<1>()?[0];
            if shift == 28 && byte & 0xf0 != 0 {
                return Err(WalkEnd::Malformed);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).map_err(|_| WalkEnd::Malformed);
            }
        }
        Err(WalkEnd::Malformed)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], WalkEnd> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(WalkEnd::Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), WalkEnd> {
        self.rest = self.rest.get(bytes..).ok_or(WalkEnd::Malformed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
