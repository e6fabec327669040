//! A value that may be left to Alluvium: `"auto"`, or the value itself.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `"auto"` or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Automatic<T> {
    /// Alluvium chooses.
    Auto,
    /// This.
    Given(T),
}

impl<T> Automatic<T> {
    /// The value, or what `choose` finds.
    pub(crate) fn unwrap_or_else(self, choose: impl FnOnce() -> T) -> T {
        match self {
            Automatic::Auto => choose(),
            Automatic::Given(value) => value,
        }
    }
}

impl<T: Serialize> Serialize for Automatic<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Automatic::Auto => serializer.serialize_str("auto"),
            Automatic::Given(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Automatic<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Automatic<T>, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if value == "auto" {
            return Ok(Automatic::Auto);
        }
        // The default is a text, so a number from the environment comes as one too.
        let number = value.as_str().and_then(|text| text.trim().parse::<u64>().ok());
        let given = match number.and_then(|number| serde_json::from_value(number.into()).ok()) {
            Some(given) => Ok(given),
            None => serde_json::from_value(value),
        };
        given.map(Automatic::Given).map_err(|error| serde::de::Error::custom(format!("{error}, or \"auto\"")))
    }
}
