//! The HTTP surface: the page, the WebSocket upgrade, `/healthz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::hub::Event;
use crate::limits::{Place, Rate};
use crate::message::MAX_FRAME;
use crate::page;
use crate::session::Session;
use crate::switchboard::SessionId;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) hub: mpsc::Sender<Event>,
    pub(crate) sessions: TaskTracker,
    pub(crate) last_id: AtomicU64,
    pub(crate) origins: Vec<String>,
    pub(crate) frames: Rate,
    pub(crate) ping: std::time::Duration,
}

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/one2one", get(upgrade))
        .fallback(page::serve)
        .with_state(app)
}

async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(place): Extension<Arc<Place>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !is_welcome(&headers, &app.origins) {
        return (StatusCode::FORBIDDEN, "this WebSocket is for pages of this server\n").into_response();
    }
    let session = Session {
        id: SessionId(app.last_id.fetch_add(1, Ordering::Relaxed) + 1),
        place,
        hub: app.hub.clone(),
        frames: app.frames,
        ping: app.ping,
    };
    let token = app.sessions.token();
    upgrade.max_message_size(MAX_FRAME).max_frame_size(MAX_FRAME).on_upgrade(async move |socket| {
        session.run(socket).await;
        drop(token);
    })
}

/// Whether the WebSocket is opened by our own page, or by an origin that was named in the settings. Browsers always
/// say who opens it; a client that says nothing is none, and could say anything.
fn is_welcome(headers: &HeaderMap, others: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_own = host.is_some_and(|host| {
        origin.strip_prefix("https://").is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    });
    is_own || others.iter().any(|other| other.trim_end_matches('/').eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w17_only_our_own_page_may_open_the_websocket() {
        let welcome = |origin: Option<&str>, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            is_welcome(&headers, &["https://calls.example.com/".to_owned()])
        };
        assert!(welcome(Some("https://localhost:8443"), "localhost:8443"));
        assert!(welcome(Some("https://LOCALHOST:8443"), "localhost:8443"));
        assert!(welcome(Some("https://calls.example.com"), "10.0.0.1:8443"));
        assert!(welcome(None, "localhost:8443"), "not a browser");
        assert!(!welcome(Some("https://evil.example"), "localhost:8443"));
        assert!(!welcome(Some("https://localhost"), "localhost:8443"));
        assert!(!welcome(Some("http://localhost:8443"), "localhost:8443"));
        assert!(!welcome(Some("null"), "localhost:8443"));
    }
}
