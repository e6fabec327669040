//! The table is whole and agrees with another implementation's.

use super::*;

#[test]
fn codes_run_without_a_gap() {
    let codes: Vec<i16> = ErrorCode::ALL.iter().map(|error| error.code()).collect();
    assert_eq!(codes, (-1..=133).collect::<Vec<i16>>());
    for error in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_code(error.code()), Some(*error));
        assert_eq!(error.to_string(), error.name());
    }
    assert_eq!(ErrorCode::from_code(134), None);
    assert!(ErrorCode::None.is_none());
}

#[test]
fn names_and_retriability_agree_with_kafka_protocol() {
    for error in ErrorCode::ALL {
        let Some(other) = kafka_protocol::ResponseError::try_from_code(error.code()) else {
            continue;
        };
        if matches!(other, kafka_protocol::ResponseError::Unknown(_)) {
            continue;
        }
        let squeezed = error.name().replace('_', "").to_lowercase();
        assert_eq!(format!("{other:?}").to_lowercase(), squeezed);
        // Kafka's class for it is retriable; the other implementation has not followed.
        if *error != ErrorCode::ConcurrentTransactions {
            assert_eq!(other.is_retriable(), error.is_retriable(), "{error}");
        }
    }
}
