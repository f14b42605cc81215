use fantoccini::ClientBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use kit::{Deadline, Part, Process};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::{PATIENCE, Window};

/// A make of browser. Its windows are separate browsers with profiles of their own.
#[derive(Debug)]
pub struct Browser {
    make: Make,
}

#[derive(Debug)]
enum Make {
    /// One driver serves all windows.
    Chromium { _driver: Driver, port: u16, trusts: Option<String> },
    /// Each window has a driver of its own.
    Firefox(Part),
}

/// The program that controls browsers, and where all of them leave what they forget to remove.
#[derive(Debug)]
pub(crate) struct Driver {
    process: Process,
    _temporary: TempDir,
}

impl Driver {
    fn spawn(part: &Part, program: &str, arguments: &[&str]) -> Self {
        let temporary = kit::temp_dir();
        let mut command = part.command(program);
        command.args(arguments).env("TMPDIR", temporary.path());
        Self { process: Process::spawn(command), _temporary: temporary }
    }
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
    /// Chromium; `None` where there is none.
    pub fn start() -> Option<Self> {
        let driver = Driver::spawn(&kit::need("chromium")?, "chromedriver", &["--port=0"]);
        let deadline = Deadline::after(PATIENCE);
        let port = driver.process.await_match(0, deadline, "the port of chromedriver", |line| {
            line.strip_suffix('.')?.rsplit_once("started successfully on port ")?.1.parse().ok()
        });
        Some(Self { make: Make::Chromium { _driver: driver, port, trusts: None } })
    }

    /// Chromium that trusts certificates with this public key, whoever signed them: SHA-256 in base64.
    #[must_use]
    pub fn trusting(mut self, public_key: &str) -> Self {
        if let Make::Chromium { trusts, .. } = &mut self.make {
            *trusts = Some(public_key.to_owned());
        }
        self
    }

    /// Firefox; `None` where there is none.
    pub fn firefox() -> Option<Self> {
        Some(Self { make: Make::Firefox(kit::need("firefox")?) })
    }

    /// Opens a window, with a browser of its own, at `url`.
    pub async fn open(&self, url: &str, look: Look) -> Window {
        let (port, capabilities, driver) = match &self.make {
            Make::Chromium { port, trusts, .. } => (*port, chromium(look, trusts.as_deref()), None),
            Make::Firefox(part) => {
                let (driver, port) = geckodriver(part);
                (port, firefox(look), Some(driver))
            }
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap_or_else(|error| panic!("no browser window: {error}"));
        let window = Window::new(client, driver);
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

/// A driver for one window, and its port. It cannot report ports that it chooses itself.
fn geckodriver(part: &Part) -> (Driver, u16) {
    let [port, websocket, marionette] = [(); 3].map(|()| kit::free_port().to_string());
    let arguments = ["--port", &port, "--websocket-port", &websocket, "--marionette-port", &marionette];
    let driver = Driver::spawn(part, "geckodriver", &arguments);
    driver.process.await_line("Listening on ");
    (driver, port.parse().expect("a port"))
}

fn chromium(look: Look, trusts: Option<&str>) -> Map<String, Value> {
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
    args.extend(trusts.map(|key| format!("--ignore-certificate-errors-spki-list={key}")));
    let mut options = json!({ "args": args });
    if look.phone {
        options["mobileEmulation"] = json!({"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 2}});
    }
    capabilities("goog:chromeOptions", options)
}

fn firefox(look: Look) -> Map<String, Value> {
    let preferences = json!({
        "media.navigator.streams.fake": look.camera,
        "media.navigator.permission.disabled": true,
        "media.peerconnection.ice.loopback": true,
        "media.autoplay.default": 0,
        "ui.systemUsesDarkTheme": u8::from(look.dark),
    });
    let size = if look.phone { ["--width=450", "--height=844"] } else { ["--width=1280", "--height=1420"] };
    capabilities("moz:firefoxOptions", json!({"args": ["-headless", size[0], size[1]], "prefs": preferences}))
}

fn capabilities(name: &str, options: Value) -> Map<String, Value> {
    let patience = PATIENCE.as_secs() * 1000;
    let timeouts = json!({"pageLoad": patience, "script": patience});
    let members = [("acceptInsecureCerts", json!(true)), (name, options), ("timeouts", timeouts)];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
