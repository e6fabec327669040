use datafusion::logical_expr::{cast, col, lit};

use super::*;

fn found(condition: &Expr) -> Found {
    Bounds::of(condition).expect("understood")
}

fn time(nanoseconds: i64) -> Expr {
    Expr::Literal(ScalarValue::TimestampNanosecond(Some(nanoseconds), Some("+00:00".into())), None)
}

#[test]
fn offsets_are_bounded_from_both_sides() {
    let found = found(&col(OFFSET).gt(lit(5_i64)).and(lit(9_i64).gt_eq(col(OFFSET))));
    assert_eq!(found.bounds.offsets, Interval::new(6, 9));
    assert!(found.is_exact);
    let between = self::found(&col(OFFSET).between(lit(1_i64), lit(3_i32)));
    assert_eq!((between.bounds.offsets, between.is_exact), (Interval::new(1, 3), true));
}

#[test]
fn a_finer_time_is_rounded_to_where_it_loses_nothing() {
    let ms = cast(col(TIMESTAMP), DataType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Nanosecond, None));
    for (condition, interval) in [
        (ms.clone().gt(time(1_500_000)), Interval::new(2, i64::MAX)),
        (ms.clone().gt(time(2_000_000)), Interval::new(3, i64::MAX)),
        (ms.clone().gt_eq(time(1_500_000)), Interval::new(2, i64::MAX)),
        (ms.clone().lt(time(1_500_000)), Interval::new(i64::MIN, 1)),
        (ms.clone().lt(time(2_000_000)), Interval::new(i64::MIN, 1)),
        (ms.clone().lt_eq(time(-1)), Interval::new(i64::MIN, -1)),
        (ms.clone().eq(time(3_000_000)), Interval::new(3, 3)),
    ] {
        let found = found(&condition);
        assert_eq!((found.bounds.timestamps, found.is_exact), (interval, true), "{condition}");
    }
    assert!(found(&ms.eq(time(1))).bounds.timestamps.is_empty());
}

#[test]
fn partitions_are_a_set() {
    let either = found(&col(PARTITION).eq(lit(1_i32)).or(col(PARTITION).eq(lit(3_i32))));
    assert!(either.is_exact);
    let kept: Vec<i32> = (0..5).filter(|partition| either.bounds.has_partition(*partition)).collect();
    assert_eq!(kept, [1, 3]);
    let list = found(&col(PARTITION).in_list(vec![lit(0_i64), lit(2_i64)], false));
    assert!(list.is_exact && list.bounds.has_partition(2) && !list.bounds.has_partition(1));
    let upper = found(&col(PARTITION).lt(lit(2_i32)));
    assert!(upper.is_exact && upper.bounds.has_partition(1) && !upper.bounds.has_partition(2));
    assert!(!found(&col(PARTITION).eq(lit(1_i32)).and(col(PARTITION).eq(lit(2_i32)))).bounds.has_partition(1));
}

#[test]
fn either_or_is_a_hull_and_not_exact() {
    let found = found(&col(OFFSET).eq(lit(2_i64)).or(col(OFFSET).eq(lit(8_i64))));
    assert_eq!((found.bounds.offsets, found.is_exact), (Interval::new(2, 8), false));
    let mixed = self::found(&col(PARTITION).eq(lit(2_i64)).or(col(OFFSET).eq(lit(8_i64))));
    assert!(!mixed.is_exact && mixed.bounds == Bounds::default());
}

#[test]
fn what_is_not_understood_bounds_nothing() {
    for condition in [
        col("value").eq(lit("x")),
        col(OFFSET).eq(col(PARTITION)),
        col(OFFSET).not_eq(lit(1_i64)),
        col(OFFSET).gt(lit(1.5)),
        col(OFFSET).gt(lit(ScalarValue::Int64(None))),
        col(OFFSET).eq(lit(1_i64)).or(col("value").is_null()),
        col(OFFSET).in_list(vec![lit(1_i64)], true),
        cast(col(TIMESTAMP), DataType::Date32).gt(lit(ScalarValue::Date32(Some(1)))),
    ] {
        assert_eq!(Bounds::of(&condition), None, "{condition}");
    }
    let partly = found(&col(OFFSET).gt(lit(1_i64)).and(col("value").is_null()));
    assert_eq!((partly.bounds.offsets.least, partly.is_exact), (2, false));
}

#[test]
fn numbers_beyond_64_bits_are_all_or_nothing() {
    assert!(found(&col(OFFSET).gt(lit(u64::MAX))).bounds.offsets.is_empty());
    assert_eq!(found(&col(OFFSET).lt(lit(u64::MAX))).bounds.offsets, Interval::ALL);
    assert!(found(&col(OFFSET).gt(lit(i64::MAX))).bounds.offsets.is_empty());
}
