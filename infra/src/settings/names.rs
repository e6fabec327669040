//! The names of settings: `store.request_timeout`, flattened from the serialized defaults.

use serde_json::{Map, Value};

use super::LoadSettingsError;

/// The environment variable of a setting: `store.request_timeout` is `ALLUVIUM_STORE_REQUEST_TIMEOUT`.
pub fn environment_name(name: &str) -> String {
    format!("ALLUVIUM_{}", name.to_ascii_uppercase().replace(['.', '-'], "_"))
}

/// A setting that exists.
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) default: Value,
}

/// All settings that exist.
pub(crate) struct Names(Vec<Known>);

impl Names {
    pub(crate) fn of(defaults: &Map<String, Value>) -> Names {
        let flat = flatten_all(&Value::Object(defaults.clone()));
        Names(flat.into_iter().map(|(name, default)| Known { name, default }).collect())
    }

    /// A name inside a free-form map (one whose default is empty) exists too.
    pub(crate) fn find(&self, name: &str) -> Option<&Known> {
        self.0
            .iter()
            .find(|known| known.name == name || (known.is_map() && name.starts_with(&format!("{}.", known.name))))
    }

    pub(crate) fn find_variable(&self, variable: &str) -> Option<&Known> {
        self.0.iter().find(|known| environment_name(&known.name) == variable)
    }

    /// Flattens a table from a file only as deep as settings go, so that a free-form map stays one value.
    pub(crate) fn flatten(&self, table: &Value) -> Vec<(String, Value)> {
        let mut flat = Vec::new();
        self.flatten_into("", table, &mut flat);
        flat
    }

    fn flatten_into(&self, above: &str, value: &Value, flat: &mut Vec<(String, Value)>) {
        let is_setting = self.0.iter().any(|known| known.name == above);
        match value {
            Value::Object(values) if !is_setting && (above.is_empty() || !values.is_empty()) => {
                for (name, value) in values {
                    self.flatten_into(&joined(above, name), value, flat);
                }
            }
            // An empty table says nothing.
            Value::Object(values) if values.is_empty() => {}
            value => flat.push((above.to_owned(), value.clone())),
        }
    }

    pub(crate) fn unknown(&self, name: &str, source_name: &str) -> LoadSettingsError {
        let nearest = nearest(name, self.0.iter().map(|known| known.name.clone()));
        unknown(name, source_name, nearest)
    }

    pub(crate) fn unknown_variable(&self, variable: &str) -> LoadSettingsError {
        let nearest = nearest(variable, self.0.iter().map(|known| environment_name(&known.name)));
        unknown(variable, "environment", nearest)
    }
}

impl Known {
    fn is_map(&self) -> bool {
        matches!(&self.default, Value::Object(values) if values.is_empty())
    }
}

fn unknown(name: &str, source_name: &str, nearest: Option<String>) -> LoadSettingsError {
    LoadSettingsError::Unknown {
        name: name.to_owned(),
        source_name: source_name.to_owned(),
        hint: nearest.map_or_else(String::new, |nearest| format!("; did you mean \"{nearest}\"?")),
    }
}

fn joined(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") }
}

/// All leaves with their dotted names; an empty map is a leaf.
pub(crate) fn flatten_all(values: &Value) -> Vec<(String, Value)> {
    fn visit(above: &str, value: &Value, flat: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(values) if !values.is_empty() => {
                for (name, value) in values {
                    visit(&joined(above, name), value, flat);
                }
            }
            value => flat.push((above.to_owned(), value.clone())),
        }
    }
    let mut flat = Vec::new();
    visit("", values, &mut flat);
    flat
}

/// Puts a value under its dotted name, making tables on the way.
pub(crate) fn set(values: &mut Value, name: &str, value: Value) {
    let mut place = values;
    for part in name.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = match place {
            Value::Object(values) => values.entry(part).or_insert(Value::Null),
            // Made an object just above.
            _ => return,
        };
    }
    *place = value;
}

/// The candidate that takes the fewest edits, unless even that one is far off.
fn nearest(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let allowed = (name.len() / 3).max(2);
    candidates
        .map(|candidate| (edits(name, &candidate), candidate))
        .filter(|(edits, candidate)| {
            let same_end = candidate.rsplit('.').next() == name.rsplit('.').next();
            *edits <= allowed || same_end
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other_letter) in other.iter().enumerate() {
            let above = row[column + 1];
            row[column + 1] = (above + 1).min(row[column] + 1).min(diagonal + usize::from(letter != *other_letter));
            diagonal = above;
        }
    }
    row[other.len()]
}
