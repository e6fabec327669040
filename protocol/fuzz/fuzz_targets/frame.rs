//! Any bytes as what a peer sends: `cargo +nightly fuzz run frame`.

#![no_main]

#[path = "../entry.rs"]
mod entry;

use alluvium_protocol::frame::FrameLimits;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Small limits, so that the fuzzer reaches them.
    let limits = FrameLimits { frame_bytes_max: 64 * 1024, structure_bytes_max: 256 * 1024, ..FrameLimits::default() };
    entry::receive(bytes, &limits);
    entry::receive_frame(Bytes::copy_from_slice(bytes), &limits);
});
