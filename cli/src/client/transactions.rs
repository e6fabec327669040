//! Transactional ids: listed, described, and what they have open aborted.

use std::collections::BTreeMap;

use alluvium_protocol::message;
use alluvium_protocol::messages::{
    DescribeTransactionsRequest, InitProducerIdRequest, ListTransactionsRequest, StrBytes,
};

use super::coordinator::Coordinated;
use super::{ClientError, Cluster};

const LIST_TRANSACTIONS_VERSION_MAX: i16 = 1;
const DESCRIBE_TRANSACTIONS_VERSION_MAX: i16 = 0;
const INIT_PRODUCER_ID_VERSION_MAX: i16 = 4;

/// A transactional id in a list.
#[derive(Clone, Debug)]
pub(crate) struct ListedTransaction {
    pub(crate) transactional_id: String,
    pub(crate) state: String,
    pub(crate) producer_id: i64,
    pub(crate) coordinator: i32,
}

/// A transactional id, and what it has open.
#[derive(Clone, Debug)]
pub(crate) struct DescribedTransaction {
    pub(crate) transactional_id: String,
    pub(crate) state: String,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) timeout_ms: i32,
    /// Milliseconds since 1970; none when nothing is open.
    pub(crate) started_ms: Option<i64>,
    /// Partitions by topic.
    pub(crate) partitions: BTreeMap<String, Vec<i32>>,
}

impl Cluster {
    /// All transactional ids, by id; with `open_for_ms`, those with a transaction that has been open for longer.
    pub(crate) async fn transactions(
        &mut self,
        open_for_ms: Option<i64>,
    ) -> Result<Vec<ListedTransaction>, ClientError> {
        let (deadline, mut tries) = (self.deadline(), 0);
        loop {
            match self.transactions_once(open_for_ms).await {
                Ok(listed) => return Ok(listed),
                Err(error) => self.pause(error, &mut tries, deadline).await?,
            }
        }
    }

    async fn transactions_once(&mut self, open_for_ms: Option<i64>) -> Result<Vec<ListedTransaction>, ClientError> {
        let request = message!(ListTransactionsRequest { duration_filter: open_for_ms.unwrap_or(-1) });
        let mut all = BTreeMap::new();
        for node_id in self.node_ids().await? {
            let answer = self.broker(node_id).await?.call(&request, LIST_TRANSACTIONS_VERSION_MAX).await?;
            ClientError::refused(format!("transactions of node {node_id}"), answer.error_code, None)?;
            for listed in answer.transaction_states {
                let transaction = ListedTransaction {
                    transactional_id: listed.transactional_id.to_string(),
                    state: listed.transaction_state.to_string(),
                    producer_id: listed.producer_id,
                    coordinator: node_id,
                };
                // Two nodes may both show an id that is on its way from one to the other.
                all.insert(transaction.transactional_id.clone(), transaction);
            }
        }
        Ok(all.into_values().collect())
    }

    /// A transactional id. One that does not exist is an error.
    pub(crate) async fn transaction(&mut self, transactional_id: &str) -> Result<DescribedTransaction, ClientError> {
        let ids = vec![StrBytes::from(transactional_id)];
        let request = message!(DescribeTransactionsRequest { transactional_ids: ids });
        let of = Coordinated::TransactionalId(transactional_id);
        let mut answer = self
            .at_coordinator(of, &request, DESCRIBE_TRANSACTIONS_VERSION_MAX, |answer| {
                let code = answer.transaction_states.first().map_or(0, |state| state.error_code);
                ClientError::refused(named(transactional_id), code, None)
            })
            .await?;
        let described = answer.transaction_states.pop().unwrap_or_default();
        let topics = described.topics.into_iter().map(|topic| (topic.topic.to_string(), topic.partitions));
        Ok(DescribedTransaction {
            transactional_id: transactional_id.to_owned(),
            state: described.transaction_state.to_string(),
            producer_id: described.producer_id,
            producer_epoch: described.producer_epoch,
            timeout_ms: described.transaction_timeout_ms,
            started_ms: Some(described.transaction_start_time_ms).filter(|started_ms| *started_ms >= 0),
            partitions: topics.collect(),
        })
    }

    /// Takes a transactional id over, as its next producer would: what it has open is aborted, and whoever has it is fenced.
    pub(crate) async fn fence_transaction(&mut self, known: &DescribedTransaction) -> Result<(), ClientError> {
        let transactional_id = known.transactional_id.as_str();
        let request = message!(InitProducerIdRequest {
            transactional_id: Some(StrBytes::from(transactional_id)),
            transaction_timeout_ms: known.timeout_ms,
            producer_id: -1,
            producer_epoch: -1,
        });
        let of = Coordinated::TransactionalId(transactional_id);
        self.at_coordinator(of, &request, INIT_PRODUCER_ID_VERSION_MAX, |answer| {
            ClientError::refused(named(transactional_id), answer.error_code, None)
        })
        .await?;
        Ok(())
    }
}

fn named(transactional_id: &str) -> String {
    format!("transactional id {transactional_id}")
}
