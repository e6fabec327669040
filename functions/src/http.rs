//! The HTTP API behind function URLs and API gateways (REST and HTTP APIs).
//!
//! Invariants: an answer leaves before the invocation's time is up, whatever the store does, so that "unknown" can still be said;
//! whoever came in by a stage of a gateway finds the same paths as everybody else.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_infra::shutdown::Shutdown;
use alluvium_ingest::Ingest;
use alluvium_log::Log;
use alluvium_reader::Reader;
use alluvium_server::rest::{AnswerBy, Rest, RestParts, Role};
use axum::Router;
use axum::body::to_bytes;
use axum::http::{Response, StatusCode, Uri, header};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, service_fn};
use lambda_runtime::layers::TracingLayer;
use tower::ServiceExt;

use crate::sandbox::{OpenSandboxError, Sandbox, Shared};
use crate::settings::FunctionSettings;
use crate::until_answered;

/// What is kept of an invocation's time for the reply.
const REPLY_MARGIN_MS: u64 = 500;
/// What a handler keeps of what is left, to say what became of each record.
const ANSWER_MARGIN: Duration = Duration::from_millis(250);
/// The longest wait for the store before the first request: a sandbox that starts has 10 s.
const INIT_WAIT_MAX: Duration = Duration::from_secs(8);

/// Answers requests in this role until the process is ended.
pub async fn serve(role: Role, settings: FunctionSettings, runtime: Runtime) -> anyhow::Result<()> {
    let node = match role {
        Role::Ingest => "ingest-function",
        Role::Reader => "reader-function",
        Role::Node => "function",
    };
    let sandbox = Arc::new(Sandbox::new(settings, runtime.clone(), node));
    let function = Arc::new(Function { sandbox, role });
    // The time before the first request costs nobody anything.
    match runtime.timeout(INIT_WAIT_MAX, function.router()).await {
        Ok(Ok(_router)) => {}
        Ok(Err(error)) => tracing::error!(%error, "the log cannot be opened: the next request tries again"),
        Err(_elapsed) => tracing::error!("the store did not answer at the start: the next request tries again"),
    }
    let answering = function.clone();
    let service = service_fn(move |request| {
        let function = answering.clone();
        async move { Ok::<_, Infallible>(function.answer(request).await) }
    });
    let open = Shutdown::new();
    let counted = open.clone();
    let invocations = lambda_http::runtime(service)
        .layer(TracingLayer::new())
        .layer(tower::layer::layer_fn(move |service| crate::Counted::new(service, counted.clone())));
    until_answered(invocations.run(), &open, &runtime, function.sandbox.close()).await
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

    async fn answer(&self, request: Request) -> Response<Body> {
        let runtime = self.sandbox.runtime();
        let by = self.leaves_by(&request);
        let writes = !request.method().is_safe();
        let router = match runtime.timeout_at(by, self.router()).await {
            Ok(Ok(router)) => router,
            Ok(Err(error)) => return not_open(&error),
            Err(_elapsed) => return not_open(&self.sandbox.timed_out()),
        };
        match runtime.timeout_at(by, handle(router, request, by)).await {
            Ok(response) => response,
            Err(_elapsed) => out_of_time(writes),
        }
    }

    /// When the answer must leave.
    fn leaves_by(&self, request: &Request) -> Instant {
        let runtime = self.sandbox.runtime();
        let now_ms = u64::try_from(runtime.now_ms()).unwrap_or(0);
        let deadline_ms = request.lambda_context_ref().map_or(u64::MAX, |context| context.deadline);
        let left_ms = deadline_ms.saturating_sub(now_ms).saturating_sub(REPLY_MARGIN_MS);
        runtime.monotonic() + Duration::from_millis(left_ms.min(alluvium_infra::limits::FETCH_WAIT_MS_MAX))
    }
}

/// The whole answer: what is streamed elsewhere is put together here.
async fn handle(router: Router, mut request: Request, by: Instant) -> Response<Body> {
    request.extensions_mut().insert(AnswerBy(by.checked_sub(ANSWER_MARGIN).unwrap_or(by)));
    if let Some(uri) = without_stage(&request) {
        *request.uri_mut() = uri;
    }
    let (parts, body) = match router.oneshot(request).await {
        Ok(response) => response.into_parts(),
        Err(never) => match never {},
    };
    match to_bytes(body, usize::MAX).await {
        Ok(bytes) => Response::from_parts(parts, Body::from(bytes.to_vec())),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, 50002, &format!("the answer broke off: {error}")),
    }
}

/// The address without the stage of the gateway in front of its path.
fn without_stage(request: &Request) -> Option<Uri> {
    let raw = request.raw_http_path();
    let path = match request.request_context_ref() {
        // An HTTP API puts its stage into the path, unless it is the one without a name.
        Some(RequestContext::ApiGatewayV2(context)) => {
            let stage = context.stage.as_deref().filter(|stage| *stage != "$default");
            let behind = stage.and_then(|stage| raw.strip_prefix('/')?.strip_prefix(stage));
            behind.filter(|behind| behind.starts_with('/')).unwrap_or(raw)
        }
        _ => raw,
    };
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
    tracing::error!(%error, "the log cannot be opened");
    let (status, code) = match error.is_passing() {
        true => (StatusCode::SERVICE_UNAVAILABLE, 50301),
        false => (StatusCode::INTERNAL_SERVER_ERROR, 50002),
    };
    refuse(status, code, &error.to_string())
}

/// What is said when a request was begun, and the invocation's time is up.
fn out_of_time(writes: bool) -> Response<Body> {
    tracing::error!(writes, "the store did not answer before the invocation's time was up");
    match writes {
        true => {
            let told = "nobody knows whether it was written: send it again with the same Idempotency-Key";
            refuse(StatusCode::GATEWAY_TIMEOUT, 50402, told)
        }
        false => refuse(StatusCode::SERVICE_UNAVAILABLE, 50301, "the store does not answer: try again"),
    }
}

fn refuse(status: StatusCode, code: u32, message: &str) -> Response<Body> {
    let told = serde_json::json!({ "error_code": code, "message": message }).to_string();
    let mut response = Response::new(Body::from(told));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
