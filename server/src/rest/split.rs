//! JSON objects one after the other, cut out of bytes that come in pieces.
//!
//! Invariants: each byte is looked at once; what is cut out begins with `{` and ends with its `}`, and is otherwise unchecked.

use bytes::{Bytes, BytesMut};

/// Something that is no object stands between objects.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct NoObject;

/// What came in and is not cut out yet.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    buffer: BytesMut,
    /// How far it was looked at.
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Splitter {
    pub(super) fn add(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// Bytes of an object that is not complete.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole object; nothing when more has to come.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, NoObject> {
        while let Some(byte) = self.buffer.get(self.scanned).copied() {
            self.scanned += 1;
            if self.in_string {
                self.in_string = self.escaped || byte != b'"';
                self.escaped = !self.escaped && byte == b'\\';
                continue;
            }
            match byte {
                b'{' => self.depth += 1,
                b'}' if self.depth == 1 => {
                    self.depth = 0;
                    let whole = self.buffer.split_to(self.scanned).freeze();
                    self.scanned = 0;
                    return Ok(Some(whole));
                }
                b'}' if self.depth > 1 => self.depth -= 1,
                b'"' if self.depth > 0 => self.in_string = true,
                b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => {
                    let _space = self.buffer.split_to(self.scanned);
                    self.scanned = 0;
                }
                _ if self.depth == 0 => return Err(NoObject),
                _ => {}
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&str]) -> Result<Vec<String>, NoObject> {
        let mut splitter = Splitter::default();
        let mut objects = Vec::new();
        for piece in pieces {
            splitter.add(piece.as_bytes());
            while let Some(object) = splitter.next()? {
                objects.push(String::from_utf8(object.to_vec()).unwrap());
            }
        }
        Ok(objects)
    }

    #[test]
    fn objects_are_found_wherever_the_pieces_are_cut() {
        let text = r#" {"a":{"b":"}\"{\\"}} {}
            {"c":[1,"\\\"}"]}"#;
        let whole = all(&[text]).unwrap();
        assert_eq!(whole, [r#"{"a":{"b":"}\"{\\"}}"#, "{}", r#"{"c":[1,"\\\"}"]}"#]);
        for cut in 0..text.len() {
            assert_eq!(all(&[&text[..cut], &text[cut..]]).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_and_what_is_open_waits() {
        for wrong in ["7", "}", "{},{}", "[{}]", "\"{}\""] {
            assert_eq!(all(&[wrong]), Err(NoObject), "{wrong}");
        }
        assert_eq!(all(&["{\"a\":", "\"}"]).unwrap(), Vec::<String>::new());
    }
}
