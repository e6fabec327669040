//! Alluvium: server.
