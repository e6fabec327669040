//! What queries show.

use alluvium_infra::Runtime;
use alluvium_infra::store::Store;
use alluvium_log::{ObjectRef, Operation};
use alluvium_reader::Isolation;
use alluvium_record::TopicId;
use serde_json::{Value, json};

use crate::world::{World, printed};

const EVERYTHING: &str = "select partition, offset, cast(timestamp as bigint) as timestamp, timestamp_type, key, value, headers \
                          from orders order by partition, offset";

/// Files, an aborted transaction, a committed one and an open one in partition 0; only raw batches in partition 1.
async fn mixed(runtime: &Runtime) -> World {
    let world = World::new(runtime, &[]).await;
    world.init_transactions().await;
    for count in [10, 11, 12] {
        world.write(0, count, 1_000_000).await;
    }
    world.write_in_transaction(0, &["aborted and merged"]).await;
    world.end_transaction(0, false).await;
    world.compact().await;
    world.write(0, 40, 1_000_100).await;
    world.compact().await;
    world.write_in_transaction(1, &["committed"]).await;
    world.end_transaction(1, true).await;
    world.write_in_transaction(2, &["aborted", "aborted, too"]).await;
    world.write(0, 7, 1_000_200).await;
    world.end_transaction(2, false).await;
    world.write_in_transaction(3, &["committed again"]).await;
    world.end_transaction(3, true).await;
    world.write(1, 20, 2_000_000).await;
    world.write_in_transaction(4, &["open"]).await;
    world.write(0, 3, 1_000_300).await;
    assert!(world.kinds(0).starts_with("ttr"), "{}", world.kinds(0));
    world
}

#[test]
fn every_row_is_what_a_consumer_reads() {
    Runtime::simulate(1, |runtime| async move {
        let world = mixed(&runtime).await;
        let expected = world.consume(Isolation::ReadCommitted).await;
        assert_eq!(world.rows(EVERYTHING).await, expected);
        let values: Vec<&str> = expected.iter().filter_map(|row| row["value"].as_str()).collect();
        assert!(values.contains(&"committed again") && !values.iter().any(|value| value.contains("aborted")));
        assert!(!values.contains(&"open"));
        let count = world.rows("select count(*) as n from orders").await;
        assert_eq!(count, [json!({"n": expected.len()})]);
    });
}

#[test]
fn everything_durable_is_shown_to_who_asks_for_it() {
    Runtime::simulate(2, |runtime| async move {
        let world = mixed(&runtime).await;
        let expected = world.consume(Isolation::ReadUncommitted).await;
        let (log, _) = world.elsewhere().await;
        let answer = world.queries(&log, Isolation::ReadUncommitted).run(EVERYTHING).await.unwrap();
        assert_eq!(printed(answer).await.unwrap(), expected);
        let values: Vec<&str> = expected.iter().filter_map(|row| row["value"].as_str()).collect();
        assert!(
            values.contains(&"aborted, too") && values.contains(&"open") && !values.contains(&"aborted and merged")
        );
    });
}

