//! Appends survive the way; what is none is refused, whatever it is.

use alluvium_log::BatchToAppend;
use alluvium_record::Compression;
use alluvium_record::batch::BatchBuilder;
use uuid::Uuid;

use super::*;

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new(TopicId::from_bytes([9; 16]), number)
}

fn batch(values: i32) -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None).producer(7, 1, 3);
    for value in 0..values {
        builder.push(5, None, Some(Bytes::from(value.to_string())), Vec::new()).expect("fits");
    }
    builder.build(0)
}

fn append(source: AppendSource) -> Append {
    let tags = [
        None,
        Some(TransactionTag::Verified { number: 9, verified_ms: 1234 }),
        Some(TransactionTag::Here { transactional_id: "billing".into(), implicit: true }),
    ];
    let mut batches = [(0, 1), (0, 3), (2, 2)].map(|(at, values)| BatchToAppend::new(partition(at), batch(values)));
    for (batch, tag) in batches.iter_mut().zip(tags) {
        batch.transaction = tag;
    }
    Append { batches: batches.into(), source }
}

fn segment() -> AppendSource {
    AppendSource::Segment { id: Uuid::from_u128(77), created_ms: 123 }
}

#[test]
fn inline_batches_come_with_their_bytes_and_are_not_copied_to_be_sent() {
    let append = append(AppendSource::Inline);
    let (message, data) = encode(ShardId(4), &append, Duration::from_secs(2));
    assert_eq!(data.0[1].as_ptr(), append.batches[1].batch.bytes.as_ptr());
    let decoded = decode(&message, data.into_bytes()).expect("an append");
    assert_eq!((decoded.shard, decoded.wait), (ShardId(4), Duration::from_secs(2)));
    assert_eq!(decoded.append.source, AppendSource::Inline);
    for (sent, come) in append.batches.iter().zip(&decoded.append.batches) {
        assert_eq!((sent.topic_partition, &sent.batch, sent.length), (come.topic_partition, &come.batch, come.length));
        assert_eq!(sent.transaction, come.transaction);
    }
}

#[test]
fn batches_in_a_segment_come_as_headers_and_lengths() {
    let append = append(segment());
    let (message, data) = encode(ShardId(0), &append, Duration::ZERO);
    assert!(data.is_empty());
    let decoded = decode(&message, Bytes::new()).expect("an append");
    assert_eq!(decoded.append.source, segment());
    for (sent, come) in append.batches.iter().zip(&decoded.append.batches) {
        assert_eq!((sent.batch.header, sent.length), (come.batch.header, come.length));
        assert_eq!(sent.transaction, come.transaction);
        assert_eq!(come.batch.bytes.len(), BATCH_HEADER_BYTES);
    }
}

#[test]
fn an_offset_that_a_header_was_given_survives() {
    let mut append = append(segment());
    append.batches[0].batch = append.batches[0].batch.at_offset(55);
    let (message, _) = encode(ShardId(0), &append, Duration::ZERO);
    assert_eq!(decode(&message, Bytes::new()).expect("an append").append.batches[0].batch.header.base_offset, 55);
}

/// A message and data that `spoil` made wrong.
fn spoiled(source: AppendSource, spoil: impl FnOnce(&mut ForwardMessage, &mut Vec<u8>)) -> Result<Forwarded, String> {
    let (mut message, data) = encode(ShardId(0), &append(source), Duration::ZERO);
    let mut data = data.into_bytes().to_vec();
    spoil(&mut message, &mut data);
    decode(&message, Bytes::from(data))
}

