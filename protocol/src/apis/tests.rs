//! The table is sorted, within the codec and within Kafka 4.2, and covers what clients were measured to send.

use super::*;

/// Newest stable version of each served API in Apache Kafka 4.2.0 (its `validVersions`, less an unstable newest one).
const KAFKA_4_2_VERSION_MAX: &[(i16, i16)] = &[
    (0, 13),
    (1, 18),
    (2, 11),
    (3, 13),
    (8, 10),
    (9, 10),
    (10, 6),
    (11, 9),
    (12, 4),
    (13, 5),
    (14, 5),
    (15, 6),
    (16, 5),
    (18, 4),
    (19, 7),
    (20, 6),
    (21, 2),
    (22, 5),
    (23, 4),
    (24, 5),
    (25, 4),
    (26, 5),
    (27, 2),
    (28, 5),
    (32, 4),
    (33, 2),
    (35, 4),
    (37, 3),
    (42, 2),
    (43, 2),
    (44, 1),
    (45, 1),
    (46, 0),
    (47, 0),
    (55, 2),
    (60, 2),
    (61, 0),
    (65, 0),
    (66, 2),
    (68, 1),
    (69, 1),
    (74, 1),
    (75, 0),
];

/// Oldest and newest version of each served API that stock clients and test suites were measured to send.
const MEASURED: &[(i16, i16, i16)] = &[
    (0, 7, 13),
    (1, 4, 18),
    (2, 3, 10),
    (3, 0, 13),
    (8, 3, 10),
    (9, 3, 10),
    (10, 1, 6),
    (11, 5, 9),
    (12, 1, 4),
    (13, 1, 5),
    (14, 3, 5),
    (15, 0, 6),
    (16, 0, 5),
    (18, 0, 4),
    (19, 3, 7),
    (20, 1, 6),
    (21, 1, 2),
    (22, 0, 5),
    (23, 4, 4),
    (32, 1, 4),
    (33, 1, 2),
    (35, 4, 4),
    (37, 0, 3),
    (42, 1, 2),
    (43, 2, 2),
    (44, 1, 1),
    (45, 1, 1),
    (46, 0, 0),
    (55, 2, 2),
    (61, 0, 0),
    (74, 1, 1),
    (75, 0, 0),
];

#[test]
fn rows_are_sorted_and_found() {
    assert!(SERVED.is_sorted_by(|left, right| left.code < right.code));
    for row in SERVED {
        assert_eq!(served(row.code), Some(row));
        assert_eq!(row.key.served(), row);
        assert_eq!(row.key.to_string(), row.name);
    }
    assert_eq!(served(4), None);
    assert_eq!(served(-1), None);
    assert_eq!(name_of(24), Some("AddPartitionsToTxn"));
    assert_eq!(name_of(9999), None);
}

#[test]
fn the_codec_knows_every_served_version() {
    for row in SERVED {
        let descriptor =
            kafka_wire::API_DESCRIPTORS.iter().find(|descriptor| descriptor.api_key.value() == row.code).unwrap();
        assert_eq!(descriptor.request.name, format!("{}Request", row.name));
        assert!(row.advertised_min <= row.version_min && row.version_min <= row.version_max);
        assert_eq!(row.version_min, descriptor.supported_versions.min().value(), "{}", row.name);
        let stable = descriptor.latest_stable_version().unwrap().value();
        assert!(row.version_max <= stable, "{}", row.name);
        assert_eq!(
            descriptor.request.flexible_versions, descriptor.response.flexible_versions,
            "{}: one answer to `is_flexible` serves both directions",
            row.name
        );
    }
}

#[test]
fn nothing_is_newer_than_kafka_4_2() {
    let maxima: Vec<(i16, i16)> = SERVED.iter().map(|row| (row.code, row.version_max)).collect();
    assert_eq!(maxima, KAFKA_4_2_VERSION_MAX);
}

#[test]
fn what_clients_send_is_served() {
    for (code, oldest, newest) in MEASURED {
        let row = served(*code).unwrap();
        assert!(row.serves(*oldest) && row.serves(*newest), "{}", row.name);
    }
}

#[test]
fn only_produce_advertises_more_than_it_serves() {
    for row in SERVED {
        assert_eq!(row.advertised_min < row.version_min, row.key == ApiName::Produce);
    }
    let produce = ApiName::Produce.served();
    assert!(produce.advertises(0) && !produce.serves(2) && produce.serves(3));
}
