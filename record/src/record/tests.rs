use super::*;

/// Reads one record from bytes that hold nothing else.
fn read(bytes: &[u8]) -> Result<(RecordLayout, usize), &'static str> {
    let mut header_count = 0;
    let mut position = 0;
    let layout = read_record(bytes, &mut position, |_, _| header_count += 1)?;
    assert_eq!(position, bytes.len());
    Ok((layout, header_count))
}

fn refusal(bytes: &[u8]) -> &'static str {
    match read(bytes) {
        Ok(_) => "taken",
        Err(reason) => reason,
    }
}

#[test]
fn the_smallest_record() {
    // Length 6; attributes, timestamp delta, offset delta; null key, null value; no headers.
    let (layout, header_count) = read(&[12, 0, 0, 0, 1, 1, 0]).unwrap();
    assert_eq!((layout.timestamp_delta, layout.offset_delta, header_count), (0, 0, 0));
    assert_eq!((layout.key, layout.value), (None, None));
}

#[test]
fn parts_stay_within_their_record() {
    assert_eq!(refusal(&[]), "its length is malformed");
    assert_eq!(refusal(&[1]), "its length is negative");
    assert_eq!(refusal(&[12, 0, 0, 0, 1, 1]), "it is cut off");
    assert_eq!(refusal(&[0]), "it is empty");
    assert_eq!(refusal(&[2, 0]), "its timestamp delta is malformed");
    assert_eq!(refusal(&[4, 0, 0]), "its offset delta is malformed");
    assert_eq!(refusal(&[6, 0, 0, 0]), "its key is cut off");
    // A key of four bytes where three are left in the record, though more follow it.
    assert_eq!(refusal(&[14, 0, 0, 0, 8, 1, 1, 0, 9, 9, 9]), "its key is cut off");
    assert_eq!(refusal(&[12, 0, 0, 0, 1, 8, 0]), "its value is cut off");
    assert_eq!(refusal(&[10, 0, 0, 0, 1, 1]), "its header count is malformed");
    assert_eq!(refusal(&[14, 0, 0, 0, 1, 1, 0, 0]), "its length and its contents differ");
}

#[test]
fn header_counts_and_names_are_checked() {
    assert_eq!(refusal(&[12, 0, 0, 0, 1, 1, 1]), "its header count is negative");
    assert_eq!(refusal(&[12, 0, 0, 0, 1, 1, 2]), "a header name is cut off");
    assert_eq!(refusal(&[14, 0, 0, 0, 1, 1, 2, 1]), "a header name is null");
    assert_eq!(refusal(&[14, 0, 0, 0, 1, 1, 2, 0]), "a header value is cut off");
    // Two billion headers in a record of eleven bytes.
    assert_eq!(refusal(&[20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f]), "a header name is cut off");
    let (_, header_count) = read(&[16, 0, 0, 0, 1, 1, 2, 0, 1]).unwrap();
    assert_eq!(header_count, 1);
}

#[test]
fn a_header_name_that_is_not_text_keeps_its_bytes() {
    let header = Header { name: Bytes::from_static(&[0xff, 0x00]), value: None };
    assert!(header.name_str().is_err());
    let mut builder = crate::BatchBuilder::new(crate::Compression::None);
    builder.push(0, None, None, vec![header.clone()]).unwrap();
    let batch = builder.build(0);
    assert_eq!(batch.validate_for_produce(), Ok(()));
    assert_eq!(batch.records(0).unwrap()[0].headers, [header]);
    assert_eq!(Header::new("näme", None).name_str(), Ok("näme"));
}

#[test]
fn timestamps_wrap_instead_of_overflowing() {
    let mut builder = crate::BatchBuilder::new(crate::Compression::None);
    builder.push(i64::MAX, None, None, vec![]).unwrap();
    builder.push(i64::MIN, None, None, vec![]).unwrap();
    let timestamps: Vec<i64> = builder.build(0).records(0).unwrap().iter().map(|record| record.timestamp).collect();
    assert_eq!(timestamps, [i64::MAX, i64::MIN]);
}
