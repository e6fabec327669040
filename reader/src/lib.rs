//! Alluvium: reader.
