//! Planting a bug by its name; only in builds with the feature `planted-bugs`.

use alluvium_infra::planted::Bug;

/// The bug of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<Bug> {
    Bug::ALL.iter().copied().find(|bug| format!("{bug:?}") == name)
}

/// Plants a bug in this thread, or none.
///
/// # Errors
/// When this build has no bugs to plant.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) -> Result<(), &'static str> {
    alluvium_infra::planted::plant(bug);
    Ok(())
}

/// Plants nothing: this build has no bugs.
///
/// # Errors
/// When a bug is asked for.
#[cfg(not(feature = "planted-bugs"))]
pub fn plant(bug: Option<Bug>) -> Result<(), &'static str> {
    match bug {
        None => Ok(()),
        Some(_) => Err("build with `--features planted-bugs`"),
    }
}

/// Plants the bug of that name in this thread.
///
/// # Errors
/// When there is none, or this build has no bugs to plant.
pub fn plant_named(name: &str) -> Result<(), &'static str> {
    plant(Some(by_name(name).ok_or("there is no such bug")?))
}
