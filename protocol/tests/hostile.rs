//! Hostile bytes: nothing panics, and no more memory is taken than the limits allow.
//!
//! A counting allocator watches the whole process, so the tests here take turns.

#[path = "../fuzz/entry.rs"]
mod entry;

use std::sync::{Mutex, MutexGuard, PoisonError};

use alluvium_protocol::apis::{SERVED, ServedApi};
use alluvium_protocol::frame::FrameLimits;
use alluvium_protocol::request::RequestHeader;
use bytes::Bytes;
use peak_alloc::PeakAlloc;
use proptest::prelude::*;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most memory that was held at once while `act` ran, beyond what was held before.
///
/// Other threads may allocate meanwhile (the next test begins, a property's next case is made), so what seems to be more than `allowed`
/// is measured again; what `act` itself takes, it takes each time.
fn peak_bytes(allowed: usize, act: impl Fn()) -> usize {
    let measure = || {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        act();
        ALLOCATOR.peak_usage().saturating_sub(before)
    };
    let mut least = usize::MAX;
    for _ in 0..20 {
        least = least.min(measure());
        if least <= allowed {
            break;
        }
    }
    least
}

/// What does not depend on the input: error values, the handles of shared buffers, a frame that is encoded again.
fn allowance(body: &Bytes) -> usize {
    16 * 1024 + 4 * body.len()
}

fn header(api: &ServedApi, api_version: i16) -> RequestHeader {
    RequestHeader { api_key: api.code, api_version, correlation_id: 1, client_id: None }
}

/// Oldest, newest, and first flexible version.
fn telling_versions(api: &ServedApi) -> Vec<i16> {
    let mut versions = vec![api.version_min, api.version_max];
    if api.serves(api.flexible_min) {
        versions.push(api.flexible_min);
    }
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// `prefix` quiet bytes, a claim of very many elements, then the smallest possible elements.
fn claims(flexible: bool, prefix: usize, body_bytes: usize) -> Vec<Bytes> {
    let claim: &[u8] = if flexible { &[0xff, 0xff, 0x7f] } else { &[0, 0x0f, 0xff, 0xff] };
    let fillings: &[&[u8]] =
        if flexible { &[&[1], &[1, 0], &[1, 1, 0], &[2, 1, 0, 0]] } else { &[&[0], &[0xff, 0xff]] };
    let quiet: &[&[u8]] = if flexible { &[&[0], &[1]] } else { &[&[0]] };
    let mut bodies = Vec::new();
    for quiet in quiet {
        for filling in fillings {
            let mut body: Vec<u8> = quiet.iter().copied().cycle().take(prefix).collect();
            body.extend_from_slice(claim);
            body.extend(filling.iter().copied().cycle().take(body_bytes - body.len()));
            bodies.push(Bytes::from(body));
        }
    }
    bodies
}

#[test]
fn memory_stays_within_the_limits_whatever_is_claimed() {
    let _turn = turn();
    let limits = FrameLimits { frame_bytes_max: 64 * 1024, structure_bytes_max: 512 * 1024, ..FrameLimits::default() };
    let mut heaviest = 0;
    for api in SERVED {
        for version in telling_versions(api) {
            for prefix in 0..12 {
                for body in claims(api.is_flexible(version), prefix, 30 * 1024) {
                    let allowed = limits.structure_bytes_max + allowance(&body);
                    let peak = peak_bytes(allowed, || {
                        entry::receive_body(&header(api, version), body.clone(), &limits);
                    });
                    assert!(peak <= allowed, "{} v{version}, prefix {prefix}: {peak} bytes", api.name);
                    heaviest = heaviest.max(peak);
                }
            }
        }
    }
    assert!(heaviest > 256 * 1024, "the bodies were meant to be heavy, the heaviest took {heaviest} bytes");
}

#[test]
fn four_bytes_take_no_memory() {
    let _turn = turn();
    for api in SERVED {
        for version in api.version_min..=api.version_max {
            for bytes in [[0x7f, 0xff, 0xff, 0xff], [0xff; 4], [0x80, 0, 0, 0], [0, 0x0f, 0x42, 0x40]] {
                let body = Bytes::copy_from_slice(&bytes);
                let peak = peak_bytes(4096, || {
                    entry::receive_body(&header(api, version), body.clone(), &FrameLimits::default());
                });
                assert!(peak <= 4096, "{} v{version}: {peak} bytes", api.name);
            }
        }
    }
}

#[test]
fn long_lists_that_are_true_are_decoded() {
    let _turn = turn();
    // OffsetCommit version 2: 100,000 partitions of one topic, 18 bytes each.
    let mut body = vec![0, 1, b'g', 0, 0, 0, 1, 0, 1, b'm'];
    body.extend((-1_i64).to_be_bytes());
    body.extend([0, 0, 0, 1, 0, 1, b't']);
    body.extend(100_000_i32.to_be_bytes());
    for partition in 0..100_000_i32 {
        body.extend(partition.to_be_bytes());
        body.extend([0; 8]);
        body.extend([0xff, 0xff]);
    }
    let body = Bytes::from(body);
    let api = alluvium_protocol::apis::served(8).unwrap();
    assert!(entry::receive_body(&header(api, 2), body, &FrameLimits::default()));
}

/// A frame of each API and version that has at least one element in every array, or nearly: mostly ones.
fn frame_bytes(api: &ServedApi, version: i16, filling: u8, length: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(api.code.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0xff, 0xff]);
    if api.is_flexible(version) {
        frame.push(0);
    }
    frame.extend(std::iter::repeat_n(filling, length));
    frame
}

#[test]
fn frames_cut_at_each_byte_do_not_panic() {
    let _turn = turn();
    let limits = FrameLimits::default();
    let mut decoded = 0;
    for api in SERVED {
        for version in api.version_min..=api.version_max {
            for filling in [0, 1, 2] {
                let frame = Bytes::from(frame_bytes(api, version, filling, 120));
                for length in 0..=frame.len() {
                    decoded += usize::from(entry::receive_frame(frame.slice(..length), &limits));
                }
            }
        }
    }
    assert!(decoded > 1000, "only {decoded} of the frames were decoded");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _turn = turn();
        entry::receive(&bytes, &FrameLimits::default());
        entry::receive_frame(Bytes::from(bytes), &FrameLimits::default());
    }

    #[test]
    fn any_body_under_any_header_does_not_panic(
        row in 0..SERVED.len(),
        step in 0..20_i16,
        body in proptest::collection::vec(prop_oneof![4 => 0..4_u8, 1 => any::<u8>()], 0..300),
    ) {
        let _turn = turn();
        let api = &SERVED[row];
        let version = api.advertised_min + step % (api.version_max - api.advertised_min + 1);
        let limits = FrameLimits::default();
        let body = Bytes::from(body);
        let allowed = limits.structure_bytes_max.min(256 * body.len()) + allowance(&body);
        let peak = peak_bytes(allowed, || {
            entry::receive_body(&header(api, version), body.clone(), &limits);
        });
        prop_assert!(peak <= allowed, "{} v{}: {} bytes", api.name, version, peak);
    }
}
