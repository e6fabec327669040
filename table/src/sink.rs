//! Where the encoder writes to: bytes that wait to be taken, and the checksum of those since the last mark.
//!
//! What must stay true: bytes are given out once and in order, and none before the row group that they belong to is complete.

use std::io;

/// Gathers written bytes.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    waiting: Vec<u8>,
}

impl Sink {
    /// All bytes that wait; none do then.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.waiting)
    }
}

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