#[test]
fn conditions_leave_what_they_say() {
    Runtime::simulate(3, |runtime| async move {
        let world = mixed(&runtime).await;
        let all = world.consume(Isolation::ReadCommitted).await;
        let number = |row: &Value, name: &str| row[name].as_i64().unwrap();
        type Condition = fn(&dyn Fn(&str) -> i64) -> bool;
        let cases: &[(&str, Condition)] = &[
            ("partition = 1", |get| get("partition") == 1),
            ("partition in (0, 7)", |get| get("partition") == 0),
            ("offset between 5 and 36", |get| (5..=36).contains(&get("offset"))),
            ("offset >= 30 and offset < 12", |_| false),
            ("partition = 0 and offset > 60", |get| get("partition") == 0 && get("offset") > 60),
            ("offset = 3 or offset = 64", |get| [3, 64].contains(&get("offset"))),
            ("timestamp >= to_timestamp_millis(1000101)", |get| get("timestamp") >= 1_000_101),
            ("timestamp < to_timestamp_micros(1000005000)", |get| get("timestamp") < 1_000_005),
            ("timestamp > '1970-01-01T00:16:40.105Z' and timestamp <= '1970-01-01T00:16:40.201Z'", |get| {
                get("timestamp") > 1_000_105 && get("timestamp") <= 1_000_201
            }),
            ("timestamp = to_timestamp_millis(1000002) and offset <> 2", |get| {
                get("timestamp") == 1_000_002 && get("offset") != 2
            }),
        ];
        for (condition, holds) in cases {
            let expected: Vec<&Value> = all.iter().filter(|row| holds(&|name| number(row, name))).collect();
            let sql = EVERYTHING.replace("order by", &format!("where {condition} order by"));
            assert_eq!(world.rows(&sql).await.iter().collect::<Vec<_>>(), expected, "{condition}");
            let count = world.rows(&format!("select count(*) as n from orders where {condition}")).await;
            assert_eq!(count, [json!({"n": expected.len()})], "{condition}");
            let offsets = world.rows(&format!("select sum(offset) as n from orders where {condition}")).await;
            let sum: i64 = expected.iter().map(|row| number(row, "offset")).sum();
            assert_eq!(offsets[0]["n"].as_i64().unwrap_or(0), sum, "{condition}");
        }
    });
}

#[test]
fn what_was_deleted_is_not_shown() {
    Runtime::simulate(4, |runtime| async move {
        let world = mixed(&runtime).await;
        for before_offset in [5, 36] {
            let topic_partition = world.at(0);
            world.log.meta().commit(Operation::DeleteRecords { topic_partition, before_offset }, None).await.unwrap();
            assert_eq!(world.rows(EVERYTHING).await, world.consume(Isolation::ReadCommitted).await);
            let least = world.rows("select min(offset) as least from orders where partition = 0").await;
            assert_eq!(least, [json!({"least": before_offset})]);
        }
    });
}

#[test]
fn a_compacted_topic_shows_the_latest_of_each_key() {
    Runtime::simulate(5, |runtime| async move {
        let world = World::new(&runtime, &[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")]).await;
        for round in 0..4 {
            world.write(1, 9, 1_000_000 + round * 100).await;
            world.compact().await;
        }
        let expected = world.consume(Isolation::ReadCommitted).await;
        assert!(expected.len() < 36, "{} records are left", expected.len());
        assert_eq!(world.rows(EVERYTHING).await, expected);
    });
}

#[test]
fn what_a_merge_replaces_under_a_query_is_shown_once() {
    Runtime::simulate(6, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        for round in 0..8 {
            world.write(0, 10, 1_000_000 + round * 100).await;
            if round == 3 {
                world.compact().await;
            }
        }
        assert_eq!(world.kinds(0), "trrrr");
        let expected = world.consume(Isolation::ReadCommitted).await;
        let (log, _) = world.elsewhere().await;
        // Nothing is read before the first row is asked for.
        let answer = world.queries(&log, Isolation::ReadCommitted).run(EVERYTHING).await.unwrap();
        let partition = world.log.view().partition(world.at(0)).unwrap().clone();
        let old: Vec<_> = partition.runs().copied().collect();
        world.compact().await;
        let paths = world.log.meta().paths().clone();
        for run in old.iter().filter(|run| matches!(run.object, ObjectRef::Entry(_))) {
            world.memory.delete(&run.path(world.at(0), &paths).unwrap()).await.unwrap();
        }
        assert_eq!(world.kinds(0), "tt");
        assert_eq!(printed(answer).await.unwrap(), expected);
    });
}

#[test]
fn columns_out_of_values_are_there_before_and_after_a_merge() {
    Runtime::simulate(7, |runtime| async move {
        let configs = [("alluvium.parquet.value.columns", "n:int64, name:string, x:json:/deep/x")];
        let world = World::new(&runtime, &configs).await;
        world.write(0, 10, 1_000_000).await;
        let sql = "select offset, value_n, value_name, value_x from orders order by offset";
        let raw = world.rows(sql).await;
        assert_eq!(raw[3], json!({"offset": 3, "value_n": 3, "value_name": "n3", "value_x": "[3]"}));
        assert_eq!(raw[0], json!({"offset": 0, "value_n": null, "value_name": null, "value_x": null}));
        world.compact().await;
        assert_eq!(world.kinds(0), "t");
        assert_eq!(world.rows(sql).await, raw);
        assert_eq!(world.rows("select sum(value_n) as n from orders").await, [json!({"n": 2 + 3 + 4 + 7 + 8 + 9})]);
    });
}

#[test]
fn files_without_a_column_that_is_asked_for_now_give_it_out_of_their_values() {
    Runtime::simulate(8, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.write(0, 10, 1_000_000).await;
        world.compact().await;
        let set = vec![("alluvium.parquet.value.columns".to_owned(), "n:int64".to_owned())];
        let operation = Operation::AlterTopicConfigs { id: world.orders, set, remove: Vec::new() };
        world.log.meta().commit(operation, None).await.unwrap();
        let expected = json!({"n": 2 + 3 + 4 + 7 + 8 + 9});
        assert_eq!(world.rows("select sum(value_n) as n from orders").await, [expected]);
    });
}

