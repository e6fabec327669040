//! The model and the bill, by loads whose requests can be counted by hand.

use super::bill;
use super::load::{Functions, Load, Nodes, Parts, Topic};
use super::model::{MONTH_SECONDS, Usage, doubts, race, usage};
use super::prices::{BUILT_IN, Prices};

fn nodes() -> Nodes {
    Nodes {
        count: 1.0,
        processors: 1.0,
        memory_gibibytes: 2.0,
        flush_interval: 0.05,
        flush_bytes: 8.0 * 1024.0 * 1024.0,
        inline_bytes: 1024.0 * 1024.0,
        producers_wait: false,
        load_balancer: false,
        cross_zone: 0.0,
    }
}

fn functions() -> Functions {
    Functions {
        memory_gibibytes: 0.5,
        call_seconds: 0.06,
        poll_seconds: 1.0,
        compactor_interval: 600.0,
        compactor_gibibytes: 1.75,
    }
}

fn load(records: f64, bytes: f64, per_request: f64, parts: Parts) -> Load {
    let topic = Topic { name: "orders".to_owned(), records_per_second: records, record_bytes: bytes, partitions: 1.0 };
    Load {
        topics: vec![topic],
        records_per_request: per_request,
        consumers: 0.0,
        behind: 0.0,
        retention: 86_400.0,
        shards: 1.0,
        compaction: false,
        merge_bytes: 64.0 * 1024.0 * 1024.0,
        merge_age: 600.0,
        parts,
    }
}

fn near(is: f64, should: f64) {
    assert!((is - should).abs() <= should.abs() * 0.01 + 1e-12, "{is} is not {should}");
}

#[test]
fn an_idle_node_costs_its_heartbeat() {
    let idle = usage(&load(0.0, 1000.0, 1.0, Parts::Nodes(nodes())));
    near(idle.puts, 1.0 / 6.0);
    near(idle.gets, 1.0 / 6.0);
    near(idle.lists, 1.0 / 30.0);
    assert_eq!((idle.entries, idle.stored_bytes, idle.zone_bytes), (0.0, 0.0, 0.0));
}

#[test]
fn idle_functions_cost_the_compactor() {
    let mut idle = load(0.0, 1000.0, 1.0, Parts::Functions(functions()));
    assert_eq!(usage(&idle), Usage::default());
    idle.compaction = true;
    let idle = usage(&idle);
    near(idle.function_requests, 1.0 / 600.0);
    near(idle.function_gibibyte_seconds, 1.75 / 600.0);
    assert_eq!(idle.puts, 0.0);
}

#[test]
fn small_flushes_are_one_put_in_an_interval() {
    let busy = usage(&load(10_000.0, 100.0, 10.0, Parts::Nodes(nodes())));
    near(busy.entries, 20.0);
    near(busy.puts, 20.0 + 2.0 * 20.0 / 1_000.0 + 1.0 / 6.0);
    // Seldom requests are flushed one by one.
    near(usage(&load(0.5, 100.0, 1.0, Parts::Nodes(nodes()))).entries, 0.5);
    let slow = Nodes { flush_interval: 1.0, ..nodes() };
    near(usage(&load(10_000.0, 10.0, 10.0, Parts::Nodes(slow.clone()))).entries, 1.0);
    let waiting = Nodes { producers_wait: true, ..slow };
    near(usage(&load(10_000.0, 10.0, 10.0, Parts::Nodes(waiting))).entries, 1.0 / 0.045);
}

#[test]
fn large_flushes_are_two_puts() {
    // 40 MB/s in 20 flushes a second: 2 MB each.
    let large = usage(&load(40_000.0, 1_000.0, 100.0, Parts::Nodes(nodes())));
    let checkpoints = 40e6 / (64.0 * 1024.0 * 1024.0);
    near(large.puts, 40.0 + 2.0 * checkpoints + 1.0 / 6.0);
    let more = Nodes { inline_bytes: 4.0 * 1024.0 * 1024.0, ..nodes() };
    near(usage(&load(40_000.0, 1_000.0, 100.0, Parts::Nodes(more))).puts, 20.0 + 2.0 * checkpoints + 1.0 / 6.0);
}

