//! Queries that cannot be answered say why.

use alluvium_infra::Runtime;
use alluvium_infra::store::{Payload, Store};
use alluvium_query::QueryError;
use alluvium_record::TopicId;

use crate::world::World;

#[test]
fn what_is_wrong_with_the_text_is_said() {
    Runtime::simulate(1, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.write(0, 10, 1_000_000).await;
        for (sql, part) in [
            ("select offset frm orders", "Line: 1, Column: 19"),
            ("select * from orders where", "found: EOF"),
            ("select 'open from orders", "Unterminated"),
            ("select ofset from orders", "ofset"),
            ("select json(value) from orders", "json"),
            ("select text(offset) from orders", "text takes bytes"),
            ("", "No SQL"),
            ("select 1; select 2", "single"),
        ] {
            match world.ask(sql).await {
                Err(QueryError::Invalid(message)) => {
                    assert!(message.to_lowercase().contains(&part.to_lowercase()), "{sql}: {message}");
                }
                other => panic!("{sql}: {other:?}"),
            }
        }
    });
}

#[test]
fn nothing_can_be_changed() {
    Runtime::simulate(2, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        let folder = "/tmp/nowhere";
        for sql in [
            "create table x as select * from orders".to_owned(),
            "create view x as select 1".to_owned(),
            "drop table orders".to_owned(),
            "insert into orders (partition) values (1)".to_owned(),
            "explain analyze insert into orders (partition) values (1)".to_owned(),
            "delete from orders".to_owned(),
            "set datafusion.execution.batch_size = 1".to_owned(),
            format!("copy orders to '{folder}/x.csv'"),
            format!("create external table x stored as csv location '{folder}/x.csv'"),
        ] {
            let refused = world.ask(&sql).await.unwrap_err();
            assert!(matches!(refused, QueryError::NotAQuery), "{sql}: {refused:?}");
        }
    });
}

#[test]
fn an_unknown_topic_is_told_with_those_that_may_be_meant() {
    Runtime::simulate(3, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.create("web.clicks", TopicId(runtime.random_uuid()), 1, &[]).await;
        for (from, message) in [
            ("ordres", "there is no topic ordres; did you mean orders?"),
            ("order", "there is no topic order; did you mean orders?"),
            ("web.clicks", "there is no topic web.clicks; did you mean \"web.clicks\"?"),
            ("a.b.c", "there is no topic a.b.c"),
            ("\"/etc/passwd\"", "there is no topic /etc/passwd"),
            ("payments", "there is no topic payments"),
        ] {
            let refused = world.ask(&format!("select * from {from}")).await.unwrap_err();
            assert_eq!(refused.to_string(), message);
        }
    });
}

#[test]
fn memory_has_a_limit() {
    Runtime::simulate(4, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        for record in 0..100 {
            world.write_large(0, 1, 1 << 20, 1_000_000 + record).await;
        }
        // Everything in one row: nothing that temporary files could help with.
        let refused = world.ask("select array_agg(value) from orders").await.unwrap_err();
        assert!(matches!(refused, QueryError::MemoryExhausted(_)), "{refused:?}");
    });
}

#[test]
fn what_is_missing_or_damaged_is_no_row_less() {
    Runtime::simulate(5, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.write(0, 10, 1_000_000).await;
        world.compact().await;
        let prefix = world.log.meta().paths().table_prefix();
        let file = world.memory.list(&prefix, None, 10).await.unwrap().objects.remove(0).path;
        let whole = world.memory.get(&file).await.unwrap();
        let mut damaged = whole.to_vec();
        damaged[20] ^= 1;
        world.memory.put(&file, Payload::from(damaged)).await.unwrap();
        let refused = world.ask("select * from orders").await.unwrap_err().to_string();
        assert!(refused.contains("orders/0, offsets 0 to 9") && refused.contains("damaged"), "{refused}");
        world.memory.delete(&file).await.unwrap();
        let refused = world.ask("select offset from orders").await.unwrap_err().to_string();
        assert!(refused.contains("orders/0, offsets 0 to 9") && refused.contains("missing"), "{refused}");
    });
}

#[test]
fn a_value_that_does_not_fit_is_said() {
    Runtime::simulate(6, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.write(0, 10, 1_000_000).await;
        let refused = world.ask("select cast(value ->> 'name' as bigint) from orders").await.unwrap_err();
        assert!(matches!(&refused, QueryError::Failed(message) if message.contains("n2")), "{refused:?}");
    });
}
