//! Alluvium: protocol.
