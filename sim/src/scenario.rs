//! Scenarios: how large a cluster is, who uses it, and what goes wrong.
//!
//! Invariant: a scenario and a seed decide a whole run; nothing else does.

use alluvium_infra::limits::UPLOAD_PART_BYTES;

use crate::random::Random;

/// The parameters of a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Nodes.
    pub nodes: u32,
    /// Idempotent producers.
    pub idempotent: u32,
    /// Producers without sequence numbers.
    pub plain: u32,
    /// Producers without sequence numbers that send one batch after the other to one node, without waiting for answers.
    pub streams: u32,
    /// Consumers without a group.
    pub consumers: u32,
    /// Clients that commit and read offsets without being members.
    pub committers: u32,
    /// Group members.
    pub members: u32,
    /// Clients that write transactions; two share a transactional id.
    pub transactional: u32,
    /// Clients that copy records from one partition to another and commit offsets with them; all have one transactional id.
    pub copiers: u32,
    /// Clients that make, change and delete topics and delete records.
    pub admins: u32,
    /// Operations of each client.
    pub operations: u32,
    /// Longest time of faults, in milliseconds; clients start nothing new afterwards.
    pub duration_ms: u64,
    /// Of a thousand requests to the store, how many go wrong.
    pub store_faults_per_mille: u32,
    /// Of a thousand requests to a node, how many go wrong on the network.
    pub network_faults_per_mille: u32,
    /// Crashes.
    pub crashes: u32,
    /// Freezes.
    pub freezes: u32,
    /// Longest freeze in milliseconds.
    pub freeze_ms_max: u64,
    /// Jumps of a node's wall clock.
    pub clock_jumps: u32,
    /// Times in which a client and a node cannot reach each other.
    pub partitions: u32,
    /// Shards of the cluster; 0 means one to four, as the seed has it.
    pub shards: u32,
    /// Shards that topics are spread over later on; not more than `shards` means that nothing changes.
    pub shards_later: u32,
    /// Whether the nodes know of each other: membership, leaders, forwarded appends, pushes. Otherwise each believes that it leads.
    pub linked: bool,
    /// Of a thousand frames between nodes, how many suffer.
    pub peer_faults_per_mille: u32,
    /// Times in which two nodes cannot reach each other, in one direction or both.
    pub link_cuts: u32,
    /// Times in which a node cannot reach the store.
    pub store_cuts: u32,
    /// How long entries are kept behind a checkpoint, in milliseconds; 0 means for ever: nothing is collected.
    pub retention_ms: u64,
    /// Whether the nodes compact, each as if it led every shard, and collect garbage: in place of the stand-in of the world.
    pub compacts: bool,
    /// Bytes of the parts that the files of compaction are uploaded in, when they are longer.
    pub upload_part_bytes: usize,
    /// Of a thousand requests about an upload in parts, at how many the node dies.
    pub upload_crashes_per_mille: u32,
    /// Bytes of a flush that ride in an entry; more goes to a segment.
    pub inline_bytes_max: usize,
    /// Bytes of produce requests in flight on one node.
    pub bytes_in_flight_max: usize,
    /// Bytes of the newest objects kept in memory.
    pub tail_bytes_max: u64,
    /// Entries after which a checkpoint is written.
    pub checkpoint_entries: u64,
}

const BASE: Scenario = Scenario {
    name: "quiet",
    about: "one node, nothing goes wrong",
    nodes: 1,
    idempotent: 1,
    plain: 1,
    streams: 0,
    consumers: 1,
    committers: 1,
    members: 0,
    transactional: 0,
    copiers: 0,
    admins: 0,
    operations: 16,
    duration_ms: 20_000,
    store_faults_per_mille: 0,
    network_faults_per_mille: 0,
    crashes: 0,
    freezes: 0,
    freeze_ms_max: 0,
    clock_jumps: 0,
    partitions: 0,
    shards: 1,
    shards_later: 0,
    linked: false,
    peer_faults_per_mille: 0,
    link_cuts: 0,
    store_cuts: 0,
    retention_ms: 0,
    compacts: false,
    upload_part_bytes: UPLOAD_PART_BYTES,
    upload_crashes_per_mille: 0,
    inline_bytes_max: 2_000,
    bytes_in_flight_max: 64 * 1024,
    tail_bytes_max: 4 * 1024,
    checkpoint_entries: 8,
};

