//! The HTTP API behind function URLs and API gateways (REST and HTTP APIs).
//!
//! Invariants: an answer leaves before the invocation's time is up, so that "unknown" can still be said; whoever came in by a
//! stage of a gateway finds the same paths as everybody else.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::shutdown::Shutdown;
use alluvium_ingest::Ingest;
use alluvium_log::Log;
use alluvium_reader::Reader;
use alluvium_server::rest::{AnswerBy, Rest, RestParts, Role};
use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode, Uri, header};
use lambda_http::{Request, RequestExt, service_fn};
use tower::ServiceExt;

use crate::sandbox::{OpenSandboxError, Sandbox, Shared};
use crate::settings::FunctionSettings;
use crate::until_terminated;

/// What is kept of an invocation's time for the reply.
const REPLY_MARGIN_MS: u64 = 500;

/// Answers requests in this role until the process is ended.
pub async fn serve(role: Role, settings: FunctionSettings, runtime: Runtime) -> anyhow::Result<()> {
    let node = match role {
        Role::Ingest => "ingest-function",
        Role::Reader => "reader-function",
        Role::Node => "function",
    };
    let function = Arc::new(Function { sandbox: Arc::new(Sandbox::new(settings, runtime, node)), role });
    // The time before the first request costs nobody anything.
    if let Err(error) = function.router().await {
        tracing::error!(%error, "the log cannot be opened: the next request tries again");
    }
    let answering = function.clone();
    let service = service_fn(move |request| {
        let function = answering.clone();
        async move { Ok::<_, Infallible>(function.answer(request).await) }
    });
    until_terminated(lambda_http::run(service), function.sandbox.close()).await
}

struct Function {
    sandbox: Shared<Router>,
    role: Role,
}

impl Function {
    async fn router(&self) -> Result<Router, OpenSandboxError> {
        let (_log, router) = self.sandbox.opened(|log| self.make(log)).await?;
        Ok(router.clone())
    }

    fn make(&self, log: &Log) -> Router {
        let (settings, runtime) = (self.sandbox.settings(), self.sandbox.runtime());
        let parts = RestParts {
            log: log.clone(),
            ingest: Ingest::start(log.clone(), settings.ingest_settings(), runtime.clone()),
            reader: Reader::new(log.clone(), settings.reader_settings(), runtime.clone()),
            server: settings.server_settings(),
            settings: settings.rest_settings(self.role),
            runtime: runtime.clone(),
            shutdown: Shutdown::new(),
        };
        Rest::without_doors(parts).router()
    }

    async fn answer(&self, mut request: Request) -> Response<Body> {
        let router = match self.router().await {
            Ok(router) => router,
            Err(error) => {
                tracing::error!(%error, "the log cannot be opened");
                return not_open(&error);
            }
        };
        let answer_by = AnswerBy(self.runtime_left(&request));
        request.extensions_mut().insert(answer_by);
        if let Some(uri) = without_stage(&request) {
            *request.uri_mut() = uri;
        }
        match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// When the answer must leave.
    fn runtime_left(&self, request: &Request) -> alluvium_infra::runtime::Instant {
        let runtime = self.sandbox.runtime();
        let now_ms = u64::try_from(runtime.now_ms()).unwrap_or(0);
        let deadline_ms = request.lambda_context_ref().map_or(u64::MAX, |context| context.deadline);
        let left_ms = deadline_ms.saturating_sub(now_ms).saturating_sub(REPLY_MARGIN_MS);
        runtime.monotonic() + Duration::from_millis(left_ms.min(alluvium_infra::limits::FETCH_WAIT_MS_MAX))
    }
}

/// The address without the stage of the gateway in front of its path.
fn without_stage(request: &Request) -> Option<Uri> {
    let path = request.raw_http_path();
    if path.is_empty() || path == request.uri().path() {
        return None;
    }
    let target = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    // A path that is none stays as it came, and is unknown there.
    target.parse().ok()
}

/// What is said when there is no log to work with.
fn not_open(error: &OpenSandboxError) -> Response<Body> {
    let (status, code) = match error.is_passing() {
        true => (StatusCode::SERVICE_UNAVAILABLE, 50301),
        false => (StatusCode::INTERNAL_SERVER_ERROR, 50002),
    };
    let told = serde_json::json!({ "error_code": code, "message": error.to_string() }).to_string();
    let mut response = Response::new(Body::from(told));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
