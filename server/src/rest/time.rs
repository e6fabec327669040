//! Timestamps in JSON documents: RFC 3339 in answers, that or milliseconds since 1970 in requests.

use std::time::{Duration, UNIX_EPOCH};

use super::error::RestError;

/// A timestamp as it is shown.
pub(super) fn shown(timestamp_ms: i64) -> String {
    // What lies before 1970, or too far behind it for a calendar, is shown as that year's beginning.
    let since_1970 = Duration::from_millis(u64::try_from(timestamp_ms).unwrap_or(0).min(SHOWN_MS_MAX));
    humantime::format_rfc3339_millis(UNIX_EPOCH + since_1970).to_string()
}

/// The end of the year 9999.
const SHOWN_MS_MAX: u64 = 253_402_300_799_999;

/// A timestamp that a client gave, as JSON.
pub(super) fn read(given: &str) -> Result<i64, RestError> {
    let wrong =
        || RestError::invalid(format!("timestamp {given}: give milliseconds since 1970, or 2026-01-31T12:00:00Z"));
    if let Ok(timestamp_ms) = given.parse::<i64>() {
        return if timestamp_ms >= 0 { Ok(timestamp_ms) } else { Err(wrong()) };
    }
    let text: String = serde_json::from_str(given).map_err(|_| wrong())?;
    let moment = humantime::parse_rfc3339(&text).map_err(|_| wrong())?;
    let since_1970 = moment.duration_since(UNIX_EPOCH).map_err(|_| wrong())?;
    i64::try_from(since_1970.as_millis()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_read() {
        for timestamp_ms in [0, 1, 1_767_225_600_123] {
            assert_eq!(read(&format!("\"{}\"", shown(timestamp_ms))), Ok(timestamp_ms));
            assert_eq!(read(&timestamp_ms.to_string()), Ok(timestamp_ms));
        }
        assert_eq!(shown(i64::MAX), "9999-12-31T23:59:59.999Z");
        for wrong in ["-1", "\"-1\"", "{}", "\"1969-12-31T23:59:59Z\"", "1.5"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
