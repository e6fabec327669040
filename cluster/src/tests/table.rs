//! What follows from what is known of a node.

use super::*;

const FRESH: Duration = Duration::from_secs(8);
const REPORT: Duration = Duration::from_secs(2);

struct Known {
    table: Table,
    now_ms: i64,
    now: Instant,
}

fn record(id: i32, incarnation: u128, started_ms: i64, heartbeat_ms: i64) -> NodeRecord {
    NodeRecord {
        node_id: id,
        incarnation: Uuid::from_u128(incarnation),
        zone: None,
        listeners: Vec::new(),
        peer_address: format!("n{id}-{incarnation}:1"),
        version: "1".to_owned(),
        started_ms,
        heartbeat_ms,
    }
}

const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);

fn inc(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

impl Known {
    fn new() -> Self {
        let now = alluvium_infra::Runtime::seeded(1).monotonic();
        Self { table: Table::new(NodeId(1), FRESH, REPORT), now_ms: 100_000, now }
    }

    fn pass(&mut self, seconds: u64) {
        self.now_ms += seconds as i64 * 1_000;
        self.now += Duration::from_secs(seconds);
    }

    fn learn(&mut self, record: NodeRecord, source: Source) -> Learned {
        self.table.learn(record, source, self.now_ms, self.now)
    }

    /// Node `id` connects, and this node to it.
    fn link(&mut self, id: NodeId, incarnation: u128) {
        let record = record(id.0, incarnation, 0, self.now_ms);
        assert_eq!(self.learn(record, Source::Hello), Learned::Taken);
        assert!(self.table.linked(id, inc(incarnation), Link::new(id, inc(incarnation))));
        assert!(self.table.inbound(id, inc(incarnation), 1, Arc::default()));
    }

    fn unlink(&mut self, id: NodeId, incarnation: u128) {
        self.table.unlinked(id, inc(incarnation), self.now_ms);
        self.table.inbound_ended(id, inc(incarnation), 1, self.now_ms);
    }

    fn up(&mut self) -> Vec<i32> {
        self.table.survey(false, self.now).0.iter().map(|member| member.id.0).collect()
    }

    fn standing(&self, id: NodeId) -> Standing {
        self.table.standing(&self.table.peers[&id], self.now)
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_alone_makes_nobody_up() {
    let mut known = Known::new();
    known.learn(record(2, 5, 0, known.now_ms), Source::Record);
    assert_eq!((known.up(), known.standing(B)), (vec![], Standing::Unreported));
    assert_eq!(known.learn(record(1, 5, 0, known.now_ms), Source::Record), Learned::Superseded, "it is this node's id");
    assert!(!known.table.all_connected(), "it may live and commit");
    let old = record(2, 5, 0, known.now_ms);
    known.pass(10);
    assert_eq!(known.standing(B), Standing::Unreported, "nobody has looked");
    known.learn(old, Source::Record);
    assert_eq!(known.standing(B), Standing::Stale);
    assert!(known.table.all_connected());
    assert!(known.table.give_up(B, known.now), "it is forgotten");
    assert!(known.table.target(B).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_link_in_either_direction_is_life_however_old_the_record_is() {
    let mut known = Known::new();
    known.link(B, 5);
    known.pass(3_600);
    assert_eq!((known.up(), known.table.all_connected()), (vec![2], true));
    known.table.unlinked(B, inc(5), known.now_ms);
    assert_eq!(known.up(), [2]);
    assert!(known.table.link(B).is_none());
    known.table.attempt_failed(B, inc(5), true);
    assert_eq!(known.standing(B), Standing::Linked, "it is connected to this node");
    known.table.linked(B, inc(5), Link::new(B, inc(5)));
    known.table.inbound_ended(B, inc(5), 1, known.now_ms);
    assert_eq!((known.up(), known.table.all_connected()), (vec![2], false));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_link_is_believed_after_one_attempt() {
    for (refused, standing) in [(true, Standing::Refused), (false, Standing::Unreported)] {
        let mut known = Known::new();
        known.link(B, 5);
        assert_eq!(known.up(), [2]);
        known.unlink(B, 5);
        assert_eq!((known.up(), known.standing(B)), (vec![2], Standing::Reconnecting));
        known.table.attempt_failed(B, inc(5), refused);
        assert_eq!(known.standing(B), standing);
        assert!(known.up().is_empty());
        assert_eq!(known.table.survey(false, known.now).1, [], "a change is told once");
        assert!(!known.table.give_up(B, known.now), "its record is fresh");
        known.link(B, 5);
        assert_eq!(known.up(), [2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_third_node_vouches_while_it_is_linked_and_its_word_is_fresh() {
    let mut known = Known::new();
    known.link(B, 5);
    known.link(C, 6);
    assert_eq!(known.up(), [2, 3]);
    known.unlink(B, 5);
    known.table.attempt_failed(B, inc(5), false);
    assert!(!known.table.report(C, [(B, inc(5)), (NodeId(1), inc(9))].into(), known.now));
    assert_eq!(known.standing(B), Standing::Reported);
    known.table.report(C, [(B, inc(4))].into(), known.now);
    assert_eq!(known.standing(B), Standing::Unreported, "another incarnation");
    known.table.report(B, [(B, inc(5))].into(), known.now);
    assert_eq!(known.standing(B), Standing::Unreported, "nobody vouches for himself");
    known.table.report(C, [(B, inc(5))].into(), known.now);
    known.pass(3);
    assert_eq!(known.standing(B), Standing::Unreported, "an old word");
    known.table.report(C, [(B, inc(5))].into(), known.now);
    assert_eq!(known.standing(B), Standing::Reported);
    known.table.attempt_failed(B, inc(5), true);
    assert_eq!(known.standing(B), Standing::Refused, "its own machine says that it is gone");
    known.table.attempt_failed(B, inc(5), false);
    known.unlink(C, 6);
    assert_eq!(known.standing(B), Standing::Unreported, "who vouched is gone");
    known.link(C, 6);
    let old = record(2, 5, 0, known.now_ms);
    known.pass(10);
    known.table.report(C, [(B, inc(5))].into(), known.now);
    assert_eq!(known.standing(B), Standing::Reported);
    known.learn(old, Source::Record);
    assert_eq!(known.standing(B), Standing::Stale, "its heart stopped");
    assert!(known.table.report(C, [(NodeId(8), inc(1))].into(), known.now), "nobody here knows it");
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_counts_for_its_incarnation_whatever_links_there_are() {
    let mut known = Known::new();
    known.link(B, 5);
    known.table.departed(B, inc(4));
    assert_eq!(known.up(), [2], "another incarnation said it");
    known.table.departed(B, inc(5));
    assert!(known.up().is_empty() && known.table.target(B).is_none() && known.table.all_connected());
    assert!(known.table.link(B).is_some(), "what it serves goes on");
    assert!(known.table.linked_nodes().is_empty(), "and nobody is told of it");
    known.learn(record(2, 5, 0, known.now_ms), Source::Record);
    known.learn(record(2, 5, 0, known.now_ms), Source::Hello);
    assert!(known.up().is_empty());
    assert!(known.table.give_up(B, known.now));
    known.unlink(B, 5);
    known.table.forget_departed();
    assert!(known.table.peers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_younger_incarnation_counts_unless_only_the_older_gives_a_sign_of_life() {
    let mut known = Known::new();
    let (older, younger) = (record(2, 9, 1_000, known.now_ms), record(2, 4, 2_000, known.now_ms));
    assert_eq!(known.learn(older.clone(), Source::Hello), Learned::Taken);
    let link = Link::new(B, inc(9));
    known.table.linked(B, inc(9), link.clone());
    assert_eq!(known.up(), [2]);
    assert_eq!(known.learn(younger.clone(), Source::Record), Learned::Taken);
    assert!(!link.outbox.control(Default::default()), "the link of the older one is closed");
    assert_eq!(known.table.target(B).map(|target| target.incarnation), Some(inc(4)));
    assert!(!known.table.linked(B, inc(9), link), "the older one does not count");
    known.table.unlinked(B, inc(9), known.now_ms);
    known.table.inbound(B, inc(4), 2, Arc::default());
    assert_eq!(known.up(), [2]);
    assert_eq!(known.learn(older.clone(), Source::Hello), Learned::Superseded, "the younger one is up");
    known.table.departed(B, inc(4));
    assert_eq!(known.learn(older.clone(), Source::Hello), Learned::Taken, "the younger one left");
    known.pass(20);
    let ancient = record(2, 3, 500, 0);
    assert_eq!(known.learn(ancient, Source::Record), Learned::Superseded, "no sign of life");
}

#[tokio::test(start_paused = true)]
async fn each_node_has_one_who_cares_for_its_link() {
    let mut known = Known::new();
    known.learn(record(2, 5, 0, known.now_ms), Source::Record);
    assert_eq!(known.table.take_undialed(), [B]);
    assert!(known.table.take_undialed().is_empty());
    known.learn(record(2, 6, 1, known.now_ms), Source::Hello);
    assert!(known.table.take_undialed().is_empty(), "the one who cared for the older incarnation still does");
    known.table.record_gone(B);
    assert!(known.table.give_up(B, known.now));
    known.learn(record(2, 6, 1, known.now_ms), Source::Record);
    assert_eq!(known.table.take_undialed(), [B]);
}