/// All scenarios; the first is the one that mixes the others.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "mixed", about: "parameters drawn from the seed: a bit of everything", ..BASE },
    BASE,
    Scenario { name: "store", about: "one node on a store with every fault", store_faults_per_mille: 150, ..BASE },
    Scenario {
        name: "race",
        about: "nodes that all believe they lead, on a store with faults",
        nodes: 3,
        idempotent: 2,
        plain: 2,
        consumers: 2,
        store_faults_per_mille: 60,
        ..BASE
    },
    Scenario {
        name: "crash",
        about: "nodes die at any await and start again from the bucket",
        nodes: 2,
        idempotent: 2,
        store_faults_per_mille: 40,
        network_faults_per_mille: 20,
        crashes: 5,
        ..BASE
    },
    Scenario {
        name: "freeze",
        about: "nodes stand still for longer than entries are kept, garbage is collected at the shortest grace",
        nodes: 2,
        plain: 2,
        admins: 1,
        operations: 24,
        duration_ms: 180_000,
        store_faults_per_mille: 40,
        freezes: 4,
        freeze_ms_max: 60_000,
        clock_jumps: 2,
        retention_ms: 10_000,
        checkpoint_entries: 4,
        ..BASE
    },
    Scenario {
        name: "compaction",
        about: "every node merges what transactions left, and collects garbage at the shortest grace; nodes die, freeze and race",
        nodes: 3,
        idempotent: 1,
        plain: 2,
        consumers: 3,
        transactional: 2,
        admins: 1,
        operations: 16,
        duration_ms: 100_000,
        store_faults_per_mille: 40,
        crashes: 3,
        freezes: 3,
        freeze_ms_max: 40_000,
        retention_ms: 10_000,
        store_cuts: 1,
        compacts: true,
        upload_part_bytes: 2_000,
        upload_crashes_per_mille: 10,
        checkpoint_entries: 4,
        ..BASE
    },
    Scenario {
        name: "network",
        about: "requests and answers are lost, doubled, delayed, reordered; clients and nodes are cut off",
        nodes: 2,
        idempotent: 2,
        network_faults_per_mille: 200,
        partitions: 3,
        ..BASE
    },
    Scenario {
        name: "groups",
        about: "group members and others commit offsets and read them back",
        nodes: 2,
        plain: 0,
        consumers: 0,
        committers: 2,
        members: 3,
        store_faults_per_mille: 40,
        network_faults_per_mille: 40,
        crashes: 2,
        ..BASE
    },
    Scenario {
        name: "admin",
        about: "topics come, grow, change and go; records are deleted",
        nodes: 2,
        admins: 2,
        consumers: 2,
        store_faults_per_mille: 60,
        network_faults_per_mille: 30,
        crashes: 1,
        ..BASE
    },
    Scenario {
        name: "pressure",
        about: "more bytes than a node may hold, large flushes that need segments",
        plain: 4,
        idempotent: 2,
        consumers: 2,
        store_faults_per_mille: 80,
        inline_bytes_max: 600,
        bytes_in_flight_max: 1_500,
        tail_bytes_max: 1_000,
        ..BASE
    },
    Scenario {
        name: "healthy",
        about: "nodes that know of each other, and nothing goes wrong: whoever waits hears at once",
        nodes: 3,
        plain: 2,
        consumers: 3,
        committers: 0,
        shards: 0,
        linked: true,
        ..BASE
    },
    Scenario {
        name: "alone",
        about: "nodes that do not know of each other on a good store: whoever waits finds out by looking",
        nodes: 3,
        plain: 1,
        idempotent: 0,
        consumers: 3,
        committers: 0,
        shards: 0,
        ..BASE
    },
    Scenario {
        name: "linked",
        about: "nodes that forward and push over links with faults, one to four shards",
        nodes: 3,
        idempotent: 2,
        plain: 2,
        consumers: 2,
        shards: 0,
        linked: true,
        store_faults_per_mille: 30,
        peer_faults_per_mille: 60,
        link_cuts: 2,
        ..BASE
    },
    Scenario {
        name: "split",
        about: "nodes cut off from each other and from the store, crashes, freezes",
        nodes: 3,
        idempotent: 2,
        plain: 1,
        streams: 2,
        consumers: 2,
        operations: 24,
        duration_ms: 40_000,
        shards: 0,
        linked: true,
        network_faults_per_mille: 30,
        peer_faults_per_mille: 20,
        link_cuts: 5,
        store_cuts: 3,
        crashes: 3,
        freezes: 2,
        freeze_ms_max: 15_000,
        ..BASE
    },
    Scenario {
        name: "coordinators",
        about: "groups whose coordinators die, freeze and are cut off; members follow whoever leads",
        nodes: 3,
        idempotent: 0,
        plain: 0,
        consumers: 0,
        committers: 3,
        members: 4,
        operations: 30,
        duration_ms: 40_000,
        shards: 0,
        linked: true,
        store_faults_per_mille: 20,
        network_faults_per_mille: 20,
        peer_faults_per_mille: 20,
        link_cuts: 5,
        store_cuts: 1,
        crashes: 3,
        freezes: 4,
        freeze_ms_max: 12_000,
        ..BASE
    },
    Scenario {
        name: "grow",
        about: "more shards while everything goes on, topics on the new ones",
        nodes: 3,
        idempotent: 2,
        consumers: 2,
        admins: 2,
        operations: 24,
        shards: 0,
        shards_later: 5,
        linked: true,
        store_faults_per_mille: 40,
        peer_faults_per_mille: 20,
        link_cuts: 1,
        crashes: 2,
        ..BASE
    },
    Scenario {
        name: "transactions",
        about: "transactions over shards whose leaders die, freeze and are cut off; two producers for each id",
        idempotent: 1,
        plain: 0,
        consumers: 2,
        committers: 0,
        transactional: 4,
        copiers: 1,
        store_faults_per_mille: 20,
        network_faults_per_mille: 30,
        link_cuts: 2,
        crashes: 3,
        freezes: 2,
        freeze_ms_max: 8_000,
        ..TRANSACTIONS
    },
    Scenario {
        name: "one-shard",
        about: "transactions whose end is a single entry, on a store with faults",
        nodes: 2,
        transactional: 4,
        copiers: 2,
        shards: 1,
        store_faults_per_mille: 60,
        network_faults_per_mille: 60,
        crashes: 2,
        ..TRANSACTIONS
    },
    Scenario {
        name: "four-shards",
        about: "transactions over four shards whose coordinators die between decision and markers",
        transactional: 4,
        copiers: 2,
        shards: 4,
        network_faults_per_mille: 20,
        store_faults_per_mille: 60,
        crashes: 6,
        store_cuts: 2,
        ..TRANSACTIONS
    },
    Scenario {
        name: "two-leaders",
        about: "transactions at nodes that do not know of each other: two lead, or none",
        transactional: 4,
        copiers: 2,
        linked: false,
        store_faults_per_mille: 50,
        network_faults_per_mille: 30,
        crashes: 1,
        freezes: 1,
        freeze_ms_max: 10_000,
        ..TRANSACTIONS
    },
    Scenario {
        name: "zombies",
        about: "transactions of producers and nodes that stand still, requests that arrive long after, clocks that jump",
        consumers: 2,
        transactional: 6,
        network_faults_per_mille: 250,
        partitions: 3,
        freezes: 5,
        freeze_ms_max: 20_000,
        clock_jumps: 2,
        crashes: 1,
        ..TRANSACTIONS
    },
];

