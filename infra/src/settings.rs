//! Settings as data: one serde struct, filled from defaults < TOML file < environment < flags.
//!
//! A crate describes its settings as a struct whose `Default` holds the defaults; every field must be serialized (no
//! `skip_serializing_if`), because the serialized default is the list of the names that exist.
//! Invariants:
//! 1. A name that does not exist is refused, in the file, the environment and the flags, with the nearest one that does.
//! 2. Every value knows where it came from, and can be shown at start; secrets are shown as `********`.
//! 3. Durations and sizes carry their unit: `"250ms"`, `"8MiB"`.
//!
//! The environment name of `store.request_timeout` is `ALLUVIUM_STORE_REQUEST_TIMEOUT`; lists are separated by commas there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

mod names;
mod units;

use names::Names;
pub use names::environment_name;
pub use units::{ByteSize, Duration, InvalidByteSize, InvalidDuration};

/// Environment variables that begin like settings but are none: the log filter, the settings file, and what tests use.
const ENVIRONMENT_NOT_SETTINGS: [&str; 4] = ["ALLUVIUM_LOG", "ALLUVIUM_CONFIG", "ALLUVIUM_CACHE", "ALLUVIUM_TEST_*"];
/// Kubernetes sets these by itself in every pod beside a service that is called `alluvium`.
const ENVIRONMENT_OF_KUBERNETES: [&str; 3] = ["ALLUVIUM_SERVICE_*", "ALLUVIUM_PORT", "ALLUVIUM_PORT_*"];
const SECRET_SHOWN: &str = "********";

/// A struct of settings.
pub trait Settings: Serialize + DeserializeOwned + Default {
    /// Names (dotted) of values that are never shown.
    const SECRETS: &'static [&'static str] = &[];

    /// Checks what one field alone cannot tell; the error is one line that names the settings and says what to do.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingSource {
    /// Nobody set it.
    Default,
    /// The TOML file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for SettingSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingSource::Default => formatter.write_str("default"),
            SettingSource::File(path) => write!(formatter, "file {}", path.display()),
            SettingSource::Environment(name) => write!(formatter, "environment {name}"),
            SettingSource::Flag => formatter.write_str("flag"),
        }
    }
}

/// One value in effect, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSetting {
    /// Its dotted name.
    pub name: String,
    /// Its value, secrets hidden.
    pub value: String,
    /// Where it came from.
    pub source: SettingSource,
}

/// The settings in effect.
#[derive(Clone, Debug)]
pub struct Loaded<S> {
    /// The values.
    pub settings: S,
    /// All of them by name, with their sources.
    pub shown: Vec<ShownSetting>,
}

/// Why settings could not be loaded. Each message is one line.
#[derive(Debug, thiserror::Error)]
pub enum LoadSettingsError {
    /// The file cannot be read.
    #[error("the settings file {path} cannot be read: {reason}")]
    File {
        /// The file.
        path: String,
        /// The operating system's words.
        reason: String,
    },
    /// The file is no TOML.
    #[error("the settings file {path} has a mistake: {reason}")]
    Syntax {
        /// The file.
        path: String,
        /// What is wrong and where.
        reason: String,
    },
    /// A name that does not exist.
    #[error("unknown setting \"{name}\" ({source_name}){hint}")]
    Unknown {
        /// The name as it was given.
        name: String,
        /// Where it was given.
        source_name: String,
        /// The nearest name, as a half sentence, or nothing.
        hint: String,
    },
    /// A value that does not fit its setting.
    #[error("the setting \"{name}\" ({source_name}) is wrong: {reason}")]
    Invalid {
        /// The setting.
        name: String,
        /// Where its value came from.
        source_name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Values that do not fit together.
    #[error("the settings do not fit together: {0}")]
    Contradiction(String),
}

/// The layers above the defaults, from the weakest to the strongest.
#[derive(Debug, Default)]
pub struct Layers {
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    environment_ignored: Vec<String>,
    flags: Vec<(String, Value)>,
}

/// A value that somebody set.
struct Given {
    name: String,
    /// In the order in which they are tried: a text from the environment may mean a number.
    readings: Vec<Value>,
    source: SettingSource,
}

impl Layers {
    /// Defaults only.
    pub fn new() -> Layers {
        Layers::default()
    }

