//! Alluvium: ingest.
