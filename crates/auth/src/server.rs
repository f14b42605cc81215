//! The HTTP surface: routes, statuses, headers and the line that each request leaves in the log.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use axum::routing::{any, get};
use serde::Serialize;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::ice::{self, Advertising, Finding, IceConfig};
use crate::query::{DEFAULT_MAX_TTL, Endpoint, Query};
use crate::refusal::Refusal;
use crate::{Configs, openapi};

/// What the answers depend on besides the configurations.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How listeners are presented.
    pub advertising: Advertising,
    /// Most seconds that a client may ask credentials for.
    pub max_ttl: u32,
    /// Tells when credentials expire.
    pub clock: Clock,
    /// Turns true once the configurations are complete; `None` if they are from the start.
    pub synced: Option<watch::Receiver<bool>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            advertising: Advertising::default(),
            max_ttl: DEFAULT_MAX_TTL,
            clock: Clock::system(),
            synced: None,
        }
    }
}

/// The service as an HTTP application. Each request is answered from the newest value of `configs`.
///
/// `/` and `/ice` answer GET; `/openapi.yaml` and `/openapi.json` describe them. `/live` and `/healthz` answer as
/// long as the process does, `/ready` and `/readyz` once the configurations are complete.
pub fn router(configs: watch::Receiver<Arc<Configs>>, settings: Settings) -> Router {
    let service = Arc::new(Service { configs, settings, reported: Mutex::default() });
    Router::new()
        .route(Endpoint::TurnAuth.path(), any(turn_auth))
        .route(Endpoint::IceAuth.path(), any(ice_auth))
        .route("/live", get(live))
        .route("/healthz", get(live))
        .route("/ready", get(ready))
        .route("/readyz", get(ready))
        .route("/openapi.yaml", get(openapi_yaml))
        .route("/openapi.json", get(openapi_json))
        .fallback(not_found)
        .with_state(service)
}

struct Service {
    configs: watch::Receiver<Arc<Configs>>,
    settings: Settings,
    reported: Mutex<Reported>,
}

/// What the log already tells about the configurations.
#[derive(Default)]
struct Reported {
    /// Which state of them; weak, so that they can still change in place.
    configs: Weak<Configs>,
    findings: BTreeSet<Finding>,
}

impl Service {
    fn configs(&self) -> Arc<Configs> {
        let configs = self.configs.borrow().clone();
        self.report(&configs);
        configs
    }

    /// Logs what is wrong with the configurations, as long as it is news.
    fn report(&self, configs: &Arc<Configs>) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let current = Arc::downgrade(configs);
        if reported.configs.ptr_eq(&current) {
            return;
        }
        let findings = ice::findings(configs, &self.settings.advertising);
        for finding in findings.difference(&reported.findings) {
            tracing::warn!(target: "auth-svc", "{finding}");
        }
        *reported = Reported { configs: current, findings };
    }

    /// Answers a request with what `ask` makes of it. The log tells how many servers and URLs that is.
    fn answer<T: Serialize>(
        &self,
        endpoint: Endpoint,
        request: &Request<Body>,
        ask: impl FnOnce(&Configs, &Query, &Advertising, u64) -> Result<T, Refusal>,
        count: impl FnOnce(&T) -> (usize, usize),
    ) -> Response<Body> {
        if request.method() != Method::GET {
            return method_not_allowed(endpoint, request.method());
        }
        let Settings { advertising, max_ttl, clock, .. } = &self.settings;
        let path = endpoint.path();
        let answer =
            Query::parse(endpoint, request.uri().query().unwrap_or_default(), *max_ttl).and_then(|query| {
                tracing::debug!(target: "auth-svc", username = query.user, "credentials asked for");
                Ok((ask(&self.configs(), &query, advertising, clock.now())?, query))
            });
        match answer {
            Ok((answer, Query { filter, ttl, .. })) => {
                let (servers, urls) = count(&answer);
                tracing::info!(target: "http-server", listeners = %filter, ttl, servers, urls, "GET {path} 200");
                json(&answer)
            }
            Err(refusal) => {
                let status = refusal.status();
                tracing::info!(target: "http-server", "GET {path} {}: {refusal}", status.as_str());
                refuse(status, &refusal.to_string())
            }
        }
    }
}

async fn turn_auth(State(service): State<Arc<Service>>, request: Request<Body>) -> Response<Body> {
    service.answer(Endpoint::TurnAuth, &request, ice::turn_auth, |auth| (1, auth.uris.len()))
}

async fn ice_auth(State(service): State<Arc<Service>>, request: Request<Body>) -> Response<Body> {
    service.answer(Endpoint::IceAuth, &request, ice::ice_config, |IceConfig { ice_servers, .. }| {
        (ice_servers.len(), ice_servers.iter().map(|server| server.urls.len()).sum())
    })
}

fn json(body: &impl Serialize) -> Response<Body> {
    let Ok(mut text) = serde_json::to_string(body) else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written");
    };
    text.push('\n');
    let mut response = reply(StatusCode::OK, "application/json; charset=UTF-8", text);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refuse(status: StatusCode, why: &str) -> Response<Body> {
    let mut response = reply(status, "text/plain; charset=utf-8", format!("{why}\n"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn method_not_allowed(endpoint: Endpoint, method: &Method) -> Response<Body> {
    tracing::debug!(target: "http-server", "{method} {} 405", endpoint.path());
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response
}

async fn not_found(method: Method, uri: Uri) -> Response<Body> {
    tracing::debug!(target: "http-server", "{method} {} 404", uri.path());
    refuse(StatusCode::NOT_FOUND, "404 page not found")
}

async fn live() -> Response<Body> {
    reply(StatusCode::OK, "text/plain; charset=utf-8", "ok\n")
}

async fn ready(State(service): State<Arc<Service>>) -> Response<Body> {
    let synced = service.settings.synced.as_ref().is_none_or(|synced| *synced.borrow());
    if synced {
        live().await
    } else {
        refuse(StatusCode::SERVICE_UNAVAILABLE, "not in step with config discovery yet")
    }
}

async fn openapi_yaml() -> Response<Body> {
    reply(StatusCode::OK, "application/yaml", openapi::YAML)
}

async fn openapi_json() -> Response<Body> {
    reply(StatusCode::OK, "application/json", openapi::json())
}