    /// Reads this TOML file, which must exist.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Layers {
        self.file = Some(path.into());
        self
    }

    /// Takes these variables; those that do not begin with `ALLUVIUM_` are passed over.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Layers {
        self.environment.extend(variables);
        self
    }

    /// Takes the variables of this process; those that are not text are passed over.
    #[must_use]
    pub fn environment_of_process(self) -> Layers {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        self.environment(std::env::vars_os().filter_map(text))
    }

    /// Passes over this variable; a `*` at the end stands for any rest.
    #[must_use]
    pub fn environment_ignoring(mut self, name: impl Into<String>) -> Layers {
        self.environment_ignored.push(name.into());
        self
    }

    /// A value from the command line: a text in the form of the file's (`"8MiB"`), or any value.
    ///
    /// # Panics
    /// When the value cannot be serialized, which needs a map whose keys are no text.
    #[must_use]
    #[allow(clippy::expect_used, reason = "flags are plain values written in code")]
    pub fn flag(mut self, name: &str, value: impl Serialize) -> Layers {
        let value = serde_json::to_value(value).expect("flags are plain values");
        self.flags.push((name.to_owned(), value));
        self
    }

    /// As [`Layers::flag`], when the flag was given.
    #[must_use]
    pub fn flag_if_given(self, name: &str, value: Option<impl Serialize>) -> Layers {
        match value {
            Some(value) => self.flag(name, value),
            None => self,
        }
    }

    /// Puts the layers together.
    pub fn load<S: Settings>(&self) -> Result<Loaded<S>, LoadSettingsError> {
        let defaults = default_values::<S>()?;
        let names = Names::of(&defaults);
        let given = self.given(&names)?;
        let mut values = Value::Object(defaults.clone());
        let mut sources = BTreeMap::new();
        for given in given {
            let reading = fitting_reading::<S>(&defaults, &given)?;
            names::set(&mut values, &given.name, reading);
            sources.insert(given.name, given.source);
        }
        let settings = S::deserialize(values).map_err(|error| LoadSettingsError::Contradiction(error.to_string()))?;
        settings.validate().map_err(LoadSettingsError::Contradiction)?;
        let shown = shown(&settings, &sources)?;
        Ok(Loaded { settings, shown })
    }

    fn given(&self, names: &Names) -> Result<Vec<Given>, LoadSettingsError> {
        let mut given = Vec::new();
        if let Some(path) = &self.file {
            given.extend(from_file(path, names)?);
        }
        for (variable, text) in &self.environment {
            given.extend(self.given_by(variable, text, names)?);
        }
        for (name, value) in &self.flags {
            let known = names.find(name).ok_or_else(|| names.unknown(name, "flag"))?;
            let readings = match value {
                Value::String(text) => readings(text, &known.default),
                value => vec![value.clone()],
            };
            given.push(Given { name: name.clone(), readings, source: SettingSource::Flag });
        }
        Ok(given)
    }

    fn given_by(&self, variable: &str, text: &str, names: &Names) -> Result<Option<Given>, LoadSettingsError> {
        let own = ENVIRONMENT_NOT_SETTINGS.iter().any(|pattern| covers(pattern, variable));
        let ignored = own || self.environment_ignored.iter().any(|pattern| covers(pattern, variable));
        if ignored || !variable.starts_with("ALLUVIUM_") {
            return Ok(None);
        }
        match names.find_variable(variable) {
            Some(known) => Ok(Some(Given {
                name: known.name.clone(),
                readings: readings(text, &known.default),
                source: SettingSource::Environment(variable.to_owned()),
            })),
            None if ENVIRONMENT_OF_KUBERNETES.iter().any(|pattern| covers(pattern, variable)) => Ok(None),
            None => Err(names.unknown_variable(variable)),
        }
    }
}

/// A `*` at the end of a pattern stands for any rest.
fn covers(pattern: &str, variable: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => variable.starts_with(beginning),
        None => variable == pattern,
    }
}

