//! Alluvium: log.
