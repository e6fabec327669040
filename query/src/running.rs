//! What a query that runs says of the rows that it can still use: `order by offset desc limit 10` wants nothing before the tenth
//! best so far, `max(timestamp)` nothing before the largest.
//!
//! Invariants: what is said is only made narrower; a row that is out of the bounds of its moment changes no result, so that it may
//! be left out or not.

use std::sync::Arc;

use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, DynamicFilterPhysicalExpr, IsNullExpr, Literal};

use crate::bounds::{Bounds, Interval};

/// Conditions that change while the query runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunningFilters(Vec<Arc<dyn PhysicalExpr>>);

impl RunningFilters {
    /// With one more.
    pub(crate) fn push(&mut self, filter: Arc<dyn PhysicalExpr>) {
        self.0.push(filter);
    }

    /// What can be of use now of this partition.
    pub(crate) fn bounds(&self, partition: i32) -> Bounds {
        let found = self.0.iter().filter_map(|filter| bounds_of(filter, partition));
        found.fold(Bounds::default(), |bounds, found| bounds.and(&found))
    }
}

/// Bounds that hold no row.
fn nothing() -> Bounds {
    Bounds { offsets: Interval::NONE, ..Bounds::default() }
}

/// Bounds of a condition on the rows of a partition; `None` when it says nothing that is understood.
fn bounds_of(condition: &Arc<dyn PhysicalExpr>, partition: i32) -> Option<Bounds> {
    if let Some(dynamic) = condition.downcast_ref::<DynamicFilterPhysicalExpr>() {
        return bounds_of(&dynamic.current().ok()?, partition);
    }
    if let Some(null) = condition.downcast_ref::<IsNullExpr>() {
        // None of the columns that have bounds is ever null.
        let column = null.arg().downcast_ref::<Column>()?;
        return Bounds::is_bounded(column.name()).then(nothing);
    }
    let binary = condition.downcast_ref::<BinaryExpr>()?;
    let (left, right) = (binary.left(), binary.right());
    match binary.op() {
        Operator::And => match (bounds_of(left, partition), bounds_of(right, partition)) {
            (Some(left), Some(right)) => Some(left.and(&right)),
            (one, other) => one.or(other),
        },
        Operator::Or => Some(bounds_of(left, partition)?.or(&bounds_of(right, partition)?)),
        operator => {
            let column = left.downcast_ref::<Column>()?;
            let value = right.downcast_ref::<Literal>()?;
            let bounds = Bounds::of_comparison(column.name(), *operator, value.value())?;
            Some(if bounds.has_partition(partition) { bounds } else { nothing() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::physical_expr::expressions::{binary, is_null, lit};

    fn compared(name: &str, operator: Operator, value: i64) -> Arc<dyn PhysicalExpr> {
        let schema = datafusion::arrow::datatypes::Schema::new(vec![datafusion::arrow::datatypes::Field::new(
            name,
            datafusion::arrow::datatypes::DataType::Int64,
            false,
        )]);
        binary(Arc::new(Column::new(name, 0)), operator, lit(value), &schema).expect("types fit")
    }

    fn joined(left: Arc<dyn PhysicalExpr>, operator: Operator, right: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        Arc::new(BinaryExpr::new(left, operator, right))
    }

    fn bounds(filter: Arc<dyn PhysicalExpr>) -> Bounds {
        let mut filters = RunningFilters::default();
        filters.push(filter);
        filters.bounds(1)
    }

    #[test]
    fn the_best_rows_so_far_bound_the_rest() {
        let best = compared("offset", Operator::Gt, 90);
        let null = is_null(Arc::new(Column::new("offset", 0))).expect("a column");
        let nulls_first = joined(null, Operator::Or, best.clone());
        let then = joined(compared("offset", Operator::Eq, 90), Operator::And, compared("value", Operator::Lt, 3));
        for filter in [best.clone(), nulls_first] {
            assert_eq!(bounds(filter).offsets, Interval::new(91, i64::MAX));
        }
        assert_eq!(bounds(joined(best.clone(), Operator::Or, then)).offsets, Interval::new(90, i64::MAX));
        // Ordered by partition, then by offset: the partition is known to be 1.
        let same = joined(compared("partition", Operator::Eq, 1), Operator::And, best);
        let before = compared("partition", Operator::Lt, 1);
        assert_eq!(bounds(joined(before, Operator::Or, same)).offsets, Interval::new(91, i64::MAX));
    }

    #[test]
    fn what_is_not_understood_bounds_nothing() {
        let other = compared("value", Operator::Gt, 1);
        assert_eq!(bounds(other.clone()), Bounds::default());
        assert_eq!(bounds(joined(compared("offset", Operator::Gt, 1), Operator::Or, other)), Bounds::default());
        assert_eq!(bounds(lit(true)), Bounds::default());
    }

    #[test]
    fn a_filter_is_asked_anew_each_time() {
        let dynamic = Arc::new(DynamicFilterPhysicalExpr::new(vec![Arc::new(Column::new("offset", 0))], lit(true)));
        let mut filters = RunningFilters::default();
        filters.push(Arc::clone(&dynamic) as Arc<dyn PhysicalExpr>);
        assert_eq!(filters.bounds(1), Bounds::default());
        dynamic.update(compared("offset", Operator::Lt, 5)).expect("is updated");
        assert_eq!(filters.bounds(1).offsets, Interval::new(i64::MIN, 4));
    }
}