#[test]
fn shards_multiply_entries_and_share_the_load() {
    let mut sharded = load(10_000.0, 100.0, 10.0, Parts::Nodes(nodes()));
    sharded.shards = 4.0;
    near(usage(&sharded).entries, 80.0);
}

#[test]
fn functions_that_take_turns_pay_for_each_others_entries() {
    let alone = usage(&load(0.1, 1_000.0, 10.0, Parts::Functions(functions())));
    near(alone.entries, 0.01);
    near(alone.puts, 0.01 * 1.002);
    assert!(alone.gets < alone.entries * 0.01, "{alone:?}");
    // What the example `racers` of the room ingest counted (docs/performance.md).
    for (writers, puts, gets) in [(2.0, 1.8, 3.9), (5.0, 2.5, 11.6), (10.0, 3.1, 20.3), (50.0, 5.4, 86.9)] {
        let (refused, read) = race(writers);
        assert!((1.0 + refused - puts).abs() < puts * 0.1, "{writers} writers: {refused} refused PUTs a call");
        assert!((read - gets).abs() < gets * 0.2, "{writers} writers: {read} GETs a call");
    }
    assert_eq!(race(1.0), (0.0, 0.0));
    let crowded = load(500.0, 1_000.0, 10.0, Parts::Functions(functions()));
    assert!(doubts(&crowded)[0].contains("more records in a call"), "{:?}", doubts(&crowded));
    let mut spread = crowded.clone();
    spread.shards = 8.0;
    assert!(doubts(&spread)[0].contains("compaction"), "{:?}", doubts(&spread));
    assert!(usage(&spread).puts < usage(&crowded).puts && usage(&spread).gets < usage(&crowded).gets);
}

#[test]
fn a_reader_asks_for_each_partition() {
    let mut read = load(10.0, 1_000.0, 10.0, Parts::Functions(functions()));
    let unread = usage(&read);
    read.consumers = 1.0;
    let one = usage(&read);
    // Once a second, and offsets once in five.
    near(one.function_requests - unread.function_requests, 1.0 + 0.2);
    read.topics[0].partitions = 12.0;
    near(usage(&read).function_requests - unread.function_requests, 12.0 + 0.2);
    // Nobody asks for the partitions of a topic without records.
    read.topics.push(Topic {
        name: "idle".to_owned(),
        records_per_second: 0.0,
        record_bytes: 1_000.0,
        partitions: 100.0,
    });
    near(usage(&read).function_requests - unread.function_requests, 12.0 + 0.2);
    // 24 MiB a second of 12 partitions: two calls of 1 MiB a second for each.
    let mut large = load(24.0 * 1024.0, 1_024.0, 1_024.0, Parts::Functions(functions()));
    large.topics[0].partitions = 12.0;
    let unread = usage(&large);
    large.consumers = 1.0;
    near(usage(&large).function_requests - unread.function_requests, 24.0 + 0.2);
}

#[test]
fn a_bill_without_lines_is_nothing() {
    let prices = Prices::parse(BUILT_IN).unwrap();
    let idle = load(0.0, 1_000.0, 1.0, Parts::Functions(functions()));
    let bill = bill::of_load(&idle, &usage(&idle), &prices, Vec::new());
    assert_eq!(format!("{:.2}", bill.dollars_per_month), "0.00");
}

#[test]
fn what_is_behind_is_read_in_blocks() {
    let mut behind = load(1_024.0, 1_024.0, 64.0, Parts::Nodes(nodes()));
    behind.consumers = 4.0;
    let at_the_end = usage(&behind);
    near(at_the_end.gets, 1.0 / 6.0);
    behind.behind = 0.5;
    near(usage(&behind).gets, 1.0 / 6.0 + 4.0);
}

