//! Two nodes over loopback, in real time.

use super::*;
use crate::TcpTransport;

async fn start(bucket: &Arc<MemoryStore>, id: i32) -> (Log, Cluster) {
    let runtime = Runtime::system();
    let options = LogOptions { node: format!("node-{id}"), probe: false, ..LogOptions::default() };
    let log = Log::open(bucket.clone(), options, runtime.clone()).await.expect("opens");
    let settings = ClusterSettings::new(NodeId(id));
    let cluster = Cluster::start(log.clone(), settings, Arc::new(TcpTransport), runtime).await.expect("joins");
    (log, cluster)
}

async fn until(cluster: &Cluster, count: usize) {
    let mut members = cluster.subscribe();
    let agreed = async {
        while !(cluster.members().all().len() == count && cluster.members().all().iter().all(|member| member.linked)) {
            members.changed().await.expect("lives");
        }
    };
    Runtime::system().timeout(Duration::from_secs(10), agreed).await.expect("agree");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_over_loopback_forward_push_and_part() {
    let runtime = Runtime::system();
    let bucket = Arc::new(MemoryStore::new(runtime.clone()));
    let (one, two) = (start(&bucket, 1).await, start(&bucket, 2).await);
    until(&one.1, 2).await;
    until(&two.1, 2).await;
    let leads = one.1.members().leader(ShardId(0)).expect("a leader").id;
    let ((leader, leader_cluster), (other, other_cluster)) = if leads == NodeId(1) { (one, two) } else { (two, one) };
    let id = TopicId(runtime.random_uuid());
    let (name, configs) = ("orders".to_owned(), BTreeMap::new());
    let operation =
        Operation::CreateTopic { id, name, partition_count: 1, replication_factor: 1, configs, shard_count: 1 };
    leader.meta().commit(operation, None).await.expect("topic is new");
    let at = TopicPartition { topic: id, partition: 0 };
    let mut states = other.meta().subscribe();
    for offset in 0..20 {
        let append = append_of(at, batch(Some((1, offset as i32))));
        let outcomes = other.meta().append(append, soon(&runtime)).outcome().await.expect("is written");
        assert!(matches!(outcomes[0], AppendOutcome::Appended { base_offset, .. } if base_offset == offset));
    }
    assert_eq!(other_cluster.counters().appends_decided.get(), 20);
    let pushed = async {
        while other.meta().state().entry_number() < leader.meta().state().entry_number() {
            states.changed().await.expect("lives");
        }
    };
    runtime.timeout(Duration::from_secs(5), pushed).await.expect("is pushed");
    leader_cluster.leave().await;
    until(&other_cluster, 1).await;
    leader_cluster.close().await;
    other_cluster.close().await;
}
