//! Kafka's variable-length integers: zigzag, then groups of seven bits, least significant first.
//!
//! Reading takes at most 5 (32 bits) or 10 (64 bits) bytes and refuses bits that do not fit, so that no value has
//! a reading that depends on the reader.

/// Reads a 32-bit varint at `position` and moves past it. `None` where it is cut off or too long.
pub(crate) fn read_i32(bytes: &[u8], position: &mut usize) -> Option<i32> {
    let raw = u32::try_from(read_groups(bytes, position, 5)?).ok()?;
    Some(((raw >> 1) as i32) ^ -((raw & 1) as i32))
}

/// Reads a 64-bit varint at `position` and moves past it. `None` where it is cut off or too long.
pub(crate) fn read_i64(bytes: &[u8], position: &mut usize) -> Option<i64> {
    let raw = read_groups(bytes, position, 10)?;
    Some(((raw >> 1) as i64) ^ -((raw & 1) as i64))
}

fn read_groups(bytes: &[u8], position: &mut usize, bytes_max: u32) -> Option<u64> {
    let mut value = 0_u64;
    for group in 0..bytes_max {
        let byte = *bytes.get(*position)?;
        *position += 1;
        let bits = u64::from(byte & 0x7f);
        // Only the tenth group can push bits out of the top.
        let shifted = bits << (7 * group);
        if shifted >> (7 * group) != bits {
            return None;
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Appends `value` as a 32-bit varint.
pub(crate) fn write_i32(out: &mut Vec<u8>, value: i32) {
    write_groups(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

/// Appends `value` as a 64-bit varint.
pub(crate) fn write_i64(out: &mut Vec<u8>, value: i64) {
    write_groups(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn write_groups(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The bytes that [`write_i32`] takes for `value`.
pub(crate) fn bytes_of_i32(value: i32) -> usize {
    bytes_of_groups(u64::from(((value << 1) ^ (value >> 31)) as u32))
}

/// The bytes that [`write_i64`] takes for `value`.
pub(crate) fn bytes_of_i64(value: i64) -> usize {
    bytes_of_groups(((value << 1) ^ (value >> 63)) as u64)
}

fn bytes_of_groups(value: u64) -> usize {
    let bits = (u64::BITS - (value | 1).leading_zeros()) as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_encodings() {
        // From the zigzag table: 0, -1, 1, -2, 63, -64, 64, and the extremes.
        let cases: [(i32, &[u8]); 9] = [
            (0, &[0x00]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (-2, &[0x03]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ];
        for (value, encoded) in cases {
            let mut out = Vec::new();
            write_i32(&mut out, value);
            assert_eq!(out, encoded, "{value}");
            assert_eq!(read_i32(encoded, &mut 0), Some(value));
        }
    }

    #[test]
    fn too_long_and_cut_off_are_refused() {
        assert_eq!(read_i32(&[], &mut 0), None);
        assert_eq!(read_i32(&[0x80], &mut 0), None);
        assert_eq!(read_i32(&[0x80; 6], &mut 0), None);
        assert_eq!(read_i32(&[0xff, 0xff, 0xff, 0xff, 0x1f], &mut 0), None, "33 bits");
        assert_eq!(read_i64(&[0x80; 11], &mut 0), None);
        let mut beyond = [0xff; 10];
        beyond[9] = 0x02;
        assert_eq!(read_i64(&beyond, &mut 0), None, "65 bits");
        beyond[9] = 0x01;
        assert_eq!(read_i64(&beyond, &mut 0), Some(i64::MIN));
    }

    proptest! {
        #[test]
        fn round_trips(narrow: i32, wide: i64) {
            let mut out = Vec::new();
            write_i32(&mut out, narrow);
            prop_assert_eq!(out.len(), bytes_of_i32(narrow));
            write_i64(&mut out, wide);
            prop_assert_eq!(out.len(), bytes_of_i32(narrow) + bytes_of_i64(wide));
            let mut position = 0;
            prop_assert_eq!(read_i32(&out, &mut position), Some(narrow));
            prop_assert_eq!(read_i64(&out, &mut position), Some(wide));
            prop_assert_eq!(position, out.len());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..16), start in 0_usize..20) {
            let mut position = start;
            if read_i64(&bytes, &mut position).is_some() {
                prop_assert!(position <= bytes.len() && position > start);
            }
        }
    }
}
