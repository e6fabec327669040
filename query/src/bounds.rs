//! What the conditions of a query say about partition, offset and timestamp: the part of a topic that has to be read.
//!
//! Invariants:
//! 1. A record that meets the conditions is within the bounds.
//! 2. Bounds that are called exact hold nothing else: whoever applies them needs no other filter.

use std::collections::BTreeSet;

use alluvium_table::schema::{OFFSET, TIMESTAMP};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, Operator, TryCast};
use datafusion::scalar::ScalarValue;

use crate::columns::PARTITION;

/// Numbers from the least to the greatest; none when the least is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) least: i64,
    pub(crate) greatest: i64,
}

impl Interval {
    pub(crate) const ALL: Interval = Interval { least: i64::MIN, greatest: i64::MAX };
    pub(crate) const NONE: Interval = Interval { least: i64::MAX, greatest: i64::MIN };

    pub(crate) fn new(least: i64, greatest: i64) -> Interval {
        Interval { least, greatest }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.least > self.greatest
    }

    /// What is in both.
    pub(crate) fn and(self, other: Interval) -> Interval {
        Interval { least: self.least.max(other.least), greatest: self.greatest.min(other.greatest) }
    }

    /// The shortest interval with both in it.
    fn hull(self, other: Interval) -> Interval {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        Interval { least: self.least.min(other.least), greatest: self.greatest.max(other.greatest) }
    }

    pub(crate) fn contains(self, value: i64) -> bool {
        self.least <= value && value <= self.greatest
    }

    /// Whether all of `other` is in it.
    pub(crate) fn covers(self, other: Interval) -> bool {
        other.is_empty() || (self.least <= other.least && other.greatest <= self.greatest)
    }

    pub(crate) fn meets(self, other: Interval) -> bool {
        !self.and(other).is_empty()
    }
}

/// The part of a topic that conditions leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Only these partitions.
    pub(crate) partitions: Option<BTreeSet<i64>>,
    /// And only those in here.
    pub(crate) partition_range: Interval,
    pub(crate) offsets: Interval,
    /// Milliseconds since 1970.
    pub(crate) timestamps: Interval,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { partitions: None, partition_range: Interval::ALL, offsets: Interval::ALL, timestamps: Interval::ALL }
    }
}

/// Bounds out of one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) bounds: Bounds,
    /// Whether they say all that the condition says.
    pub(crate) is_exact: bool,
}

impl Bounds {
    /// What a condition says; `None` when it says nothing of these columns, or nothing that is understood.
    pub(crate) fn of(condition: &Expr) -> Option<Found> {
        match condition {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                match (Self::of(left), Self::of(right)) {
                    (Some(left), Some(right)) => Some(Found {
                        bounds: left.bounds.and(&right.bounds),
                        is_exact: left.is_exact && right.is_exact,
                    }),
                    (Some(one), None) | (None, Some(one)) => Some(Found { is_exact: false, ..one }),
                    (None, None) => None,
                }
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                Some(Self::of(left)?.or(Self::of(right)?))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                Self::compared(left, *op, right).or_else(|| Self::compared(right, op.swap()?, left))
            }
            Expr::Between(Between { expr, negated: false, low, high }) => {
                let low = Self::compared(expr, Operator::GtEq, low)?;
                let high = Self::compared(expr, Operator::LtEq, high)?;
                Some(Found { bounds: low.bounds.and(&high.bounds), is_exact: low.is_exact && high.is_exact })
            }
            Expr::InList(InList { expr, list, negated: false }) => {
                let found = list.iter().map(|value| Self::compared(expr, Operator::Eq, value));
                found.reduce(|all, one| Some(all?.or(one?)))?
            }
            _ => None,
        }
    }

    /// All conditions together. Those that are not understood change nothing.
    pub(crate) fn of_all(conditions: &[Expr]) -> Bounds {
        conditions.iter().filter_map(Bounds::of).fold(Bounds::default(), |bounds, found| bounds.and(&found.bounds))
    }

    fn compared(column: &Expr, operator: Operator, value: &Expr) -> Option<Found> {
        let Expr::Literal(value, _) = value else { return None };
        let bounds = Self::of_comparison(bounded_column(column)?, operator, value)?;
        Some(Found { bounds, is_exact: true })
    }

    /// Whether a column has bounds at all.
    pub(crate) fn is_bounded(column: &str) -> bool {
        [PARTITION, OFFSET, TIMESTAMP].contains(&column)
    }

    /// What the comparison of a column with a value says, exactly.
    pub(crate) fn of_comparison(column: &str, operator: Operator, value: &ScalarValue) -> Option<Bounds> {
        let around = match column {
            PARTITION | OFFSET => whole(value)?,
            TIMESTAMP => milliseconds(value)?,
            _ => return None,
        };
        let interval = interval_of(operator, around)?;
        let mut bounds = Bounds::default();
        match column {
            OFFSET => bounds.offsets = interval,
            TIMESTAMP => bounds.timestamps = interval,
            _ if operator == Operator::Eq => {
                let only = (interval.least == interval.greatest).then_some(interval.least);
                bounds.partitions = Some(only.into_iter().collect());
            }
            _ => bounds.partition_range = interval,
        }
        Some(bounds)
    }

    pub(crate) fn and(&self, other: &Bounds) -> Bounds {
        let partitions = match (&self.partitions, &other.partitions) {
            (Some(these), Some(those)) => Some(these & those),
            (one, other) => one.as_ref().or(other.as_ref()).cloned(),
        };
        Bounds {
            partitions,
            partition_range: self.partition_range.and(other.partition_range),
            offsets: self.offsets.and(other.offsets),
            timestamps: self.timestamps.and(other.timestamps),
        }
    }

    /// Bounds that hold what is in either one, and more.
    pub(crate) fn or(&self, other: &Bounds) -> Bounds {
        // What is empty in one way holds nothing, whatever the others say.
        if self.is_empty() {
            return other.clone();
        }
        if other.is_empty() {
            return self.clone();
        }
        let partitions = match (&self.partitions, &other.partitions) {
            (Some(these), Some(those)) => Some(these | those),
            _ => None,
        };
        Bounds {
            partitions,
            partition_range: self.partition_range.hull(other.partition_range),
            offsets: self.offsets.hull(other.offsets),
            timestamps: self.timestamps.hull(other.timestamps),
        }
    }

    fn is_empty(&self) -> bool {
        self.partitions.as_ref().is_some_and(BTreeSet::is_empty)
            || [self.partition_range, self.offsets, self.timestamps].into_iter().any(Interval::is_empty)
    }

    pub(crate) fn has_partition(&self, partition: i32) -> bool {
        let partition = i64::from(partition);
        self.partition_range.contains(partition)
            && self.partitions.as_ref().is_none_or(|partitions| partitions.contains(&partition))
    }
}

