//! What is said in the log, and how often.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use alluvium_infra::store::Faulty;
use parking_lot::Mutex;

use super::*;

/// Everything that was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn count(&self, level: &str, words: &[&str]) -> usize {
        let text = String::from_utf8(self.0.lock().clone()).expect("text");
        let fits = |line: &&str| line.contains(level) && words.iter().all(|word| line.contains(word));
        text.lines().filter(fits).count()
    }
}

thread_local! {
    /// Where this thread's lines go; a simulation has one thread.
    static HEARD: RefCell<Lines> = RefCell::default();
}

/// One subscriber for all tests: those that come and go with their tests make tracing forget, for a moment, that anybody listens.
static LISTENING: Once = Once::new();

fn listen<Fut: Future<Output = ()>>(scenario: impl FnOnce(World, Lines) -> Fut) {
    LISTENING.call_once(|| {
        let writer = || HEARD.with_borrow(Lines::clone);
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(writer).finish();
        tracing::subscriber::set_global_default(subscriber).expect("nobody else listens for the whole process");
    });
    let lines = Lines::default();
    HEARD.set(lines.clone());
    simulate(|world| scenario(world, lines));
    HEARD.take();
}

#[test]
fn a_quiet_cluster_warns_of_nothing_and_tells_who_comes_and_goes_once() {
    listen(|world, lines| async move {
        let (one, two) = (world.start(1).await, world.start(2).await);
        world.agree(&[&one, &two], &[1, 2], Duration::from_secs(1)).await;
        world.sleep(60.0).await;
        assert_eq!(lines.count("INFO", &["peer is up", "node=1", "peer=2"]), 1);
        two.cluster.leave().await;
        two.cluster.close().await;
        world.sleep(60.0).await;
        assert_eq!(lines.count("INFO", &["peer is gone", "node=1", "peer=2", "it left"]), 1);
        assert_eq!(lines.count("WARN", &[]) + lines.count("ERROR", &[]), 0);
    });
}

#[test]
fn a_wrong_clock_is_warned_of_once_with_the_difference() {
    listen(|world, lines| async move {
        let late = world.runtime.fork();
        late.shift_wall_clock(3_600_000);
        let _two = world.start_in(late, world.settings(2), "n2").await.expect("joins");
        let nearly = world.runtime.fork();
        nearly.shift_wall_clock(-29_000);
        let _three = world.start_in(nearly, world.settings(3), "n3").await.expect("joins");
        world.sleep(120.0).await;
        assert_eq!(lines.count("WARN", &["node=2", "difference_ms=3600000"]), 1);
        assert_eq!(lines.count("WARN", &[]), 1);
    });
}

#[test]
fn an_address_that_leads_nowhere_is_warned_of_at_the_start() {
    listen(|world, lines| async move {
        let settings = ClusterSettings { peer_advertised: Some("nowhere:7000".to_owned()), ..world.settings(2) };
        let _two = world.start_with(settings, "n2").await.expect("joins");
        world.sleep(60.0).await;
        assert_eq!(lines.count("WARN", &["nowhere:7000", "does not lead to this node"]), 1);
        assert_eq!(lines.count("WARN", &[]), 1);
    });
}

#[test]
fn heartbeats_that_fail_are_told_when_that_begins_and_when_it_ends() {
    listen(|world, lines| async move {
        let faulty = Faulty::new(world.bucket.clone(), world.runtime.clone());
        let _one = world.start_on(faulty.clone(), world.runtime.fork(), world.settings(1), "n1").await.expect("joins");
        faulty.set_down(true);
        world.sleep(120.0).await;
        assert_eq!(lines.count("WARN", &["heartbeats cannot be written"]), 1);
        faulty.clear();
        world.sleep(20.0).await;
        assert_eq!(lines.count("INFO", &["heartbeats are written again"]), 1);
    });
}

#[test]
fn nodes_of_two_clusters_on_one_network_refuse_each_other_and_both_say_so() {
    listen(|world, lines| async move {
        let one = world.start(1).await;
        // Another bucket; somebody copied the record over, or reuses the address.
        let other = World { bucket: Arc::new(MemoryStore::new(world.runtime.clone())), ..world.clone() };
        let two = other.start(2).await;
        // Just before it looks around again.
        world.sleep(25.0).await;
        let mut record = one.cluster.node.record();
        record.heartbeat_ms = world.runtime.now_ms();
        let path = alluvium_infra::store::StorePath::from("node/1");
        other.bucket.put(&path, record.encode()).await.unwrap();
        world.sleep(20.0).await;
        assert_eq!((ids_of(&one), ids_of(&two)), (vec![1], vec![2]));
        let words = ["no link with this peer", one.log.cluster_id(), two.log.cluster_id()];
        assert_eq!(lines.count("WARN", &[&words[..], &["node=1", "peer=2"]].concat()), 1);
        assert_eq!(lines.count("WARN", &[&words[..], &["node=2", "peer=1"]].concat()), 1);
    });
}
