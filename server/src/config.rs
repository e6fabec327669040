//! Topic and broker configuration as Kafka clients see it.
//!
//! Invariants:
//! 1. One table ([`topic::TOPIC_CONFIGS`]) names every topic configuration that is accepted, with its type, its
//!    default, what a value may be and Kafka's documentation of it. What is not in the table is refused.
//! 2. A value is checked before it is committed, so that whoever reads `Topic::configs` may trust it.
//! 3. Broker configuration is a view of this node's settings. It is read-only: settings are given at start. What is the same
//!    for the whole cluster is kept in the log and can be changed ([`cluster`]).

pub(crate) mod broker;
pub(crate) mod change;
pub(crate) mod cluster;
pub(crate) mod topic;

/// Where a value comes from, in the numbering of DescribeConfigs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i8)]
pub(crate) enum ConfigSource {
    /// Set on the topic.
    Topic = 1,
    /// Set for all nodes while they run.
    DynamicAllBrokers = 3,
    /// Given to this node at start.
    StaticBroker = 4,
    /// Nobody has set it.
    Default = 5,
}

impl ConfigSource {
    pub(crate) fn code(self) -> i8 {
        self as i8
    }
}

/// The type of a value, in the numbering of DescribeConfigs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i8)]
pub(crate) enum ConfigType {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
}

impl ConfigType {
    pub(crate) fn code(self) -> i8 {
        self as i8
    }
}

/// What a value may be, beyond its type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Allowed {
    /// Whatever the type can hold.
    Any,
    /// An integer not below this.
    AtLeast(i64),
    /// An integer from this to that, both included.
    Between(i64, i64),
    /// A number from 0 to 1.
    Ratio,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// -1, or an integer from this to that.
    LevelOrDefault(i64, i64),
    /// A list of columns out of values ([`alluvium_table::ValueColumns`]).
    ValueColumns,
}

/// Kinds of resource, in the numbering of the configuration APIs.
pub(crate) mod resource {
    pub(crate) const TOPIC: i8 = 2;
    pub(crate) const BROKER: i8 = 4;
    pub(crate) const BROKER_LOGGER: i8 = 8;
    pub(crate) const CLIENT_METRICS: i8 = 16;
    pub(crate) const GROUP: i8 = 32;

    /// The word for a resource type, for messages.
    pub(crate) fn name(kind: i8) -> &'static str {
        match kind {
            TOPIC => "topic",
            BROKER => "broker",
            BROKER_LOGGER => "broker logger",
            CLIENT_METRICS => "client metrics",
            GROUP => "group",
            _ => "unknown",
        }
    }
}

/// One name a value can also be set under, for `include_synonyms`.
#[derive(Clone, Debug)]
pub(crate) struct Synonym {
    pub(crate) name: &'static str,
    pub(crate) value: Option<String>,
    pub(crate) source: ConfigSource,
}

/// One configuration as it is described to a client.
#[derive(Clone, Debug)]
pub(crate) struct DescribedConfig {
    pub(crate) name: &'static str,
    pub(crate) value: Option<String>,
    pub(crate) source: ConfigSource,
    pub(crate) read_only: bool,
    pub(crate) sensitive: bool,
    pub(crate) kind: ConfigType,
    pub(crate) documentation: &'static str,
    pub(crate) synonyms: Vec<Synonym>,
}
