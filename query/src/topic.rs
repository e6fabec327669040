//! A topic as a table.

use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_log::{Log, Topic, View};
use alluvium_reader::{Isolation, Reader};
use alluvium_record::TopicId;
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::bounds::{Bounds, Found, Interval};
use crate::columns::TopicColumns;
use crate::exec::TopicScan;
use crate::read::Reading;
use crate::running::RunningFilters;
use crate::units::{self, Units};

/// Rows that one worker alone fetches: others would read for nothing.
const LIMIT_OF_ONE_WORKER: usize = 10_000;

/// What all topics of a query share.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) log: Log,
    pub(crate) reader: Reader,
    pub(crate) runtime: Runtime,
    /// The log as it was when the query came.
    pub(crate) view: View,
    pub(crate) isolation: Isolation,
}

/// A topic.
#[derive(Debug)]
pub(crate) struct TopicTable {
    sources: Sources,
    name: String,
    id: TopicId,
    columns: TopicColumns,
}

impl TopicTable {
    pub(crate) fn new(sources: Sources, topic: &Topic) -> TopicTable {
        TopicTable { sources, name: topic.name.clone(), id: topic.id, columns: TopicColumns::of(topic) }
    }
}

#[async_trait]
impl TableProvider for TopicTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match Bounds::of(filter) {
            Some(Found { is_exact: true, .. }) => TableProviderFilterPushDown::Exact,
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Sources { log, reader, runtime, view, isolation } = self.sources.clone();
        let bounds = Bounds::of_all(filters);
        let projection = self.columns.projected(projection);
        let mut found = units::of_topic(&view, self.id, &bounds, isolation);
        let summary = self.summary(&found, &bounds, projection.schema.fields().iter().map(|field| field.name()));
        let workers = match limit {
            Some(limit) if limit <= LIMIT_OF_ONE_WORKER => 1,
            _ => session.config().target_partitions(),
        };
        if !projection.is_count() {
            found.units = units::split(found.units, workers);
        }
        let shares = units::shared_out(found.units, workers);
        let timestamps = bounds.timestamps;
        let topic = self.name.clone();
        let (running, newest_first) = (RunningFilters::default(), false);
        let reading = Reading { topic, log, reader, runtime, isolation, timestamps, projection, running, newest_first };
        Ok(Arc::new(TopicScan::new(Arc::new(reading), shares, limit, summary)))
    }
}

impl TopicTable {
    fn summary<'a>(&self, units: &Units, bounds: &Bounds, columns: impl Iterator<Item = &'a String>) -> String {
        let columns: Vec<&str> = columns.map(String::as_str).collect();
        let Units { partitions, partitions_all, runs, runs_all, .. } = units;
        let mut summary = format!(
            "topic={}, partitions={partitions} of {partitions_all}, runs={runs} of {runs_all}, columns=[{}]",
            self.name,
            columns.join(", ")
        );
        for (name, interval) in [("offsets", bounds.offsets), ("timestamps", bounds.timestamps)] {
            if interval != Interval::ALL {
                let end = |end: i64, none: i64| if end == none { String::new() } else { end.to_string() };
                let (least, greatest) = (end(interval.least, i64::MIN), end(interval.greatest, i64::MAX));
                summary.push_str(&format!(", {name}={least}..={greatest}"));
            }
        }
        summary
    }
}
