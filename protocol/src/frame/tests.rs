//! Lengths, limits and other protocols at the door.

use super::*;

fn length(bytes: [u8; 4]) -> Result<usize, FrameError> {
    frame_length(bytes, &FrameLimits::with_frame_bytes_max(1000))
}

#[test]
fn lengths_within_the_limit_pass() {
    assert_eq!(length([0, 0, 0, 4]), Ok(4));
    assert_eq!(length(1000_i32.to_be_bytes()), Ok(1000));
}

#[test]
fn wrong_lengths_are_told_apart() {
    assert_eq!(length([0, 0, 0, 0]), Err(FrameError::TooShort { length: 0 }));
    assert_eq!(length([0, 0, 0, 3]), Err(FrameError::TooShort { length: 3 }));
    assert_eq!(length(1001_i32.to_be_bytes()), Err(FrameError::TooLarge { length: 1001, limit: 1000 }));
    assert_eq!(length([0xff; 4]), Err(FrameError::Negative { length: -1 }));
}

#[test]
fn other_protocols_are_named() {
    let cases: [(&[u8; 4], &str); 9] = [
        (b"GET ", "HTTP"),
        (b"POST", "HTTP"),
        (b"PRI ", "HTTP/2"),
        (b"SSH-", "SSH"),
        (b"PROX", "the PROXY protocol"),
        (&[0x0d, 0x0a, 0x0d, 0x0a], "the PROXY protocol"),
        (&[0x16, 0x03, 0x01, 0x02], "TLS"),
        (&[0x16, 0x03, 0x03, 0x00], "TLS"),
        (&[0x15, 0x03, 0x03, 0x00], "TLS"),
    ];
    for (bytes, expected) in cases {
        match frame_length(*bytes, &FrameLimits::default()) {
            Err(FrameError::OtherProtocol { protocol, .. }) => assert_eq!(protocol, expected),
            other => panic!("{bytes:?}: {other:?}"),
        }
    }
    let message = frame_length(*b"GET ", &FrameLimits::default()).unwrap_err().to_string();
    assert_eq!(message, "the peer speaks HTTP, this port speaks Kafka: use a Kafka client, or the HTTP port");
}
