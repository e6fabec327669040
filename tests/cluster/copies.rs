//! Scenario 10: exactly once. Numbered records are copied from one topic to others in transactions, by pipelines of three languages,
//! while nodes and pipelines are killed. Every number arrives once, in its order, for whoever reads with `read_committed`.

#![allow(clippy::disallowed_methods, reason = "how long it takes is set by the environment")]

use std::collections::BTreeMap;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;

use crate::asking;
use crate::history::History;
use crate::nodes::{Cluster, Plan};
use crate::pulse::Pulse;
use crate::stalls::Stalls;
use crate::waiting::eventually;
use crate::workers::{Workers, consume, copy, produce};

const PARTITIONS: i32 = 6;
const NUMBERS: &str = "numbers";
const PROGRESS_MAX: Duration = Duration::from_secs(90);
/// Nine clients in six processes start at a time.
const WARM_MAX: Duration = Duration::from_secs(150);
/// Its copiers may wait for a coordinator that is gone until they are replaced (tests/clients/python/findings.md).
const SLOW: &str = "group readers-of-python-copies";
const LANGUAGES: [&str; 3] = ["java", "python", "go"];

fn length() -> Duration {
    let seconds = std::env::var("ALLUVIUM_TEST_CLUSTER_COPY_SECONDS").map_or(40, |text| text.parse().expect("seconds"));
    Duration::from_secs(seconds)
}

fn copies_of(language: &str) -> String {
    format!("{language}-copies")
}

/// A producer and a pipeline of two members for each language, whose copies the next language reads.
struct Pipelines {
    workers: Workers,
    events: Vec<(Instant, String)>,
    /// How often the pipeline of a language was started.
    lives: BTreeMap<&'static str, u32>,
    pulse: Pulse,
    runtime: Runtime,
}

impl Pipelines {
    async fn start(cluster: &Cluster) -> Option<Pipelines> {
        let runtime = cluster.runtime.clone();
        let workers = Workers::install(&LANGUAGES, &cluster.bootstrap(), NUMBERS, PARTITIONS, &runtime)?;
        let first = &cluster.nodes[0].address;
        asking::create_topic(first, NUMBERS, PARTITIONS, &runtime).await;
        for language in LANGUAGES {
            asking::create_topic(first, &copies_of(language), PARTITIONS, &runtime).await;
        }
        let pulse = Pulse::start(&runtime)?;
        let mut pipelines = Pipelines { workers, events: Vec::new(), lives: BTreeMap::new(), pulse, runtime };
        for (place, language) in LANGUAGES.into_iter().enumerate() {
            let copied = copies_of(LANGUAGES[(place + 1) % LANGUAGES.len()]);
            let more = format!("topic={copied},isolation=read_committed");
            let group = format!("readers-of-{copied}");
            let roles = [
                produce(&format!("{language}-producer"), 40, ""),
                consume(&format!("{language}-reader"), &group, &more),
            ];
            pipelines.workers.start(language, &roles);
            pipelines.start_copiers(language);
        }
        pipelines.workers.warm(WARM_MAX).await;
        Some(pipelines)
    }

    /// Members keep their transactional ids over the lives of their process, but not their names.
    fn start_copiers(&mut self, language: &'static str) {
        let life = self.lives.entry(language).and_modify(|life| *life += 1).or_insert(1);
        let roles = [1, 2].map(|member| {
            let id = format!("{language}-copier-{member}");
            copy(&format!("{id}.{life}"), &id, &format!("{language}-copiers"), &copies_of(language))
        });
        self.workers.start(language, &roles);
    }

    fn kill_copiers(&mut self, language: &'static str) {
        self.workers.kill(&format!("{language}-copier-1.{}", self.lives[language]));
    }

    fn event(&mut self, what: String) -> Instant {
        println!("  {what}");
        let now = self.runtime.monotonic();
        self.events.push((now, what));
        now
    }

    async fn progress(&mut self, since: Instant) {
        let runtime = self.runtime.clone();
        let progressed = async || {
            self.workers.still_well();
            self.workers.progressed(since)
        };
        let took = eventually(&runtime, PROGRESS_MAX, "copies arrive in every partition", progressed).await;
        println!("    copies arrive in every partition after {took:.1?}");
    }

    /// Ends producers, waits until everything is copied and read, ends the others; returns what was written and what was copied.
    async fn finish(&mut self, cluster: &Cluster) -> (Vec<Vec<String>>, Stalls) {
        let end = self.event("end of the load".to_owned());
        self.workers.end_roles(false).await;
        let written = asking::read_all(&cluster.nodes[0].address, NUMBERS, PARTITIONS, &self.runtime).await;
        let (runtime, history) = (self.runtime.clone(), self.workers.history.clone());
        let all = written.iter().map(Vec::len).sum::<usize>();
        let mut told = Vec::new();
        let copied = async || {
            self.workers.still_well();
            let history = history.lock();
            let now: Vec<usize> = LANGUAGES.map(|language| seen(&history, language).len()).to_vec();
            if now != told {
                println!("    {now:?} of {all} records are copied");
                told = now;
            }
            told.iter().all(|count| *count >= all)
        };
        let _took = eventually(&runtime, PROGRESS_MAX, "everything is copied", copied).await;
        self.workers.end_copiers().await;
        self.workers.end_roles(true).await;
        let stalls = Stalls::measure(&history.lock(), &self.events, end, &self.pulse);
        (written, stalls)
    }
}

