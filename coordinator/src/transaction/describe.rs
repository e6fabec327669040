//! DescribeTransactions and ListTransactions.

use alluvium_log::{TransactionRecord, TransactionStatus};
use alluvium_record::TopicPartition;
use futures_util::future::join_all;
use thiserror::Error;

use super::Transactions;
use super::desk::Desk;
use super::error::TransactionError;

/// A transactional id and its current or last transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionDescription {
    /// The id.
    pub transactional_id: String,
    /// Where it stands.
    pub status: TransactionStatus,
    /// How long a transaction may take, in milliseconds.
    pub timeout_ms: i32,
    /// When the open transaction began, milliseconds since 1970; none when none is open.
    pub started_ms: Option<i64>,
    /// Its producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Partitions of the open transaction.
    pub partitions: Vec<TopicPartition>,
}

/// A transactional id in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTransaction {
    /// The id.
    pub transactional_id: String,
    /// Its producer id.
    pub producer_id: i64,
    /// Where it stands.
    pub status: TransactionStatus,
}

/// Which transactional ids are listed. What is empty or absent lets all through.
#[derive(Clone, Debug, Default)]
pub struct TransactionFilter {
    /// Those that stand at one of these.
    pub statuses: Vec<TransactionStatus>,
    /// Those of these producers.
    pub producer_ids: Vec<i64>,
    /// Those whose transaction has been open for longer than so many milliseconds (KIP-994).
    pub open_for_ms: Option<i64>,
    /// Those whose id is like this (KIP-1152).
    pub pattern: Option<TransactionIdPattern>,
}

/// A regular expression for whole transactional ids.
#[derive(Clone, Debug)]
pub struct TransactionIdPattern(regex::Regex);

/// A pattern that is no regular expression.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("not a regular expression: {reason}")]
pub struct InvalidPattern {
    /// Why not.
    pub reason: String,
}

impl TransactionIdPattern {
    /// Reads a regular expression.
    pub fn parse(pattern: &str) -> Result<TransactionIdPattern, InvalidPattern> {
        let whole = format!("^(?:{pattern})$");
        let invalid = |error: regex::Error| InvalidPattern { reason: error.to_string() };
        regex::Regex::new(&whole).map(TransactionIdPattern).map_err(invalid)
    }

    /// Whether the id is like this.
    pub fn matches(&self, transactional_id: &str) -> bool {
        self.0.is_match(transactional_id)
    }
}

impl TransactionFilter {
    fn admits(&self, record: &TransactionRecord, now_ms: i64) -> bool {
        let open_for_ms = started_ms(record).map(|started_ms| now_ms.saturating_sub(started_ms));
        let long_enough = |least_ms| least_ms < 0 || open_for_ms.is_some_and(|open_for_ms| open_for_ms > least_ms);
        (self.statuses.is_empty() || self.statuses.contains(&record.status))
            && (self.producer_ids.is_empty() || self.producer_ids.contains(&record.producer_id))
            && self.open_for_ms.is_none_or(long_enough)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(&record.transactional_id))
    }
}

impl Transactions {
    /// DescribeTransactions for one id.
    pub async fn describe(&self, transactional_id: &str) -> Result<TransactionDescription, TransactionError> {
        let mut desk = Desk::open(&self.shared, transactional_id)?;
        if !self.shared.serves(desk.post()) {
            return Err(TransactionError::NotCoordinator);
        }
        desk.look().await?;
        let record = desk.record().ok_or(TransactionError::TransactionalIdNotFound)?;
        Ok(TransactionDescription {
            transactional_id: record.transactional_id.clone(),
            status: record.status,
            timeout_ms: record.timeout_ms,
            started_ms: started_ms(&record),
            producer_id: record.producer_id,
            epoch: record.epoch,
            partitions: match record.status.is_under_way() {
                true => record.partitions().map(|(partition, _)| partition).collect(),
                false => Vec::new(),
            },
        })
    }

    /// ListTransactions: ids of the shards that this node leads, by id.
    pub async fn list(&self, filter: &TransactionFilter) -> Result<Vec<ListedTransaction>, TransactionError> {
        let led = self.shared.posts.iter().filter(|post| self.shared.serves(post));
        let mut all = Vec::new();
        for looked in join_all(led.map(|post| post.look())).await {
            let (state, now_ms) = (looked?, self.shared.runtime.now_ms());
            let listed = state.transactions().filter(|record| filter.admits(record, now_ms));
            all.extend(listed.map(|record| ListedTransaction {
                transactional_id: record.transactional_id.clone(),
                producer_id: record.producer_id,
                status: record.status,
            }));
        }
        all.sort_by(|one, other| one.transactional_id.cmp(&other.transactional_id));
        Ok(all)
    }
}

fn started_ms(record: &TransactionRecord) -> Option<i64> {
    record.status.is_under_way().then_some(record.started_ms)
}

/// Kafka's name of a status.
pub fn status_name(status: TransactionStatus) -> &'static str {
    match status {
        TransactionStatus::Empty => "Empty",
        TransactionStatus::Ongoing => "Ongoing",
        TransactionStatus::PrepareCommit => "PrepareCommit",
        TransactionStatus::PrepareAbort => "PrepareAbort",
        TransactionStatus::CompleteCommit => "CompleteCommit",
        TransactionStatus::CompleteAbort => "CompleteAbort",
    }
}

/// The status of this name. Kafka's `Dead` and `PrepareEpochFence` are none: no id ever stands there.
pub fn status_by_name(name: &str) -> Option<TransactionStatus> {
    let all = [
        TransactionStatus::Empty,
        TransactionStatus::Ongoing,
        TransactionStatus::PrepareCommit,
        TransactionStatus::PrepareAbort,
        TransactionStatus::CompleteCommit,
        TransactionStatus::CompleteAbort,
    ];
    all.into_iter().find(|status| status_name(*status) == name)
}
