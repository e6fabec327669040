//! The scan of a topic as a node of a physical plan.
//!
//! Invariants: a scan shows one snapshot of the log, taken before the query was planned; it can be run any number of times; each
//! worker reads its own units.

use std::fmt;
use std::sync::Arc;

use alluvium_table::schema::{OFFSET, TIMESTAMP};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::sort_pushdown::SortOrderPushdownResult;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures_util::{StreamExt, TryStreamExt, future};

use crate::counts::ScanCounts;
use crate::read::{self, Reading};
use crate::units::Unit;

/// Reads units of a topic.
#[derive(Clone, Debug)]
pub(crate) struct TopicScan {
    reading: Arc<Reading>,
    /// The units of each worker.
    shares: Vec<Vec<Unit>>,
    /// Rows that are enough.
    limit: Option<usize>,
    /// What is read and what is left out, for `explain`.
    summary: String,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl TopicScan {
    pub(crate) fn new(
        reading: Arc<Reading>,
        shares: Vec<Vec<Unit>>,
        limit: Option<usize>,
        summary: String,
    ) -> TopicScan {
        let schema: SchemaRef = Arc::clone(&reading.projection.schema);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(shares.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        TopicScan { reading, shares, limit, summary, properties: Arc::new(properties), metrics }
    }

    fn with_reading(&self, reading: Reading) -> Arc<dyn ExecutionPlan> {
        Arc::new(TopicScan { reading: Arc::new(reading), ..self.clone() })
    }
}

impl DisplayAs for TopicScan {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.reading.newest_first { ", newest first" } else { "" };
        write!(formatter, "TopicScan: {}{order}", self.summary)
    }
}

impl ExecutionPlan for TopicScan {
    fn name(&self) -> &'static str {
        "TopicScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(units) = self.shares.get(partition) else {
            return internal_err!("there is no worker {partition} of {}", self.shares.len());
        };
        let counts = ScanCounts::new(&self.metrics, partition);
        let rows = counts.output_rows.clone();
        let chunks = read::chunks(Arc::clone(&self.reading), units.clone(), counts, self.limit.is_none());
        let mut left = self.limit.unwrap_or(usize::MAX);
        let limited = chunks.map_err(|error| DataFusionError::External(Box::new(error))).scan((), move |(), chunk| {
            let chunk = (left > 0).then(|| {
                chunk.map(|chunk| {
                    let taken = chunk.num_rows().min(left);
                    left -= taken;
                    rows.add(taken);
                    chunk.slice(0, taken)
                })
            });
            future::ready(chunk)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), limited)))
    }

    /// Takes note of what the nodes above find out while they run. They go on to apply it themselves.
    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        found: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let answers = vec![PushedDown::No; found.parent_filters.len()];
        let answer = FilterPushdownPropagation::with_parent_pushdown_result(answers);
        if !matches!(phase, FilterPushdownPhase::Post) || found.parent_filters.is_empty() {
            return Ok(answer);
        }
        let mut reading = (*self.reading).clone();
        found.parent_filters.into_iter().for_each(|filter| reading.running.push(filter.filter));
        Ok(answer.with_updated_node(self.with_reading(reading)))
    }

    /// For the last records first, the last runs come first: what is found there bounds the rest.
    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        let descends = order.iter().find_map(|sort| match sort.expr.downcast_ref::<Column>()?.name() {
            OFFSET | TIMESTAMP => Some(sort.options.descending),
            _ => None,
        });
        if descends != Some(true) {
            return Ok(SortOrderPushdownResult::Unsupported);
        }
        let reading = Reading { newest_first: true, ..(*self.reading).clone() };
        Ok(SortOrderPushdownResult::Inexact { inner: self.with_reading(reading) })
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
