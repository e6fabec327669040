//! Alluvium: coordinator.