#[test]
fn a_merge_reads_each_run_and_writes_parts() {
    let mut merged = load(64.0 * 1024.0, 1024.0, 1024.0, Parts::Nodes(nodes()));
    let without = usage(&merged);
    merged.compaction = true;
    let with = usage(&merged);
    // 64 MiB/s: a job a second of 8 parts, with begin, finish and entry; each entry is a run. Four such files are put together, which are
    // read and looked at.
    near(with.compaction_puts, 8.0 + 2.0 + 1.0 + 8.0 + (2.0 + 1.0) / 4.0);
    near(with.compaction_gets, without.entries + 2.0 * 8.0 + 2.0 * 8.0 + 2.0);
    assert!(with.stored_bytes > without.stored_bytes, "merged records lie there twice for a day");
}

#[test]
fn small_files_are_written_again_until_they_are_large() {
    // 600 KiB in ten minutes: 2.4, 9.6, 38, then 154 MiB.
    let mut small = load(1.0, 1024.0, 1.0, Parts::Nodes(nodes()));
    small.compaction = true;
    let jobs = 1.0 / 600.0;
    let all = jobs * (1.0 + 1.0 / 4.0 + 1.0 / 16.0 + 1.0 / 64.0 + 1.0 / 256.0);
    near(usage(&small).compaction_puts, 2.0 * all);
}

#[test]
fn entries_travel_to_other_zones_unless_they_name_a_segment() {
    let three = Nodes { count: 3.0, ..nodes() };
    let small = usage(&load(1_000.0, 1_000.0, 10.0, Parts::Nodes(three.clone())));
    near(small.zone_bytes, 1e6 * 2.0 * 2.0 / 3.0);
    let large = usage(&load(40_000.0, 1_000.0, 100.0, Parts::Nodes(three)));
    assert_eq!(large.zone_bytes, 0.0);
}

#[test]
fn more_load_never_costs_less() {
    let prices = Prices::parse(BUILT_IN).unwrap();
    // With more nodes than one, flushes that become segments are no longer pushed, and zones cost less.
    for parts in [Parts::Nodes(Nodes { load_balancer: true, ..nodes() }), Parts::Functions(functions())] {
        let mut before = 0.0;
        for step in 0..40 {
            let mut load = load(1.5_f64.powi(step), 500.0, 50.0, parts.clone());
            load.compaction = true;
            load.consumers = 2.0;
            let usage = usage(&load);
            let dollars: f64 = bill::items(&usage, &prices).iter().map(|item| item.dollars_per_month).sum();
            assert!(dollars.is_finite() && dollars >= before * 0.98, "step {step}: {dollars} after {before}");
            before = dollars;
        }
    }
}

#[test]
fn a_bill_adds_up() {
    let prices = Prices::parse(BUILT_IN).unwrap();
    let mut two = load(900.0, 1_000.0, 10.0, Parts::Nodes(nodes()));
    two.topics.push(Topic {
        name: "clicks".to_owned(),
        records_per_second: 100.0,
        record_bytes: 1_000.0,
        partitions: 3.0,
    });
    let usage = usage(&two);
    let bill = bill::of_load(&two, &usage, &prices, Vec::new());
    let items: f64 = bill.items.iter().map(|item| item.dollars_per_month).sum();
    let topics: f64 = bill.topics.iter().map(|topic| topic.dollars_per_month).sum();
    near(items, bill.dollars_per_month);
    near(topics, bill.dollars_per_month);
    near(bill.topics[0].dollars_per_month, bill.dollars_per_month * 0.9);
    near(bill.dollars_per_million_records.unwrap(), bill.dollars_per_month / (1_000.0 * MONTH_SECONDS / 1e6));
    let put = bill.items.iter().find(|item| item.name == "PUT").unwrap();
    near(put.dollars_per_month, usage.puts * MONTH_SECONDS * 0.005 / 1_000.0);
}