/// What readers of the copies of a language have seen, by partition and offset. What is read again is the same again.
fn seen(history: &History, language: &str) -> BTreeMap<(i32, i64), String> {
    let mut seen = BTreeMap::new();
    for (name, reader) in history.members(&format!("readers-of-{}", copies_of(language))) {
        for record in &reader.read {
            let place = (record.partition, record.offset);
            let before = seen.insert(place, record.value.clone());
            let same = before.as_ref().is_none_or(|before| *before == record.value);
            assert!(same, "{name} read {:?} at {place:?}, where {before:?} was read before", record.value);
        }
    }
    seen
}

/// Every producer's numbers are there from 0 on, and all that were acknowledged.
fn check_written(history: &History, written: &[Vec<String>]) {
    for (name, producer) in history.producers() {
        for record in &producer.acknowledged {
            let value = format!("{name} {} {}", record.partition, record.number);
            let found = written[record.partition as usize].get(record.offset as usize);
            assert_eq!(found, Some(&value), "acknowledged at {:?}", (record.partition, record.offset));
        }
    }
    for (partition, values) in written.iter().enumerate() {
        let mut next: BTreeMap<&str, u64> = BTreeMap::new();
        for value in values {
            let (name, number) = value.split_once(' ').expect("values have a name");
            let expected = next.entry(name).or_default();
            assert_eq!(number, format!("{partition} {expected}"), "the next of {name}");
            *expected += 1;
        }
    }
}

/// Each pipeline has copied every record of each partition once, in its order, and a reader of committed records saw nothing else.
fn check_copies(history: &History, written: &[Vec<String>]) {
    for language in LANGUAGES {
        let mut copies = vec![Vec::new(); PARTITIONS as usize];
        for ((partition, _), value) in seen(history, language) {
            copies[partition as usize].push(value);
        }
        for (partition, (copied, written)) in copies.iter().zip(written).enumerate() {
            let differs = copied.iter().zip(written).position(|(copied, written)| copied != written);
            let place = differs.unwrap_or_else(|| copied.len().min(written.len()));
            assert!(
                copied == written,
                "{language}, partition {partition}: {} of {} records, and record {place} is {:?} instead of {:?}",
                copied.len(),
                written.len(),
                copied.get(place),
                written.get(place)
            );
        }
    }
}

async fn exactly_once(scenario: &str, shards: &str) {
    let runtime = Runtime::system();
    let plan = Plan { settings: vec![("shards", shards.to_owned())], ..Plan::default() };
    let Some(mut cluster) = Cluster::start(scenario, &plan, &runtime).await else { return };
    let Some(mut pipelines) = Pipelines::start(&cluster).await else { return };
    let (begun, mut kills) = (runtime.monotonic(), 0);
    while runtime.monotonic() - begun < length() {
        kills += 1;
        if runtime.random_below(3) == 0 {
            let language = LANGUAGES[runtime.random_below(3) as usize];
            let killed = pipelines.event(format!("{kills}: kill -9 of the copiers in {language}"));
            pipelines.kill_copiers(language);
            pipelines.start_copiers(language);
            pipelines.progress(killed).await;
            continue;
        }
        let index = runtime.random_below(3) as usize;
        let at_once = runtime.random_below(3) == 0;
        let come_back = if at_once { ", back at once" } else { "" };
        let killed = pipelines.event(format!("{kills}: kill -9 of node {}{come_back}", cluster.nodes[index].id));
        cluster.nodes[index].kill();
        if !at_once {
            pipelines.progress(killed).await;
        }
        cluster.nodes[index].start();
        cluster.complete().await;
        let whole = runtime.monotonic();
        pipelines.progress(whole).await;
    }
    let (written, stalls) = pipelines.finish(&cluster).await;
    {
        let history = pipelines.workers.history.lock();
        check_written(&history, &written);
        check_copies(&history, &written);
        let records: usize = written.iter().map(Vec::len).sum();
        let commits: usize = history.roles.values().map(|role| role.copied.len()).sum();
        let aborts =
            history.roles.values().flat_map(|role| &role.notes).filter(|note| note.starts_with("aborts")).count();
        let of_copiers = |event: &str| event.contains("copiers");
        let (worst, whose) = stalls.worst_around(|client| client != SLOW, |event| !of_copiers(event));
        let (of_kills_of_copiers, _) = stalls.worst_around(|_| true, of_copiers);
        println!(
            "ok {scenario}: {kills} kills; {records} records, each copied once by {} pipelines in {commits} transactions ({aborts} aborted \
         by their producers), {shards} shards; longest stall without what the store took: {} ms ({whose}; librdkafka's copiers aside), where copiers were killed {} ms\n{}",
            LANGUAGES.len(),
            worst.as_millis(),
            of_kills_of_copiers.as_millis(),
            stalls.table()
        );
    }
    cluster.stop().await;
}

/// 10a: with one shard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s10a_exactly_once() {
    exactly_once("s10a", "1").await;
}

/// 10b: with four, whose leaders differ: the ends of transactions go from shard to shard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s10b_exactly_once_over_four_shards() {
    exactly_once("s10b", "4").await;
}
