//! Alluvium: infra.
