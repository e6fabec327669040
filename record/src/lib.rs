//! Alluvium: record.
