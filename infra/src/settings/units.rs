//! Values with units: `"250ms"`, `"8MiB"`. They are shown in the form in which they are given.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time with its unit: `"250ms"`, `"10s"`, `"1h 30m"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a duration; write a number and a unit, such as \"250ms\", \"10s\" or \"1h\"")]
pub struct InvalidDuration {
    /// The text as it was given.
    pub text: String,
}

impl Duration {
    /// This many milliseconds.
    pub const fn from_millis(millis: u64) -> Duration {
        Duration(std::time::Duration::from_millis(millis))
    }

    /// This many seconds.
    pub const fn from_secs(seconds: u64) -> Duration {
        Duration(std::time::Duration::from_secs(seconds))
    }

    /// As the standard library's type.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }
}

impl From<std::time::Duration> for Duration {
    fn from(duration: std::time::Duration) -> Duration {
        Duration(duration)
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> std::time::Duration {
        duration.0
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(formatter)
    }
}

impl FromStr for Duration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Duration, InvalidDuration> {
        let parsed = humantime::parse_duration(text.trim());
        parsed.map(Duration).map_err(|_| InvalidDuration { text: text.to_owned() })
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        struct DurationVisitor;
        impl Visitor<'_> for DurationVisitor {
            type Value = Duration;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a duration with its unit, such as \"250ms\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(DurationVisitor)
    }
}

/// A number of bytes with its unit: `"512KiB"`, `"8MiB"`, `"100MB"`; without a unit it is bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a size; write a number and a unit, such as \"512KiB\", \"8MiB\" or \"100MB\"")]
pub struct InvalidByteSize {
    /// The text as it was given.
    pub text: String,
}

/// The first of a size is the one it is shown in.
const UNITS: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];
/// How many of them are binary.
const BINARY_UNITS: usize = 4;

impl ByteSize {
    /// This many bytes.
    pub const fn from_bytes(bytes: u64) -> ByteSize {
        ByteSize(bytes)
    }

    /// This many times 1024 bytes.
    pub const fn from_kib(kib: u64) -> ByteSize {
        ByteSize(kib << 10)
    }

    /// This many times 1024 * 1024 bytes.
    pub const fn from_mib(mib: u64) -> ByteSize {
        ByteSize(mib << 20)
    }

    /// In bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// In bytes, for lengths in memory; what memory cannot hold anyway becomes the largest length.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS[..BINARY_UNITS].iter().find(|(_, size)| self.0 != 0 && self.0.is_multiple_of(*size));
        match unit {
            Some((name, size)) => write!(formatter, "{}{name}", self.0 / size),
            None => write!(formatter, "{}B", self.0),
        }
    }
}

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<ByteSize, InvalidByteSize> {
        let parsed = || {
            let trimmed = text.trim();
            let digits = trimmed.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(trimmed.len());
            let (number, unit) = trimmed.split_at(digits);
            let unit = unit.trim_start();
            let size = match unit {
                "" => 1,
                unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
            };
            number.parse::<u64>().ok()?.checked_mul(size)
        };
        parsed().map(ByteSize).ok_or_else(|| InvalidByteSize { text: text.to_owned() })
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        struct ByteSizeVisitor;
        impl Visitor<'_> for ByteSizeVisitor {
            type Value = ByteSize;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a size with its unit, such as \"8MiB\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_i64<E: Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes).map(ByteSize).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(ByteSizeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes, shown) in [
            ("8MiB", 8 << 20, "8MiB"),
            ("512 KiB", 512 << 10, "512KiB"),
            ("1024KiB", 1 << 20, "1MiB"),
            ("100MB", 100_000_000, "100000000B"),
            ("0", 0, "0B"),
            ("17", 17, "17B"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.get(), size.to_string()), (bytes, shown.to_owned()));
        }
        for bad in ["", "MiB", "8 mib", "-1", "1.5MiB", "99999999999TiB", "8MiBx"] {
            bad.parse::<ByteSize>().unwrap_err();
        }
    }

    #[test]
    fn durations_are_read_and_shown() {
        for (text, millis, shown) in [("250ms", 250, "250ms"), ("90s", 90_000, "1m 30s"), ("1h", 3_600_000, "1h")] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!((duration, duration.to_string()), (Duration::from_millis(millis), shown.to_owned()));
        }
        for bad in ["", "250", "ms", "fast"] {
            bad.parse::<Duration>().unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read(number in any::<u64>(), millis in 0_u64..1 << 45) {
            prop_assert_eq!(ByteSize(number).to_string().parse::<ByteSize>().unwrap(), ByteSize(number));
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(duration.to_string().parse::<Duration>().unwrap(), duration);
        }
    }
}