#[test]
fn what_does_not_add_up_is_refused() {
    let inline = |spoil: fn(&mut ForwardMessage, &mut Vec<u8>)| spoiled(AppendSource::Inline, spoil).unwrap_err();
    let stored = |spoil: fn(&mut ForwardMessage, &mut Vec<u8>)| spoiled(segment(), spoil).unwrap_err();
    assert!(spoiled(AppendSource::Inline, |_, _| {}).is_ok() && spoiled(segment(), |_, _| {}).is_ok());
    inline(|message, _| message.batches.clear());
    inline(|message, _| message.batches[1].length += 1);
    inline(|message, _| message.batches[2].length = u32::MAX);
    inline(|message, _| message.batches[0].topic = Bytes::from_static(b"short"));
    inline(|message, _| message.batches.swap(1, 2));
    inline(|message, _| message.batches[0].partition = 2);
    inline(|message, _| message.segment = Bytes::from_static(b"short"));
    inline(|_, data| data.truncate(100));
    inline(|_, data| data.push(0));
    inline(|_, data| *data.last_mut().expect("bytes") ^= 1);
    inline(|_, data| data[16] = 1);
    stored(|message, _| message.batches[0].header = Bytes::new());
    stored(|message, _| message.batches[0].length -= 1);
    stored(|_, data| data.push(1));
    stored(|message, _| {
        let mut header = message.batches[0].header.to_vec();
        // The last offset delta; nothing but a count check notices, since the checksum covers records too.
        header[23..27].copy_from_slice(&(-7_i32).to_be_bytes());
        message.batches[0].header = Bytes::from(header);
    });
}

#[test]
fn no_flipped_bit_of_the_data_gets_through() {
    let (message, data) = encode(ShardId(0), &append(AppendSource::Inline), Duration::ZERO);
    let (first, data) = (append(AppendSource::Inline).batches[0].length as usize, data.into_bytes());
    for bit in 0..first * 8 {
        let mut wrong = data.to_vec();
        wrong[bit / 8] ^= 1 << (bit % 8);
        // Base offset and leader epoch stand outside the checksum and are given anew by the log.
        let covered = !matches!(bit / 8, 0..8 | 12..16);
        assert_eq!(decode(&message, Bytes::from(wrong)).is_err(), covered, "bit {bit}");
    }
}

#[test]
fn every_outcome_survives() {
    let (base_offset, log_start_offset) = (1 << 40, 7);
    let outcomes = vec![
        AppendOutcome::Appended { base_offset, log_start_offset },
        AppendOutcome::Duplicate { base_offset, log_start_offset },
        AppendOutcome::Rejected(AppendRejection::UnknownTopicOrPartition),
        AppendOutcome::Rejected(AppendRejection::OutOfOrderSequence { expected: i32::MAX, found: -1 }),
        AppendOutcome::Rejected(AppendRejection::InvalidProducerEpoch { current: i16::MAX, found: -1 }),
        AppendOutcome::Rejected(AppendRejection::SegmentTooOld),
        AppendOutcome::Rejected(AppendRejection::OffsetsExhausted),
        AppendOutcome::Rejected(TransactionRejection::UnknownTransactionalId.into()),
        AppendOutcome::Rejected(TransactionRejection::Fenced { current: i16::MAX }.into()),
        AppendOutcome::Rejected(TransactionRejection::Concurrent.into()),
        AppendOutcome::Rejected(TransactionRejection::InvalidState { status: None }.into()),
        AppendOutcome::Rejected(TransactionRejection::VerifiedTooLongAgo.into()),
        AppendOutcome::Rejected(TransactionRejection::TooLarge.into()),
    ];
    let answer = decode_answer(&encode_answer(Ok(outcomes.clone())));
    assert!(matches!(answer, Ok(come) if come == outcomes));
}

#[test]
fn only_a_definite_refusal_is_nothing_done() {
    let answered = |error| decode_answer(&encode_answer(Err(error)));
    assert!(matches!(answered(CommitError::Unknown), Err(ForwardError::Unknown)));
    assert!(matches!(answered(CommitError::Closed), Err(ForwardError::NotSent(_))));
    let full = CommitError::Unavailable("full".to_owned());
    assert!(matches!(answered(full), Err(ForwardError::NotSent(reason)) if reason.contains("full")));
    let strange = OutcomeMessage { kind: 99, ..OutcomeMessage::default() };
    let message = AnswerMessage { verdict: Verdict::Decided.into(), outcomes: vec![strange], ..Default::default() };
    assert!(matches!(decode_answer(&message), Err(ForwardError::Unknown)), "it may be written");
    let message = AnswerMessage { verdict: 99, ..Default::default() };
    assert!(matches!(decode_answer(&message), Err(ForwardError::Unknown)));
}
