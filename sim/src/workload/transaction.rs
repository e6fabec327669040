//! Producers that append to several partitions in each transaction, and now and then stand still, give up, or die in the middle.

use std::time::Duration;

use alluvium_record::TopicPartition;

use super::Client;
use super::session::{Session, Standing};

/// Writes transactions. Another client may have the same id: they fence each other.
pub(super) async fn write(mut client: Client, operations: u32, id: String, modern: bool) {
    client.pause(2_000).await;
    let mut session: Option<Session> = None;
    for _ in 0..operations {
        if !client.goes_on() {
            break;
        }
        let mut current = match session.take() {
            Some(current) => current,
            None => match Session::begin(&mut client, &id, modern).await {
                Some(current) => current,
                None => break,
            },
        };
        if transact(&mut client, &mut current).await == Standing::GoesOn {
            session = Some(current);
        } else if client.random.chance(200) {
            // It has heard that another one took over, and leaves it to that.
            break;
        } else {
            client.pause(1_500).await;
        }
        client.pause(100).await;
    }
}

/// One transaction.
async fn transact(client: &mut Client, session: &mut Session) -> Standing {
    let mut attempt = session.attempt(client);
    let partitions = some_partitions(client);
    if client.random.chance(500) {
        session.add(client, &mut attempt, &partitions).await;
    }
    let stands_still_after = client.random.below(25);
    for index in 0..client.random.between(1, 6) {
        let topic_partition = client.random.pick(&partitions);
        let count = client.random.between(1, 3) as u32;
        session.send(client, &mut attempt, topic_partition, count).await;
        if index == stands_still_after {
            stand_still(client, session).await;
        }
        client.pause(40).await;
    }
    if client.random.chance(60) {
        // Dies. What it has sent is on its way.
        return Standing::IsOver;
    }
    // Somebody who is told to abort does not wait for answers.
    let wants_commit = client.random.chance(800);
    if wants_commit || client.random.chance(500) {
        session.flush(&mut attempt).await;
    } else {
        attempt.sound = false;
    }
    if client.random.chance(60) {
        stand_still(client, session).await;
    }
    let commit = wants_commit && attempt.sound;
    session.end(client, attempt, commit).await
}

/// As a process does that was swapped out, for longer than its transaction may take or nearly so.
async fn stand_still(client: &mut Client, session: &Session) {
    let longest_ms = session.timeout_ms as u64 * 3 / 2;
    let pause = Duration::from_millis(client.random.between(100, longest_ms));
    client.cluster.world.runtime.sleep(pause).await;
}

fn some_partitions(client: &mut Client) -> Vec<TopicPartition> {
    let mut partitions: Vec<TopicPartition> =
        (0..client.random.between(1, 4)).map(|_| client.any_partition()).collect();
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}