fn default_values<S: Settings>() -> Result<Map<String, Value>, LoadSettingsError> {
    match serde_json::to_value(S::default()) {
        Ok(Value::Object(values)) => Ok(values),
        Ok(_) => Err(LoadSettingsError::Contradiction("settings must be a struct".to_owned())),
        Err(error) => Err(LoadSettingsError::Contradiction(error.to_string())),
    }
}

fn from_file(path: &Path, names: &Names) -> Result<Vec<Given>, LoadSettingsError> {
    let shown_path = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| LoadSettingsError::File { path: shown_path.clone(), reason: error.to_string() })?;
    let table: Value = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        LoadSettingsError::Syntax { path: shown_path.clone(), reason: format!("line {line}: {}", error.message()) }
    })?;
    let mut given = Vec::new();
    for (name, value) in names.flatten(&table) {
        if names.find(&name).is_none() {
            return Err(names.unknown(&name, &format!("file {shown_path}")));
        }
        given.push(Given { name, readings: vec![value], source: SettingSource::File(path.to_owned()) });
    }
    Ok(given)
}

/// What a text may mean, judged by the default of its setting.
fn readings(text: &str, default: &Value) -> Vec<Value> {
    let as_text = Value::String(text.to_owned());
    let as_scalar = || {
        text.trim()
            .parse::<bool>()
            .map(Value::Bool)
            .ok()
            .or_else(|| serde_json::from_str::<serde_json::Number>(text.trim()).ok().map(Value::Number))
    };
    match default {
        Value::Bool(_) | Value::Number(_) => as_scalar().into_iter().chain([as_text]).collect(),
        Value::Array(_) => {
            let parts = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
            let texts = Value::Array(parts().map(|part| Value::String(part.to_owned())).collect());
            let numbers: Option<Vec<Value>> =
                parts().map(|part| serde_json::from_str(part).ok().map(Value::Number)).collect();
            [texts].into_iter().chain(numbers.map(Value::Array)).collect()
        }
        Value::Null => [as_text].into_iter().chain(as_scalar()).collect(),
        Value::String(_) | Value::Object(_) => vec![as_text],
    }
}

/// The first reading that the struct accepts in the place of its default.
fn fitting_reading<S: Settings>(defaults: &Map<String, Value>, given: &Given) -> Result<Value, LoadSettingsError> {
    let mut refused = None;
    for reading in &given.readings {
        let mut values = Value::Object(defaults.clone());
        names::set(&mut values, &given.name, reading.clone());
        match S::deserialize(values) {
            Ok(_) => return Ok(reading.clone()),
            Err(error) => refused = refused.or(Some(error.to_string())),
        }
    }
    let reason = refused.unwrap_or_else(|| "there is no value".to_owned());
    let secret = S::SECRETS.contains(&given.name.as_str());
    Err(LoadSettingsError::Invalid {
        name: given.name.clone(),
        source_name: given.source.to_string(),
        reason: if secret { "it has the wrong form".to_owned() } else { reason },
    })
}

fn shown<S: Settings>(
    settings: &S,
    sources: &BTreeMap<String, SettingSource>,
) -> Result<Vec<ShownSetting>, LoadSettingsError> {
    let values = serde_json::to_value(settings).map_err(|error| LoadSettingsError::Contradiction(error.to_string()))?;
    let flat = names::flatten_all(&values);
    Ok(flat
        .into_iter()
        .map(|(name, value)| {
            let hidden = S::SECRETS.contains(&name.as_str()) && value != Value::Null;
            let shown = match value {
                _ if hidden => SECRET_SHOWN.to_owned(),
                Value::Null => "(none)".to_owned(),
                Value::String(text) => text,
                value => value.to_string(),
            };
            // A value inside a free-form map came from wherever the map did.
            let source = sources
                .iter()
                .find(|(set, _)| **set == name || name.starts_with(&format!("{set}.")))
                .map(|(_, source)| source.clone());
            ShownSetting { name, value: shown, source: source.unwrap_or(SettingSource::Default) }
        })
        .collect())
}

#[cfg(test)]
mod tests;