impl Found {
    /// What holds either one. Exact only where both are about the same partitions alone.
    fn or(self, other: Found) -> Found {
        let bounds = self.bounds.or(&other.bounds);
        let only_partitions = |side: Bounds| Bounds { partitions: None, ..side } == Bounds::default();
        let is_exact = self.is_exact
            && other.is_exact
            && bounds.partitions.is_some()
            && only_partitions(self.bounds)
            && only_partitions(other.bounds);
        Found { bounds, is_exact }
    }
}

/// The column behind conversions that keep its order and lose nothing.
fn bounded_column(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Column(column) => Some(column.name.as_str()).filter(|name| Bounds::is_bounded(name)),
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            let name = bounded_column(expr)?;
            let keeps = match field.data_type() {
                DataType::Timestamp(unit, _) => name == TIMESTAMP && *unit != TimeUnit::Second,
                DataType::Int64 => name != TIMESTAMP,
                _ => false,
            };
            keeps.then_some(name)
        }
        _ => None,
    }
}

/// A number between two whole ones, or one of them.
#[derive(Clone, Copy)]
struct Around {
    floor: i128,
    ceiling: i128,
}

fn whole(value: &ScalarValue) -> Option<Around> {
    let number = match value {
        ScalarValue::Int8(Some(number)) => i128::from(*number),
        ScalarValue::Int16(Some(number)) => i128::from(*number),
        ScalarValue::Int32(Some(number)) => i128::from(*number),
        ScalarValue::Int64(Some(number)) => i128::from(*number),
        ScalarValue::UInt8(Some(number)) => i128::from(*number),
        ScalarValue::UInt16(Some(number)) => i128::from(*number),
        ScalarValue::UInt32(Some(number)) => i128::from(*number),
        ScalarValue::UInt64(Some(number)) => i128::from(*number),
        _ => return None,
    };
    Some(Around { floor: number, ceiling: number })
}

fn milliseconds(value: &ScalarValue) -> Option<Around> {
    let (number, per_millisecond) = match value {
        ScalarValue::TimestampSecond(Some(number), _) => (i128::from(*number) * 1000, 1),
        ScalarValue::TimestampMillisecond(Some(number), _) => (i128::from(*number), 1),
        ScalarValue::TimestampMicrosecond(Some(number), _) => (i128::from(*number), 1000),
        ScalarValue::TimestampNanosecond(Some(number), _) => (i128::from(*number), 1_000_000),
        _ => return None,
    };
    let floor = number.div_euclid(per_millisecond);
    Some(Around { floor, ceiling: floor + i128::from(number.rem_euclid(per_millisecond) != 0) })
}

/// The whole numbers that stand in this relation to a value.
fn interval_of(operator: Operator, value: Around) -> Option<Interval> {
    let (least, greatest) = (i128::from(i64::MIN), i128::from(i64::MAX));
    let (from, to) = match operator {
        Operator::Gt => (value.floor + 1, greatest),
        Operator::GtEq => (value.ceiling, greatest),
        Operator::Lt => (least, value.ceiling - 1),
        Operator::LtEq => (least, value.floor),
        Operator::Eq => (value.ceiling, value.floor),
        _ => return None,
    };
    if from > greatest || to < least || from > to {
        return Some(Interval::NONE);
    }
    // Both are within 64 bits now.
    let clamped = |number: i128| i64::try_from(number.clamp(least, greatest)).ok();
    Some(Interval::new(clamped(from)?, clamped(to)?))
}

#[cfg(test)]
mod tests;