/// Three nodes with links and one to four shards, where most is transactions.
const TRANSACTIONS: Scenario = Scenario {
    nodes: 3,
    idempotent: 0,
    plain: 1,
    consumers: 3,
    committers: 0,
    operations: 12,
    duration_ms: 40_000,
    shards: 0,
    linked: true,
    ..BASE
};

/// The scenario of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// The scenario as a seed plays it: `mixed` draws another one and bends its parameters.
    #[must_use]
    pub fn for_seed(&self, seed: u64) -> Scenario {
        if self.name != "mixed" {
            return self.clone().with_shards(seed);
        }
        let mut random = Random::new(seed, 0x5ce7a110);
        // Those that compact are run by name: known seeds of the others stay what they are.
        let others: Vec<&Scenario> = SCENARIOS[1..].iter().filter(|scenario| !scenario.compacts).collect();
        let drawn = others[random.below(others.len() as u64) as usize];
        let mut mixed = drawn.clone();
        mixed.name = self.name;
        mixed.nodes = random.between(u64::from(drawn.nodes), 4) as u32;
        mixed.idempotent = random.between(1, 3) as u32;
        mixed.plain = random.below(3) as u32;
        mixed.consumers = random.below(3) as u32;
        mixed.operations = random.between(8, 20) as u32;
        mixed.store_faults_per_mille = random.below(200) as u32;
        mixed.network_faults_per_mille = random.below(120) as u32;
        mixed.crashes = random.below(4) as u32;
        mixed.partitions = random.below(3) as u32;
        mixed.clock_jumps += random.below(2) as u32;
        mixed.inline_bytes_max = random.pick(&[200, 600, 2_000, 20_000]);
        mixed.tail_bytes_max = random.pick(&[0, 1_000, 4_000, 100_000]);
        mixed.checkpoint_entries = random.pick(&[3, 8, 40]);
        if random.chance(400) && mixed.freezes == 0 {
            mixed.freezes = random.between(1, 3) as u32;
            mixed.freeze_ms_max = random.pick(&[2_000, 20_000, 4 * 3_600_000]);
        }
        // Hours of pings would take as long to simulate as everything else together.
        mixed.linked = (mixed.linked || random.chance(500)) && mixed.freeze_ms_max <= 60_000;
        mixed.shards = random.pick(&[1, 0, 0]);
        if mixed.linked {
            mixed.peer_faults_per_mille = random.pick(&[0, 10, 60, 200]);
            mixed.link_cuts = random.below(4) as u32;
            mixed.streams = random.below(2) as u32;
            mixed.store_cuts = random.below(3) as u32;
        }
        if random.chance(250) {
            mixed.shards_later = random.between(2, 5) as u32;
        }
        if random.chance(300) && !mixed.has_transactions() {
            mixed.transactional = random.between(1, 3) as u32;
            mixed.copiers = random.below(2) as u32;
        }
        mixed.with_shards(seed)
    }

    /// Draws the number of shards where the seed is to have it.
    fn with_shards(mut self, seed: u64) -> Scenario {
        if self.shards == 0 {
            self.shards = Random::new(seed, 0x0005_4a4d).between(1, 4) as u32;
        }
        self
    }

    /// Whether anybody writes transactions.
    #[must_use]
    pub fn has_transactions(&self) -> bool {
        self.transactional + self.copiers > 0
    }

    /// Whether nothing goes wrong at all.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let rates = self.store_faults_per_mille + self.network_faults_per_mille + self.peer_faults_per_mille;
        let events =
            self.crashes + self.freezes + self.clock_jumps + self.partitions + self.link_cuts + self.store_cuts;
        rates + events == 0
    }
}
