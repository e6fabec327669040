//! Keys of objects, checked once so that every store can hold them.

use std::fmt;

/// The longest key in bytes; S3 allows 1024 with the prefix of the store before it.
pub const STORE_PATH_BYTES_MAX: usize = 768;

/// The longest part between two slashes in bytes; what file systems allow for a name.
pub const STORE_PATH_PART_BYTES_MAX: usize = 255;

/// A key relative to the root of a store, such as `3f/0/log/00000000000000000007`.
///
/// Parts are made of `A-Z a-z 0-9 . _ = -`, are separated by single slashes and do not begin with a dot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath(String);

/// Why a text is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{path}\" is not a key: {reason}")]
pub struct InvalidStorePath {
    /// The text as it was given.
    pub path: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl StorePath {
    /// Checks `path`.
    pub fn parse(path: impl Into<String>) -> Result<StorePath, InvalidStorePath> {
        let path = path.into();
        match fault_in(&path) {
            None => Ok(StorePath(path)),
            Some(reason) => Err(InvalidStorePath { path, reason }),
        }
    }

    /// This path with `/` and `part` (which may itself have slashes) behind it.
    ///
    /// # Panics
    /// When the result is not a key: paths are written in code, never taken from a user.
    #[must_use]
    pub fn join(&self, part: impl AsRef<str>) -> StorePath {
        StorePath::from(format!("{}/{}", self.0, part.as_ref()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the last slash.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

fn fault_in(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.len() > STORE_PATH_BYTES_MAX {
        return Some("it is longer than 768 bytes");
    }
    for part in path.split('/') {
        if part.is_empty() {
            return Some("a part between slashes is empty");
        }
        if part.starts_with('.') {
            return Some("a part begins with a dot");
        }
        if part.len() > STORE_PATH_PART_BYTES_MAX {
            return Some("a part is longer than 255 bytes");
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'=' | b'-');
        if !part.bytes().all(allowed) {
            return Some("only letters, digits and . _ = - are allowed in a part");
        }
    }
    None
}

impl fmt::Display for StorePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl AsRef<str> for StorePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// # Panics
/// When the text is not a key: paths are written in code, never taken from a user (there is [`StorePath::parse`] for that).
impl From<String> for StorePath {
    #[allow(clippy::panic, reason = "a wrong path in code must not reach a bucket")]
    fn from(path: String) -> StorePath {
        match StorePath::parse(path) {
            Ok(path) => path,
            Err(error) => panic!("{error}"),
        }
    }
}

/// # Panics
/// As `From<String>`.
impl From<&str> for StorePath {
    fn from(path: &str) -> StorePath {
        StorePath::from(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_checked() {
        for good in ["a", "3f/0/log/00000000000000000007", "x=1/y.parquet", "A-b_c/d"] {
            assert_eq!(StorePath::parse(good).unwrap().as_str(), good);
        }
        for bad in
            ["", "/a", "a/", "a//b", "a/../b", "./a", ".tmp/x", "a b", "ä", "a\\b", &"x".repeat(800), &"x".repeat(256)]
        {
            StorePath::parse(bad).unwrap_err();
        }
        assert_eq!(StorePath::from("a/b").join("c/d").as_str(), "a/b/c/d");
        assert_eq!(StorePath::from("a/b").file_name(), "b");
    }
}
