//! The status page and the probes over HTTP.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse},
    routing::get,
};
use dataplane::Dataplane;
use tokio::sync::watch;

use crate::page::{self, View};

#[derive(Clone)]
struct App {
    dataplane: Arc<Dataplane>,
    view: watch::Receiver<View>,
}

/// `/` for people; `/live`, `/ready` and `/status` with the answers of `stunnerd`.
pub(crate) fn router(dataplane: Arc<Dataplane>, view: watch::Receiver<View>) -> Router {
    Router::new()
        .route("/", get(status_page))
        .route("/style.css", get(|| async { ([(header::CONTENT_TYPE, "text/css")], page::STYLE) }))
        .route("/live", get(|| async { json("{}\n".to_owned()) }))
        .route("/ready", get(ready))
        .route("/status", get(status))
        .with_state(App { dataplane, view })
}

async fn status_page(State(app): State<App>) -> impl IntoResponse {
    let mut view = app.view.borrow().clone();
    view.allocations = app.dataplane.allocations();
    view.ready = app.dataplane.ready();
    let policy =
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(page::html(&view)))
}

async fn ready(State(app): State<App>) -> impl IntoResponse {
    if app.dataplane.ready() {
        (StatusCode::OK, json("{\"status\":200,\"message\":\"READY\"}\n".to_owned()))
    } else {
        let body = "{\"status\":503,\"message\":\"stunnerd not ready\"}\n".to_owned();
        (StatusCode::SERVICE_UNAVAILABLE, json(body))
    }
}

async fn status(State(app): State<App>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let in_full = query.is_some_and(|query| query.split('&').any(|pair| pair == "addresses=full"));
    let status = if in_full { app.dataplane.status_in_full() } else { app.dataplane.status() };
    json(serde_json::to_string(&status).unwrap_or_default())
}

fn json(body: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body)
}
