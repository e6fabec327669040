//! DescribeConfigs (key 32), versions 1 to 4.
//!
//! Topics show Kafka's whole table of topic configurations with what is set on the topic; the broker shows this node's
//! settings under Kafka's names, read-only, and the nameless broker what is configured for all nodes. Synonyms, types and
//! documentation are given when asked for.
//!
//! Missing: broker loggers, client metrics and groups as resources (INVALID_REQUEST).

use std::collections::BTreeSet;

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::describe_configs_request::DescribeConfigsResource;
use alluvium_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use alluvium_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse, StrBytes};

use crate::config::broker::ALL_BROKERS;
use crate::config::{self, DescribedConfig, resource};
use crate::context::RequestContext;
use crate::errors::Refusal;
use crate::topics;

pub(crate) async fn handle(context: &RequestContext, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let mut results = Vec::with_capacity(request.resources.len());
    for wanted in &request.resources {
        let result = match describe(context, wanted).await {
            Ok(configs) => message!(DescribeConfigsResult { configs: selected(configs, wanted, &request) }),
            Err(refusal) => {
                message!(DescribeConfigsResult { error_code: refusal.code(), error_message: refusal.wire_message() })
            }
        };
        results.push(identified(result, wanted));
    }
    message!(DescribeConfigsResponse { results })
}

fn identified(mut result: DescribeConfigsResult, wanted: &DescribeConfigsResource) -> DescribeConfigsResult {
    result.resource_type = wanted.resource_type;
    result.resource_name = wanted.resource_name.clone();
    result
}

async fn describe(context: &RequestContext, wanted: &DescribeConfigsResource) -> Result<Vec<DescribedConfig>, Refusal> {
    let node = &context.node;
    match wanted.resource_type {
        resource::TOPIC => {
            let name = wanted.resource_name.as_str();
            topics::check_name(name).map_err(|why| Refusal::new(ErrorCode::InvalidTopicException, why))?;
            let view = node.view(|state| state.topic_by_name(name).is_some()).await;
            let topic = view
                .state
                .topic_by_name(name)
                .ok_or_else(|| Refusal::bare(view.missing(ErrorCode::UnknownTopicOrPartition)))?;
            Ok(config::topic::describe(&topic.configs))
        }
        resource::BROKER => {
            if wanted.resource_name.as_str() == ALL_BROKERS {
                return Ok(config::cluster::describe(node));
            }
            config::broker::check_name(&wanted.resource_name, node.settings.node_id)?;
            let endpoint = &context.client.endpoint;
            let listeners = format!("PLAINTEXT://{}:{}", endpoint.host, endpoint.port);
            Ok(config::broker::describe(node, &listeners))
        }
        other => {
            let why = format!("configuration of {} resources is not served", resource::name(other));
            Err(Refusal::new(ErrorCode::InvalidRequest, why))
        }
    }
}

fn selected(
    configs: Vec<DescribedConfig>,
    wanted: &DescribeConfigsResource,
    request: &DescribeConfigsRequest,
) -> Vec<DescribeConfigsResourceResult> {
    // Naming no key means all keys, as null does.
    let keys: Option<BTreeSet<&str>> = wanted
        .configuration_keys
        .as_ref()
        .filter(|keys| !keys.is_empty())
        .map(|keys| keys.iter().map(StrBytes::as_str).collect());
    configs
        .into_iter()
        .filter(|config| keys.as_ref().is_none_or(|keys| keys.contains(config.name)))
        .map(|config| wire_config(config, request.include_synonyms, request.include_documentation))
        .collect()
}

fn wire_config(
    config: DescribedConfig,
    include_synonyms: bool,
    include_documentation: bool,
) -> DescribeConfigsResourceResult {
    let visible = |value: Option<String>| if config.sensitive { None } else { value.map(StrBytes::from) };
    let synonyms = if include_synonyms {
        config
            .synonyms
            .iter()
            .map(|synonym| {
                message!(DescribeConfigsSynonym {
                    name: StrBytes::from(synonym.name),
                    value: visible(synonym.value.clone()),
                    source: synonym.source.code()
                })
            })
            .collect()
    } else {
        Vec::new()
    };
    message!(DescribeConfigsResourceResult {
        name: StrBytes::from(config.name),
        value: visible(config.value.clone()),
        read_only: config.read_only,
        config_source: config.source.code(),
        is_sensitive: config.sensitive,
        synonyms,
        config_type: config.kind.code(),
        documentation: include_documentation.then(|| StrBytes::from(config.documentation))
    })
}
