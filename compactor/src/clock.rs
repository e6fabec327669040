//! The store's clock, and whether it may be believed: what it says decides what is deleted.
//!
//! Invariants:
//! 1. A clock that jumps by more than [`JUMP_MS_MAX`] between two looks, against the clock of this machine that only counts, is
//!    not believed until it has gone on evenly for [`AGREEMENT`].
//! 2. At first, and after a jump, the wall clock of this machine must agree as well: one clock alone deletes nothing.

use std::time::Duration;

use alluvium_infra::runtime::Instant;

/// A difference between clocks that is too large.
const JUMP_MS_MAX: i64 = 3_600_000;
/// How long clocks must agree before they are believed again.
const AGREEMENT: Duration = Duration::from_secs(10 * 60);

/// Why the time is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockDoubt {
    /// The store has not told its time.
    #[error("the store has not told its time yet")]
    Silent,
    /// It has jumped.
    #[error("the store's clock has jumped by {by_ms} ms: waiting until it has gone on evenly for ten minutes")]
    Jumped {
        /// By how much.
        by_ms: i64,
    },
    /// It is not that of this machine.
    #[error("the store's clock is {by_ms} ms ahead of this machine's: one of them is wrong")]
    Differs {
        /// By how much.
        by_ms: i64,
    },
}

/// What was seen of the clocks.
#[derive(Debug, Default)]
pub struct TrustedClock {
    last: Option<Look>,
    /// Since when they have agreed, after they had not.
    doubt: Option<(ClockDoubt, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    store_ms: i64,
    at: Instant,
}

impl TrustedClock {
    /// The time, if it can be believed. `at` is this machine's clock that only counts, `wall_ms` its wall clock.
    pub fn look(&mut self, store_ms: Option<i64>, wall_ms: i64, at: Instant) -> Result<i64, ClockDoubt> {
        let store_ms = store_ms.ok_or(ClockDoubt::Silent)?;
        let now = Look { store_ms, at };
        let before = self.last.replace(now);
        let counted = before.map(|before| {
            let passed = at.saturating_duration_since(before.at).as_millis();
            store_ms.saturating_sub(before.store_ms).saturating_sub(i64::try_from(passed).unwrap_or(i64::MAX))
        });
        let jumped = counted.filter(|by_ms| by_ms.saturating_abs() > JUMP_MS_MAX);
        if let Some(by_ms) = jumped {
            self.doubt = Some((ClockDoubt::Jumped { by_ms }, at));
        }
        let differs_by_ms = store_ms.saturating_sub(wall_ms);
        let must_agree = before.is_none() || self.doubt.is_some();
        if must_agree && differs_by_ms.saturating_abs() > JUMP_MS_MAX {
            let doubt = ClockDoubt::Differs { by_ms: differs_by_ms };
            self.doubt = Some((doubt, at));
        }
        match self.doubt {
            Some((doubt, since)) if at.saturating_duration_since(since) < AGREEMENT => Err(doubt),
            _ => {
                self.doubt = None;
                Ok(store_ms)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alluvium_infra::Runtime;

    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const MINUTE: Duration = Duration::from_secs(60);

    struct Clocks {
        runtime: Runtime,
        trusted: TrustedClock,
        store_shift_ms: i64,
    }

    impl Clocks {
        fn look(&mut self) -> Result<i64, ClockDoubt> {
            let wall_ms = self.runtime.now_ms();
            self.trusted.look(Some(wall_ms + self.store_shift_ms), wall_ms, self.runtime.monotonic())
        }

        async fn minutes(&self, count: u32) {
            self.runtime.sleep(MINUTE * count).await;
        }
    }

    fn simulate<F: Future<Output = ()>>(scenario: impl FnOnce(Clocks) -> F) {
        Runtime::simulate(1, |runtime| {
            scenario(Clocks { runtime, trusted: TrustedClock::default(), store_shift_ms: 0 })
        });
    }

    #[test]
    fn clocks_that_agree_are_believed() {
        simulate(|mut clocks| async move {
            assert_eq!(clocks.trusted.look(None, 0, clocks.runtime.monotonic()), Err(ClockDoubt::Silent));
            for _ in 0..100 {
                assert_eq!(clocks.look(), Ok(clocks.runtime.now_ms()));
                clocks.minutes(50).await;
                clocks.runtime.shift_wall_clock(10_000);
            }
        });
    }

    #[test]
    fn a_jump_there_and_back_costs_ten_minutes() {
        simulate(|mut clocks| async move {
            assert!(clocks.look().is_ok());
            clocks.runtime.shift_wall_clock(30 * 24 * HOUR_MS);
            assert!(matches!(clocks.look(), Err(ClockDoubt::Jumped { .. })));
            clocks.minutes(5).await;
            assert!(clocks.look().is_err());
            clocks.runtime.shift_wall_clock(-30 * 24 * HOUR_MS);
            for _ in 0..10 {
                assert!(matches!(clocks.look(), Err(ClockDoubt::Jumped { .. })));
                clocks.minutes(1).await;
            }
            assert_eq!(clocks.look(), Ok(clocks.runtime.now_ms()));
        });
    }

    #[test]
    fn a_store_alone_in_its_time_is_never_believed() {
        simulate(|mut clocks| async move {
            assert!(clocks.look().is_ok());
            clocks.store_shift_ms = 2 * HOUR_MS;
            for _ in 0..100 {
                assert!(clocks.look().is_err());
                clocks.minutes(5).await;
            }
            clocks.store_shift_ms = 0;
            assert!(clocks.look().is_err());
            clocks.minutes(11).await;
            assert!(clocks.look().is_ok());
        });
        simulate(|mut clocks| async move {
            clocks.store_shift_ms = -2 * HOUR_MS;
            assert_eq!(clocks.look(), Err(ClockDoubt::Differs { by_ms: -2 * HOUR_MS }));
        });
    }
}
