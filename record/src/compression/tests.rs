use std::io::Write;

use proptest::prelude::*;

use super::*;

const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn compressed(codec: Compression, input: &[u8]) -> Vec<u8> {
    compress(codec, input).expect("compresses")
}

/// Bytes that compress, but not to nothing.
fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|position| (position * position / 61) as u8).collect()
}

#[test]
fn the_limit_is_exact() {
    for codec in Compression::ALL {
        for length in [0, 1, 511, 512, 513, 65_535, 65_536, 65_537, 300_000] {
            let input = sample(length);
            let packed = compressed(codec, &input);
            assert_eq!(decompress(codec, &packed, length).as_ref(), Ok(&input), "{codec} {length}");
            assert_eq!(decompress(codec, &packed, length + 1).as_ref(), Ok(&input), "{codec} {length}");
            if length > 0 {
                let limit_bytes = length - 1;
                let refused = decompress(codec, &packed, limit_bytes);
                assert_eq!(refused, Err(BatchError::DecompressedTooLarge { limit_bytes }), "{codec} {length}");
                assert_eq!(decompress(codec, &packed, 0), Err(BatchError::DecompressedTooLarge { limit_bytes: 0 }));
            }
        }
    }
}

#[test]
fn bombs_stop_at_the_limit() {
    let input = vec![0; 32 << 20];
    for codec in CODECS {
        let packed = compressed(codec, &input);
        assert!(packed.len() < input.len() / 15, "{codec}");
        let limit_bytes = 1 << 20;
        assert_eq!(decompress(codec, &packed, limit_bytes), Err(BatchError::DecompressedTooLarge { limit_bytes }));
    }
}

#[test]
fn gzip_of_several_members() {
    let (first, second) = (sample(1000), sample(70_000));
    let packed = [compressed(Compression::Gzip, &first), compressed(Compression::Gzip, &second)].concat();
    assert_eq!(decompress(Compression::Gzip, &packed, 71_000), Ok([first, second].concat()));
    assert!(decompress(Compression::Gzip, &packed, 70_999).is_err());
}

#[test]
fn snappy_bare_and_joined_streams() {
    let input = sample(100_000);
    let bare = snap::raw::Encoder::new().compress_vec(&input).unwrap();
    assert_eq!(decompress(Compression::Snappy, &bare, 100_000).as_ref(), Ok(&input));
    let framed = compressed(Compression::Snappy, &input);
    assert_eq!(framed[..16], [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    let joined = [framed.clone(), framed].concat();
    assert_eq!(decompress(Compression::Snappy, &joined, 200_000), Ok([input.clone(), input].concat()));
}

#[test]
fn snappy_that_claims_too_much_is_refused_before_it_costs() {
    // A preamble of 4 GiB less one, and then nothing.
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let refused = decompress(Compression::Snappy, &claim, usize::MAX);
    assert!(matches!(refused, Err(BatchError::Decompression { codec: Compression::Snappy, .. })), "{refused:?}");
}

#[test]
fn xerial_blocks_that_are_cut_off() {
    let framed = compressed(Compression::Snappy, b"alluvium");
    for cut in 9..framed.len() {
        if cut != XERIAL_HEADER_BYTES {
            assert!(decompress(Compression::Snappy, &framed[..cut], 100).is_err(), "{cut}");
        }
    }
    let mut negative = framed;
    negative[16] = 0xff;
    assert!(decompress(Compression::Snappy, &negative, 100).is_err());
}

#[test]
fn lz4_frames_of_every_shape() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let input = sample(400_000);
    for block_size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
        for block_mode in [BlockMode::Independent, BlockMode::Linked] {
            let info = FrameInfo::new()
                .block_size(block_size)
                .block_mode(block_mode)
                .block_checksums(true)
                .content_checksum(true);
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(&input).unwrap();
            let packed = encoder.finish().unwrap();
            assert_eq!(decompress(Compression::Lz4, &packed, 400_000).as_ref(), Ok(&input), "{block_size:?}");
        }
    }
    assert!(decompress(Compression::Lz4, &0x184c_2102_u32.to_le_bytes(), 10).is_err(), "the legacy frame");
    assert!(decompress(Compression::Lz4, &[], 10).is_err());
}

