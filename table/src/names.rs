//! Header names as text, for query engines: Kafka takes names of any bytes, a Parquet string takes UTF-8 alone.
//!
//! What must stay true: a name that is UTF-8 stays as it is; of any other each byte that is not part of a character is written
//! as `\x` and two digits. That is for people: the bytes stand in a column of their own.

use std::borrow::Cow;
use std::fmt::Write;

/// The name as text.
pub fn text_of(name: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(name) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(name.len() + 8);
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing into a string cannot fail.
            let _written = write!(text, "\\x{byte:02x}");
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_and_other_bytes_are_escaped() {
        assert_eq!(text_of(b""), "");
        assert_eq!(text_of("na\u{ef}ve \\x00".as_bytes()), "na\u{ef}ve \\x00");
        assert_eq!(text_of(b"a\xffb\xc3"), "a\\xffb\\xc3");
    }
}
