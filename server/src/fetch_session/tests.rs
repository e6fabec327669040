use super::*;

fn key(name: &str, partition: i32) -> PartitionKey {
    PartitionKey { topic: TopicKey::Name(name.to_owned()), partition }
}

fn wanted(fetch_offset: i64) -> WantedPartition {
    WantedPartition { fetch_offset, current_leader_epoch: -1, bytes_max: 1024 }
}

fn request(session_id: i32, session_epoch: i32, partitions: &[(&str, i32, i64)]) -> SessionRequest {
    SessionRequest {
        session_id,
        session_epoch,
        by_id: false,
        wanted: partitions.iter().map(|(name, partition, offset)| (key(name, *partition), wanted(*offset))).collect(),
        forgotten: Vec::new(),
    }
}

fn opened(sessions: &FetchSessions, partitions: &[(&str, i32, i64)]) -> i32 {
    match sessions.plan(request(0, 0, partitions)) {
        Ok(FetchPlan::Full { session_id, .. }) => session_id,
        other => panic!("no session: {other:?}"),
    }
}

#[tokio::test]
async fn a_session_remembers_and_its_epoch_must_follow() {
    let sessions = FetchSessions::new(10, Runtime::seeded(1));
    let id = opened(&sessions, &[("a", 0, 0), ("a", 1, 0)]);
    let Ok(FetchPlan::Incremental { wanted, .. }) = sessions.plan(request(id, 1, &[("a", 1, 7)])) else {
        panic!("not incremental")
    };
    assert_eq!(wanted.len(), 2);
    assert_eq!(wanted[1].1.fetch_offset, 7);
    assert_eq!(sessions.plan(request(id, 1, &[])).err(), Some(ErrorCode::InvalidFetchSessionEpoch));
    assert_eq!(sessions.plan(request(id + 1, 2, &[])).err(), Some(ErrorCode::FetchSessionIdNotFound));
    let mut by_id = request(id, 2, &[]);
    by_id.by_id = true;
    assert_eq!(sessions.plan(by_id).err(), Some(ErrorCode::FetchSessionTopicIdError));
}

#[tokio::test]
async fn forgetting_everything_ends_the_session() {
    let sessions = FetchSessions::new(10, Runtime::seeded(1));
    let id = opened(&sessions, &[("a", 0, 0)]);
    let mut last = request(id, 1, &[]);
    last.forgotten = vec![key("a", 0)];
    assert!(matches!(sessions.plan(last), Ok(FetchPlan::Sessionless { .. })));
    assert_eq!(sessions.plan(request(id, 2, &[])).err(), Some(ErrorCode::FetchSessionIdNotFound));
}

#[tokio::test]
async fn only_news_is_sent_and_data_moves_to_the_end() {
    let sessions = FetchSessions::new(10, Runtime::seeded(1));
    let id = opened(&sessions, &[("a", 0, 0), ("a", 1, 0)]);
    let told = |high_watermark| Some(Told { high_watermark, log_start_offset: 0 });
    let full = vec![(key("a", 0), (false, told(0))), (key("a", 1), (false, told(0)))];
    sessions.remember(id, &full, |answer| *answer);
    let mut second = vec![(key("a", 0), (true, told(5))), (key("a", 1), (false, told(0)))];
    sessions.retain_news(id, &mut second, |answer| *answer);
    assert_eq!(second.len(), 1);
    let Ok(FetchPlan::Incremental { wanted, .. }) = sessions.plan(request(id, 1, &[])) else {
        panic!("not incremental")
    };
    assert_eq!(wanted[1].0, key("a", 0));
    let mut third = vec![(key("a", 0), (false, None)), (key("a", 1), (false, told(0)))];
    sessions.retain_news(id, &mut third, |answer| *answer);
    assert_eq!(third.len(), 1, "an error is always sent");
}

#[tokio::test]
async fn the_number_of_sessions_is_bounded() {
    let sessions = FetchSessions::new(1, Runtime::seeded(1));
    opened(&sessions, &[("a", 0, 0)]);
    assert!(matches!(sessions.plan(request(0, 0, &[("b", 0, 0)])), Ok(FetchPlan::Sessionless { .. })));
}
