//! The checksums of what is not a row group: the indexes, and the footer itself.
//!
//! ```text
//! PAR1 | row groups | indexes and bloom filters | metadata | length of the metadata u32, little endian | PAR1
//!                                                \-------------------- footer --------------------------/
//! ```
//! Parquet has no checksum of its footer, and one bit there can turn one column into another. So the last of the key-value
//! metadata is the CRC-32C of the footer, computed with zeros in its place and written over them.
//!
//! What must stay true: a footer is believed only after [`check`].

use alluvium_record::crc32c;

use crate::facts::{FOOTER_CRC, INDEX_CRC, NO_CRC};

/// The length of the metadata and the magic.
pub(crate) const TRAILER_BYTES: usize = 8;
/// What a file begins and ends with.
pub(crate) const MAGIC: &[u8; 4] = b"PAR1";

/// What thrift's compact protocol has between a key and a value of eight bytes: the second field, bytes, and their number.
const BETWEEN: [u8; 2] = [0x18, NO_CRC.len() as u8];

/// The length of the footer that a file with these last bytes has.
pub(crate) fn footer_bytes(end: &[u8]) -> Option<usize> {
    let (_, trailer) = end.split_last_chunk::<TRAILER_BYTES>()?;
    let [length @ .., _, _, _, _] = trailer;
    if !trailer.ends_with(MAGIC) {
        return None;
    }
    usize::try_from(u32::from_le_bytes(*length)).ok()?.checked_add(TRAILER_BYTES)
}

/// Writes the checksums into the end of a file, from behind its last row group; gives the length of the footer.
pub(crate) fn seal(end: &mut [u8]) -> Option<usize> {
    let footer_bytes = footer_bytes(end)?;
    let (index, footer) = end.split_at_mut_checked(end.len().checked_sub(footer_bytes)?)?;
    let index_at = find(footer, INDEX_CRC)?;
    write(footer, index_at, crc32c(index));
    let footer_at = find(footer, FOOTER_CRC)?;
    write(footer, footer_at, 0);
    let crc = crc32c(footer);
    write(footer, footer_at, crc);
    Some(footer_bytes)
}

/// Whether a footer, trailer included, has the checksum that it says.
pub(crate) fn check(footer: &[u8]) -> bool {
    let Some(at) = find(footer, FOOTER_CRC) else { return false };
    let digits = &footer[at..at + NO_CRC.len()];
    let Some(stored) = std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
        return false;
    };
    // A digit in upper case would be another byte of the same number.
    if digits.iter().any(u8::is_ascii_uppercase) {
        return false;
    }
    let mut blank = footer.to_vec();
    write(&mut blank, at, 0);
    crc32c(&blank) == stored
}

/// Where the digits under this key stand; the last place counts, since nothing a user chose comes behind it.
fn find(footer: &[u8], key: &str) -> Option<usize> {
    let pattern = [key.as_bytes(), &BETWEEN].concat();
    let at = footer.windows(pattern.len()).rposition(|window| window == pattern)? + pattern.len();
    (at + NO_CRC.len() <= footer.len()).then_some(at)
}

fn write(footer: &mut [u8], at: usize, crc: u32) {
    let digits = format!("{crc:08x}");
    footer[at..at + digits.len()].copy_from_slice(digits.as_bytes());
}
