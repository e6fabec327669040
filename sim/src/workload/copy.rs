//! Consume, transform, produce: what was read from one partition is written to another, with the offset up to which it was read.

use alluvium_record::TopicPartition;

use super::Client;
use super::group::coordinator;
use super::session::{Session, Standing, WAIT};
use crate::history::{Operation, Outcome};

/// The transactional id of all copiers.
const ID: &str = "copy";
/// Their group.
const GROUP: &str = "copiers";
/// Records that one transaction copies at most.
const RECORDS_MAX: usize = 4;

/// Copies. Other clients copy the same: whoever began last is the only one that gets anywhere.
pub(super) async fn copy(mut client: Client, operations: u32, modern: bool) {
    client.pause(3_000).await;
    let partitions = client.cluster.partitions();
    let (from, to) = (partitions[0], partitions[1]);
    let mut session: Option<(Session, i64)> = None;
    for _ in 0..operations {
        if !client.goes_on() {
            break;
        }
        let (mut current, position) = match session.take() {
            Some(current) => current,
            None => match begin(&mut client, from, modern).await {
                Some(current) => current,
                None => break,
            },
        };
        session = copy_some(&mut client, &mut current, (from, to), position).await.map(|position| (current, position));
        client.pause(200).await;
    }
}

/// Becomes the producer, then asks where to go on.
async fn begin(client: &mut Client, from: TopicPartition, modern: bool) -> Option<(Session, i64)> {
    let session = Session::begin(client, ID, modern).await?;
    while client.goes_on() {
        if let Some(position) = position(client, from).await {
            return Some((session, position));
        }
        client.pause(300).await;
    }
    None
}

async fn position(client: &mut Client, from: TopicPartition) -> Option<i64> {
    let operation = Operation::FetchOffset { group: GROUP.to_owned(), topic_partition: from, stable: true };
    let node = coordinator(client, GROUP);
    match client.cluster.call(client.number, node, operation, WAIT).await {
        Outcome::CommittedOffset(found) => Some(found.map_or(0, |(offset, _)| offset)),
        _ => None,
    }
}

/// Copies what follows on `position`, and tells where to go on; `None` when somebody else does.
async fn copy_some(
    client: &mut Client,
    session: &mut Session,
    (from, to): (TopicPartition, TopicPartition),
    position: i64,
) -> Option<i64> {
    let fetch =
        Operation::Fetch { topic_partition: from, offset: position, bytes_max: 2_000, wait_ms: 500, committed: true };
    let Outcome::Fetched { records, hidden, .. } = client.call(fetch, WAIT).await else { return Some(position) };
    let wanted = |offset: &i64| !hidden.contains(offset);
    let offsets: Vec<i64> = records.iter().filter(|seen| !seen.is_marker()).map(|seen| seen.offset).collect();
    let copied: Vec<i64> = offsets.into_iter().filter(wanted).take(RECORDS_MAX).collect();
    let Some(last) = copied.last().copied() else { return Some(position) };
    let mut attempt = session.attempt(client);
    session.send(client, &mut attempt, to, copied.len() as u32).await;
    session.commit_offset(client, &mut attempt, GROUP, from, (position, last + 1)).await;
    session.flush(&mut attempt).await;
    if client.random.chance(80) {
        // Dies; whoever comes next begins where the last commit was.
        return None;
    }
    let commit = attempt.sound && client.random.chance(850);
    match session.end(client, attempt, commit).await {
        Standing::GoesOn if commit => Some(last + 1),
        Standing::GoesOn => Some(position),
        Standing::IsOver => None,
    }
}