#[test]
fn lz4_ends_with_its_first_frame() {
    let first = compressed(Compression::Lz4, b"first");
    let joined = [first, compressed(Compression::Lz4, &sample(200_000))].concat();
    assert_eq!(decompress(Compression::Lz4, &joined, 300_000), Ok(b"first".to_vec()));
}

#[test]
fn zstd_without_a_declared_size_and_with_a_wide_window() {
    let input = sample(3_000_000);
    for window_log in [10, 24, 27] {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(&input).unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&packed).ok(), Some(None));
        assert_eq!(decompress(Compression::Zstd, &packed, 3_000_000).as_ref(), Ok(&input), "{window_log}");
        assert!(decompress(Compression::Zstd, &packed, 2_999_999).is_err(), "{window_log}");
    }
}

#[test]
fn zstd_of_several_frames() {
    let (first, second) = (sample(1000), sample(500_000));
    let packed = [compressed(Compression::Zstd, &first), compressed(Compression::Zstd, &second)].concat();
    let limit_bytes = 501_000;
    assert_eq!(decompress(Compression::Zstd, &packed, limit_bytes), Ok([first, second].concat()));
    let limit_bytes = limit_bytes - 1;
    assert_eq!(
        decompress(Compression::Zstd, &packed, limit_bytes),
        Err(BatchError::DecompressedTooLarge { limit_bytes })
    );
}

#[test]
fn zstd_that_declares_too_much() {
    // Magic, a descriptor with an 8-byte content size in a single segment, and 2^60 as that size.
    let mut claim = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    claim.extend_from_slice(&(1_u64 << 60).to_le_bytes());
    claim.extend_from_slice(&[0; 16]);
    assert_eq!(
        decompress(Compression::Zstd, &claim, 1 << 20),
        Err(BatchError::DecompressedTooLarge { limit_bytes: 1 << 20 })
    );
    assert!(decompress(Compression::Zstd, &claim, usize::MAX).is_err());
}

#[test]
fn names_and_ids_go_both_ways() {
    for codec in Compression::ALL {
        assert_eq!(Compression::from_id(codec.id()), Some(codec));
        assert_eq!(Compression::from_name(&codec.to_string()), Some(codec));
    }
    assert_eq!((Compression::from_id(5), Compression::from_id(-1)), (None, None));
    assert_eq!(Compression::from_name("brotli"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn round_trips(input in prop::collection::vec(any::<u8>(), 0..2000), repeat in 1_usize..60) {
        let input = input.repeat(repeat);
        for codec in Compression::ALL {
            prop_assert_eq!(decompress(codec, &compressed(codec, &input), input.len()).unwrap(), &input[..]);
        }
    }

    #[test]
    fn damaged_input_is_refused_or_stays_within_the_limit(
        length in 0_usize..20_000,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        for codec in CODECS {
            let mut packed = compressed(codec, &sample(length));
            for (position, byte) in &damage {
                let position = position.index(packed.len());
                packed[position] = *byte;
            }
            for packed in [&packed[..], &packed[..cut.index(packed.len() + 1)]] {
                if let Ok(output) = decompress(codec, packed, 10_000) {
                    prop_assert!(output.len() <= 10_000);
                }
            }
        }
    }

    #[test]
    fn noise_is_refused_or_stays_within_the_limit(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        limit_bytes in 0_usize..3000,
    ) {
        let magics: [&[u8]; 5] = [&[], &XERIAL_MAGIC, &LZ4_FRAME_MAGIC, &[0x28, 0xb5, 0x2f, 0xfd], &[0x1f, 0x8b, 8]];
        for magic in magics {
            let input = [magic, &noise].concat();
            for codec in Compression::ALL {
                if let Ok(output) = decompress(codec, &input, limit_bytes) {
                    prop_assert!(output.len() <= limit_bytes);
                }
            }
        }
    }
}
