//! Why a query gives no answer.

use datafusion::error::DataFusionError;

/// Why a query gives no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The text is not SQL, or says what cannot be done: it has to be changed.
    #[error("{0}")]
    Invalid(String),
    /// A table is no topic.
    #[error("there is no topic {name}{}", near_text(.near))]
    UnknownTopic {
        /// The name.
        name: String,
        /// Topics that may be meant, the likeliest first.
        near: Vec<String>,
    },
    /// The statement would change something.
    #[error("a query reads and changes nothing: use SELECT, EXPLAIN, SHOW TABLES, SHOW COLUMNS FROM or DESCRIBE")]
    NotAQuery,
    /// It takes more memory than it may.
    #[error("the query takes more memory than it may: {0}")]
    MemoryExhausted(String),
    /// The log or the store does not answer.
    #[error("the log cannot be read: {0}")]
    Log(String),
    /// Anything that went wrong on the way, such as a value that does not fit a conversion, or a damaged object.
    #[error("{0}")]
    Failed(String),
}

fn near_text(near: &[String]) -> String {
    let quoted: Vec<String> = near.iter().map(|name| quoted(name)).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => format!("; did you mean {one}?"),
        [others @ .., last] => format!("; did you mean {} or {last}?", others.join(", ")),
    }
}

/// A name as it has to be written in SQL.
fn quoted(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_plain = name.bytes().all(plain) && !name.starts_with(|first: char| first.is_ascii_digit());
    if is_plain { name.to_owned() } else { format!("\"{name}\"") }
}

impl QueryError {
    /// Of planning: what is wrong is the text.
    pub(crate) fn planning(error: DataFusionError) -> QueryError {
        match root(&error) {
            DataFusionError::External(_) | DataFusionError::ResourcesExhausted(_) => QueryError::running(error),
            root => QueryError::Invalid(plain(root)),
        }
    }

    /// Of running.
    pub(crate) fn running(error: DataFusionError) -> QueryError {
        match root(&error) {
            DataFusionError::ResourcesExhausted(message) => QueryError::MemoryExhausted(message.clone()),
            root => QueryError::Failed(plain(root)),
        }
    }
}

/// The error under all that was set around it.
fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(error, root),
        DataFusionError::External(inner) => inner.downcast_ref::<DataFusionError>().map_or(error, root),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            datafusion::arrow::error::ArrowError::ExternalError(inner) => {
                inner.downcast_ref::<DataFusionError>().map_or(error, root)
            }
            _ => error,
        },
        _ => error,
    }
}

/// What an error says, without what it is called.
fn plain(error: &DataFusionError) -> String {
    match error {
        DataFusionError::SQL(parser, _) => match parser.as_ref() {
            datafusion::sql::sqlparser::parser::ParserError::ParserError(message)
            | datafusion::sql::sqlparser::parser::ParserError::TokenizerError(message) => message.clone(),
            other => other.to_string(),
        },
        DataFusionError::ArrowError(error, _) => error.to_string(),
        DataFusionError::Plan(message)
        | DataFusionError::NotImplemented(message)
        | DataFusionError::Execution(message)
        | DataFusionError::Configuration(message) => message.clone(),
        DataFusionError::External(error) => error.to_string(),
        DataFusionError::SchemaError(error, _) => error.to_string(),
        other => other.strip_backtrace(),
    }
}
