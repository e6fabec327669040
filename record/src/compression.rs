//! The codecs of record batches, for reading and for writing.
//!
//! What must stay true:
//! 1. No decoder hands out more than the caller's limit, and none reserves memory on the word of its input beyond
//!    that limit. LZ4 alone reserves up to 12 MiB of address space for one block, which it touches as far as it is used.
//! 2. What other clients write is read: gzip with several members, snappy bare (librdkafka, most Go and Rust clients)
//!    and in xerial blocks (Java), LZ4 frames of any block size and mode, zstd with any window.

use std::fmt;
use std::io::{self, Read, Write};

use crate::BatchError;

/// How the records of a batch are compressed. The ids are Kafka's, in the lowest three bits of the attributes.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Gzip, RFC 1952.
    Gzip,
    /// Snappy.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl Compression {
    /// All of them, in the order of their ids.
    pub const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    /// The id in the attributes of a batch.
    pub const fn id(self) -> i16 {
        match self {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        }
    }

    /// The codec with this id.
    pub const fn from_id(id: i16) -> Option<Compression> {
        match id {
            0 => Some(Compression::None),
            1 => Some(Compression::Gzip),
            2 => Some(Compression::Snappy),
            3 => Some(Compression::Lz4),
            4 => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// Kafka's name of the codec, as in `compression.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    /// The codec with this name.
    pub fn from_name(name: &str) -> Option<Compression> {
        Compression::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Opens a stream of xerial blocks, as Java's snappy streams write them.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];

/// Magic, then the version that wrote the stream and the oldest that can read it.
const XERIAL_HEADER_BYTES: usize = 16;

/// What Java puts into one block.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

/// No snappy element makes more of its input: three bytes copy at most 64.
const SNAPPY_EXPANSION_MAX: usize = 22;

/// Opens an LZ4 frame, little-endian. The older "legacy" frame is not Kafka's.
const LZ4_FRAME_MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();

/// What zstd is given for output at first when its frame does not say how much it needs.
const ZSTD_FIRST_OUTPUT_BYTES: usize = 64 * 1024;

/// A 128 KiB block of one repeated byte takes four bytes: no zstd input makes more than this of itself.
const ZSTD_EXPANSION_MAX: usize = 128 * 1024 / 4 + 1;

/// Decompresses `input`, which is refused when it comes to more than `limit_bytes`.
pub(crate) fn decompress(codec: Compression, input: &[u8], limit_bytes: usize) -> Result<Vec<u8>, BatchError> {
    let decoded = match codec {
        Compression::None => {
            if input.len() > limit_bytes {
                Err(DecodeFailure::TooLarge)
            } else {
                Ok(input.to_vec())
            }
        }
        Compression::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(input), input.len(), limit_bytes),
        Compression::Snappy => decompress_snappy(input, limit_bytes),
        Compression::Lz4 => decompress_lz4(input, limit_bytes),
        Compression::Zstd => decompress_zstd(input, limit_bytes),
    };
    decoded.map_err(|failure| match failure {
        DecodeFailure::TooLarge => BatchError::DecompressedTooLarge { limit_bytes },
        DecodeFailure::Malformed(reason) => BatchError::Decompression { codec, reason },
    })
}

/// Why a decoder gave up.
enum DecodeFailure {
    TooLarge,
    Malformed(String),
}

impl DecodeFailure {
    fn malformed(reason: impl fmt::Display) -> DecodeFailure {
        DecodeFailure::Malformed(reason.to_string())
    }
}

/// Reads to the end, growing the output as it fills and never past the limit.
fn read_bounded(mut reader: impl Read, input_bytes: usize, limit_bytes: usize) -> Result<Vec<u8>, DecodeFailure> {
    let mut output = vec![0; input_bytes.saturating_mul(4).clamp(512, 64 * 1024).min(limit_bytes)];
    let mut filled = 0;
    loop {
        if filled == output.len() {
            if filled == limit_bytes {
                return at_end(&mut reader).map(|()| output);
            }
            let grown_bytes = output.len().saturating_mul(2).min(limit_bytes);
            output.reserve_exact(grown_bytes - filled);
            output.resize(grown_bytes, 0);
        }
        match reader.read(&mut output[filled..]) {
            Ok(0) => {
                output.truncate(filled);
                return Ok(output);
            }
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(DecodeFailure::malformed(error)),
        }
    }
}

/// Checks that a reader whose output has filled the limit has no byte more.
fn at_end(reader: &mut impl Read) -> Result<(), DecodeFailure> {
    match reader.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(DecodeFailure::TooLarge),
        Err(error) => Err(DecodeFailure::malformed(error)),
    }
}

fn decompress_snappy(input: &[u8], limit_bytes: usize) -> Result<Vec<u8>, DecodeFailure> {
    let mut output = Vec::new();
    if !input.starts_with(&XERIAL_MAGIC) {
        append_snappy_block(input, &mut output, limit_bytes)?;
        return Ok(output);
    }
    let mut rest = input;
    while !rest.is_empty() {
        // Streams may be joined end to end, so a header may stand wherever a block may.
        if rest.starts_with(&XERIAL_MAGIC) {
            rest = rest.get(XERIAL_HEADER_BYTES..).ok_or_else(|| DecodeFailure::malformed("xerial header cut off"))?;
            continue;
        }
        let (length, after) =
            rest.split_first_chunk::<4>().ok_or_else(|| DecodeFailure::malformed("xerial block length cut off"))?;
        let length = usize::try_from(i32::from_be_bytes(*length))
            .map_err(|_| DecodeFailure::malformed("negative xerial block length"))?;
        let (block, after) =
            after.split_at_checked(length).ok_or_else(|| DecodeFailure::malformed("xerial block cut off"))?;
        append_snappy_block(block, &mut output, limit_bytes)?;
        rest = after;
    }
    Ok(output)
}

fn append_snappy_block(block: &[u8], output: &mut Vec<u8>, limit_bytes: usize) -> Result<(), DecodeFailure> {
    let length = snap::raw::decompress_len(block).map_err(DecodeFailure::malformed)?;
    if length > block.len().saturating_mul(SNAPPY_EXPANSION_MAX) {
        return Err(DecodeFailure::malformed("declared length is beyond what the input can hold"));
    }
    let start = output.len();
    let end = start.saturating_add(length);
    if end > limit_bytes {
        return Err(DecodeFailure::TooLarge);
    }
    output.resize(end, 0);
    let written =
        snap::raw::Decoder::new().decompress(block, &mut output[start..]).map_err(DecodeFailure::malformed)?;
    output.truncate(start + written);
    Ok(())
}

fn decompress_lz4(input: &[u8], limit_bytes: usize) -> Result<Vec<u8>, DecodeFailure> {
    if !input.starts_with(&LZ4_FRAME_MAGIC) {
        return Err(DecodeFailure::malformed("not an LZ4 frame"));
    }
    // Ends with the first frame, as Java's reader does.
    read_bounded(lz4_flex::frame::FrameDecoder::new(input), input.len(), limit_bytes)
}

fn decompress_zstd(input: &[u8], limit_bytes: usize) -> Result<Vec<u8>, DecodeFailure> {
    // Decoding in one go uses the output as the window, so that the window size a frame declares costs nothing.
    let declared_bytes = zstd::zstd_safe::get_frame_content_size(input)
        .map_err(|_| DecodeFailure::malformed("not a zstd frame"))?
        .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if declared_bytes.is_some_and(|bytes| bytes > limit_bytes) {
        return Err(DecodeFailure::TooLarge);
    }
    let possible_bytes = input.len().saturating_mul(ZSTD_EXPANSION_MAX).min(limit_bytes);
    let mut capacity_bytes = declared_bytes
        .unwrap_or_else(|| input.len().saturating_mul(4).max(ZSTD_FIRST_OUTPUT_BYTES))
        .min(possible_bytes);
    let mut decoder = zstd::bulk::Decompressor::new().map_err(DecodeFailure::malformed)?;
    loop {
        let mut output = Vec::with_capacity(capacity_bytes);
        match decoder.decompress_to_buffer(input, &mut output) {
            Ok(_) if output.len() > limit_bytes => return Err(DecodeFailure::TooLarge),
            Ok(_) => return Ok(output),
            Err(error) if !is_output_too_small(&error) => {
                return Err(DecodeFailure::malformed(error));
            }
            Err(_) if capacity_bytes >= possible_bytes => return Err(DecodeFailure::TooLarge),
            Err(_) => capacity_bytes = capacity_bytes.saturating_mul(4).clamp(1, possible_bytes),
        }
    }
}

/// The binding gives the C library's error by its name alone.
fn is_output_too_small(error: &io::Error) -> bool {
    error.to_string().contains("Destination buffer is too small")
}

/// Compresses `input`. `None` where the codec fails, which takes an allocation failure or more than 4 GiB of input.
pub(crate) fn compress(codec: Compression, input: &[u8]) -> Option<Vec<u8>> {
    match codec {
        Compression::None => Some(input.to_vec()),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(input).ok()?;
            encoder.finish().ok()
        }
        Compression::Snappy => compress_snappy(input),
        Compression::Lz4 => {
            // What Java and librdkafka write: independent blocks of 64 KiB.
            let info = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(input).ok()?;
            encoder.finish().ok()
        }
        Compression::Zstd => zstd::bulk::compress(input, zstd::DEFAULT_COMPRESSION_LEVEL).ok(),
    }
}

/// Xerial blocks, since the Java client writes them and so every client reads them.
fn compress_snappy(input: &[u8]) -> Option<Vec<u8>> {
    let mut output = Vec::with_capacity(XERIAL_HEADER_BYTES + input.len() / 2);
    output.extend_from_slice(&XERIAL_MAGIC);
    output.extend_from_slice(&1_i32.to_be_bytes());
    output.extend_from_slice(&1_i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(XERIAL_BLOCK_BYTES) {
        let compressed = encoder.compress_vec(block).ok()?;
        output.extend_from_slice(&i32::try_from(compressed.len()).ok()?.to_be_bytes());
        output.extend_from_slice(&compressed);
    }
    Some(output)
}

#[cfg(test)]
mod tests;
