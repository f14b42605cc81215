use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::{Browser, Look, Window};

const PAGE: &str = include_str!("../../../docs/examples/media-server/echo.html");

/// The page of the media server example, on loopback: browsers lend cameras to no other pages without a certificate.
#[derive(Debug)]
pub struct EchoPage {
    url: String,
    task: JoinHandle<()>,
}

impl EchoPage {
    /// Serves it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("a bound socket"));
        let router = Router::new().route("/", get(|| async { Html(PAGE) }));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { url, task }
    }

    /// Opens a window that shows it.
    pub async fn open(&self, browser: &Browser) -> EchoWindow {
        EchoWindow(browser.open(&self.url, Look::DESKTOP).await)
    }
}

impl Drop for EchoPage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A window that shows the page of the media server example.
#[derive(Debug)]
pub struct EchoWindow(Window);

/// What such a window shows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Echo {
    /// `idle`, `starting`, `connecting`, `connected`, `failed`, `stopped`, ...
    pub state: String,
    /// Video frames that came back and were decoded.
    pub frames_decoded: String,
    /// Kind of the local candidate in use.
    pub local_kind: String,
    /// Kind of the remote candidate in use.
    pub remote_kind: String,
    /// Address and port of the media server.
    pub peer_address: String,
    /// The same in a sentence, or what went wrong.
    pub status: String,
}

impl EchoWindow {
    /// Starts a call to Janus at `url` with an ICE configuration as the authentication service answers.
    pub async fn call(&self, url: &str, ice: &Value) {
        self.until("the page is there", |echo| !echo.state.is_empty()).await;
        self.0.fill("janus", url).await;
        self.0.fill("ice", &ice.to_string()).await;
        self.0.click("start").await;
    }

    /// Waits until this many video frames came back.
    pub async fn watch(&self, frames: u64) -> Echo {
        let has_come = |echo: &Echo| echo.frames_decoded.parse().is_ok_and(|decoded: u64| decoded >= frames);
        self.until(&format!("{frames} video frames"), has_come).await
    }

    /// Waits for a state; `what` says in words which.
    pub async fn until(&self, what: &str, is_reached: impl Fn(&Echo) -> bool) -> Echo {
        self.0.until_shown(SHOWN, what, is_reached).await
    }

    /// Ends the call.
    pub async fn stop(&self) {
        self.0.click("stop").await;
        self.until("the call is over", |echo| echo.state == "stopped").await;
    }

    /// Keeps a picture of the window as `target/e2e/NAME.png`.
    pub async fn screenshot(&self, name: &str) {
        self.0.screenshot(name).await;
    }

    /// Closes the window.
    pub async fn close(self) {
        self.0.close().await;
    }
}

const SHOWN: &str =
    "return { ...document.documentElement.dataset, status: document.getElementById('status')?.value };";