#[test]
fn bytes_are_looked_into() {
    Runtime::simulate(9, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.write(0, 10, 1_000_000).await;
        let one = |sql: &'static str| async { world.rows(sql).await };
        assert_eq!(
            one("select value ->> 'name' as a, json(value, '/deep/x/0') as b, text(value) as c, text(key) as d \
                 from orders where offset = 3")
            .await,
            [json!({"a": "n3", "b": "3", "c": "{\"n\":3,\"name\":\"n3\",\"deep\":{\"x\":[3]}}", "d": "key-3"})]
        );
        assert_eq!(
            one("select value ->> 'name' as a, text(value) as b, value as c from orders where offset = 1").await,
            [json!({"a": null, "b": null, "c": {"base64": "/wA="}})]
        );
        assert_eq!(
            one("select header(headers, 'trace') as last, headers[1]['value'] as first, cardinality(headers) as n \
                 from orders where offset = 3")
            .await,
            [json!({"last": "h1", "first": "h0", "n": 3})]
        );
        assert_eq!(
            one("select offset from orders where key = 'key-2' order by 1").await,
            [json!({"offset": 2}), json!({"offset": 7})]
        );
        assert_eq!(one("select count(*) as n from orders where text(value) like '%name%'").await, [json!({"n": 6})]);
        assert_eq!(
            one("select cast(value ->> 'n' as bigint) % 2 as odd, count(*) as n from orders \
                 where value ->> 'n' is not null group by 1 order by 1")
            .await,
            [json!({"odd": 0, "n": 3}), json!({"odd": 1, "n": 3})]
        );
        assert_eq!(one("select cast(key as varchar) as k from orders where offset = 3").await, [json!({"k": "key-3"})]);
    });
}

#[test]
fn topics_are_tables_by_their_names() {
    Runtime::simulate(10, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        for name in ["web.clicks-2", "Upper"] {
            world.create(name, TopicId(runtime.random_uuid()), 1, &[]).await;
        }
        world.write(0, 4, 1_000_000).await;
        for (from, count) in
            [("\"web.clicks-2\"", 0), ("Upper", 0), ("\"Upper\"", 0), ("ORDERS", 4), ("topics.orders", 4)]
        {
            let rows = world.rows(&format!("select count(*) as n from {from}")).await;
            assert_eq!(rows, [json!({"n": count})], "{from}");
        }
        let names =
            world.rows("select table_name from information_schema.tables where table_schema = 'topics' order by 1");
        let names: Vec<Value> = names.await.into_iter().map(|row| row["table_name"].clone()).collect();
        assert_eq!(names, ["Upper", "orders", "web.clicks-2"]);
        let joined =
            "select count(*) as n from orders a join orders b on a.offset = b.offset + 1 and a.partition = b.partition";
        assert_eq!(world.rows(joined).await, [json!({"n": 3})]);
    });
}
