//! From a text to rows.

use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_log::Log;
use alluvium_reader::{Isolation, Reader, ReaderSettings};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::TableReference;
use datafusion::config::Dialect;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::registry::FunctionRegistry;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use futures_util::StreamExt;

use crate::QueryError;
use crate::catalog::{CATALOG, Cluster, SCHEMA, Topics};
use crate::functions;
use crate::topic::Sources;

/// The schema with the tables about tables.
const INFORMATION_SCHEMA: &str = "information_schema";

/// How queries are run.
#[derive(Clone, Debug)]
pub struct QuerySettings {
    /// Which records are shown.
    pub isolation: Isolation,
    /// Memory for sorting, grouping and joining.
    pub memory_bytes_max: usize,
    /// How many parts of a query run at the same time.
    pub workers: usize,
}

/// Answers queries over one log.
#[derive(Debug)]
pub struct Queries {
    log: Log,
    reader: Reader,
    runtime: Runtime,
    settings: QuerySettings,
}

/// The rows of a query, as they come.
pub struct Answer {
    stream: SendableRecordBatchStream,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Answer").field("schema", &self.stream.schema()).finish_non_exhaustive()
    }
}

impl Answer {
    /// The columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// Some more rows; `None` when there are no more.
    ///
    /// # Errors
    /// When the query cannot go on. There are no more rows then.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        self.stream.next().await.transpose().map_err(QueryError::running)
    }
}

impl Queries {
    /// Queries over `log`, read through a reader of their own.
    #[must_use]
    pub fn new(log: Log, settings: QuerySettings, runtime: Runtime) -> Queries {
        let reader = Reader::new(log.clone(), ReaderSettings::default(), runtime.clone());
        Queries { log, reader, runtime, settings }
    }

    /// Begins to answer. The log is read to its end first.
    ///
    /// # Errors
    /// When the text is not a query that can be answered, or the log does not answer.
    pub async fn run(&self, sql: &str) -> Result<Answer, QueryError> {
        let view = self.log.catch_up().await.map_err(|error| QueryError::Log(error.to_string()))?;
        let topics = Arc::new(Topics(Sources {
            log: self.log.clone(),
            reader: self.reader.clone(),
            runtime: self.runtime.clone(),
            view,
            isolation: self.settings.isolation,
        }));
        let session = self.session(Arc::clone(&topics)).map_err(QueryError::planning)?;
        let state = session.state();
        // In the general dialect `partition, offset, key` reads as one column and an OFFSET clause.
        let statement = state.sql_to_statement(sql, &Dialect::PostgreSQL).map_err(QueryError::planning)?;
        if !is_query(&statement) {
            return Err(QueryError::NotAQuery);
        }
        check_names(&state, &topics, &state.resolve_table_references(&statement).map_err(QueryError::planning)?)?;
        let plan = state.statement_to_plan(statement).await.map_err(QueryError::planning)?;
        let only_read = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        only_read.verify_plan(&plan).map_err(|_| QueryError::NotAQuery)?;
        let frame = session.execute_logical_plan(plan).await.map_err(QueryError::planning)?;
        let stream = frame.execute_stream().await.map_err(QueryError::planning)?;
        Ok(Answer { stream })
    }

    fn session(&self, topics: Arc<Topics>) -> Result<SessionContext, DataFusionError> {
        let config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(true)
            .with_target_partitions(self.settings.workers.max(1));
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(self.settings.memory_bytes_max)))
            .build_arc()?;
        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(environment)
            .with_default_features()
            .build();
        state.register_expr_planner(Arc::new(functions::Arrows))?;
        for function in functions::all() {
            state.register_udf(Arc::new(function))?;
        }
        let session = SessionContext::new_with_state(state);
        session.register_catalog(CATALOG, Arc::new(Cluster(topics)));
        Ok(session)
    }
}

/// Whether a statement asks and does nothing else.
fn is_query(statement: &Statement) -> bool {
    use datafusion::sql::sqlparser::ast::Statement as Sql;
    match statement {
        Statement::Explain(explain) => is_query(&explain.statement),
        Statement::Statement(statement) => matches!(
            statement.as_ref(),
            Sql::Query(_)
                | Sql::Explain { .. }
                | Sql::ExplainTable { .. }
                | Sql::ShowTables { .. }
                | Sql::ShowColumns { .. }
        ),
        _ => false,
    }
}

/// Refuses names that are no topics, with those that may be meant.
fn check_names(state: &SessionState, topics: &Topics, names: &[TableReference]) -> Result<(), QueryError> {
    let catalog = &state.config_options().catalog;
    for name in names {
        let resolved = name.clone().resolve(&catalog.default_catalog, &catalog.default_schema);
        let in_place = *resolved.catalog == *CATALOG && *resolved.schema == *SCHEMA;
        // `generate_series(1, 10)` stands where a table does.
        let is_function = in_place && state.table_functions().contains_key(&*resolved.table);
        let is_topic = in_place && topics.find(&resolved.table).is_some();
        if is_topic || is_function || *resolved.schema == *INFORMATION_SCHEMA {
            continue;
        }
        // A topic with dots in its name, written without quotes, looks like a schema and a table.
        let parts = [name.catalog(), name.schema(), Some(name.table())];
        let written = parts.into_iter().flatten().collect::<Vec<_>>().join(".");
        return Err(QueryError::UnknownTopic { near: topics.near(&written), name: written });
    }
    Ok(())
}
