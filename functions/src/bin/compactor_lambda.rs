//! The `compactor` function: one bounded pass for each event of a schedule.

use alluvium_functions::{compaction, run};

fn main() -> anyhow::Result<()> {
    run(compaction::serve)
}
