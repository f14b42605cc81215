use std::time::Duration;

use fantoccini::ClientBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use kit::{Deadline, Process};
use serde_json::{Map, Value, json};

use crate::{PATIENCE, Window};

/// A WebDriver server. Its windows are separate browsers with profiles of their own, and end with it.
#[derive(Debug)]
pub struct Browser {
    port: u16,
    _driver: Process,
}

/// How a window looks and what it has.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Whether the system prefers dark colours.
    pub dark: bool,
    /// A phone's screen instead of a desktop's.
    pub phone: bool,
    /// Whether there are a camera and a microphone.
    pub camera: bool,
}

impl Look {
    /// A desktop with a camera, in light colours.
    pub const DESKTOP: Self = Self { dark: false, phone: false, camera: true };
    /// The same in dark colours.
    pub const DARK: Self = Self { dark: true, ..Self::DESKTOP };
    /// A phone in light colours.
    pub const PHONE: Self = Self { phone: true, ..Self::DESKTOP };
}

impl Browser {
    /// Starts the WebDriver server; `None` where there is no browser.
    pub fn start() -> Option<Self> {
        let mut command = kit::need("chromium")?.command("chromedriver");
        command.arg("--port=0");
        let driver = Process::spawn(command);
        let deadline = Deadline::after(PATIENCE);
        let port = driver.await_match(0, deadline, "the port of chromedriver", |line| {
            line.strip_suffix('.')?.rsplit_once("started successfully on port ")?.1.parse().ok()
        });
        Some(Self { port, _driver: driver })
    }

    /// Opens a window, with a browser of its own, at `url`.
    pub async fn open(&self, url: &str, look: Look) -> Window {
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(look))
            .connect(&format!("http://127.0.0.1:{}", self.port))
            .await
            .unwrap_or_else(|error| panic!("no browser window: {error}"));
        let window = Window::new(client);
        window.go(url).await;
        window
    }

    /// Opens two windows, in which Alice and Bob are registered.
    pub async fn two(&self, url: &str) -> (Window, Window) {
        let (alice, bob) = tokio::join!(self.open(url, Look::DESKTOP), self.open(url, Look::DESKTOP));
        tokio::join!(alice.register("alice"), bob.register("bob"));
        (alice, bob)
    }

    /// Opens two windows, in which Alice and Bob are in a call.
    pub async fn talking(&self, url: &str) -> (Window, Window) {
        let (alice, bob) = self.two(url).await;
        alice.call("bob").await;
        bob.accept().await;
        tokio::join!(alice.watch(1), bob.watch(1));
        (alice, bob)
    }
}

fn capabilities(look: Look) -> Map<String, Value> {
    let mut args = vec![
        "--headless".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-quic".to_owned(),
        "--disable-background-networking".to_owned(),
        "--use-fake-ui-for-media-stream".to_owned(),
        "--allow-loopback-in-peer-connection".to_owned(),
        "--hide-scrollbars".to_owned(),
        "--window-size=1280,1420".to_owned(),
        format!("--blink-settings=preferredColorScheme={}", u8::from(!look.dark)),
    ];
    if look.camera {
        args.push("--use-fake-device-for-media-stream".to_owned());
    }
    let mut options = json!({ "args": args });
    if look.phone {
        options["mobileEmulation"] = json!({"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 2}});
    }
    let capabilities = json!({
        "acceptInsecureCerts": true,
        "goog:chromeOptions": options,
        "timeouts": {"pageLoad": millis(PATIENCE), "script": millis(PATIENCE)},
    });
    match capabilities {
        Value::Object(capabilities) => capabilities,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
