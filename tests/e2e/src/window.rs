use std::fmt::Debug;
use std::fs;
use std::path::Path;

use fantoccini::elements::Element;
use fantoccini::{Client, Locator};
use kit::Deadline;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::browser::Driver;
use crate::{Console, PATIENCE};

/// A browser window that shows the page.
#[derive(Debug)]
pub struct Window {
    client: Client,
    /// The driver, if it is for this window alone.
    _driver: Option<Driver>,
}

/// What a window shows, as the page's markup tells it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct State {
    /// `connecting`, `up` or `down`.
    pub line: String,
    /// `NOT_REGISTERED`, `REGISTERING` or `REGISTERED`.
    pub register: String,
    /// `NO_CALL`, `PROCESSING_CALL` or `IN_CALL`.
    pub call: String,
    /// How far media is: `none`, `requesting`, `ringing`, `incoming`, `connecting`, `connected`, ...
    pub media: String,
    /// How the last call ended.
    pub outcome: String,
    /// `udp` or `tcp` once the call is connected: how this window reaches the gateway.
    pub transport: String,
    /// Headline of the status.
    pub headline: String,
    /// Explanation of the status.
    pub detail: String,
    /// Video frames decoded in this call.
    pub frames_decoded: String,
    /// Kind of the local candidate in use.
    pub local_kind: String,
    /// Kind of the remote candidate in use.
    pub remote_kind: String,
    /// The address the gateway answers on for this window.
    pub relay_address: String,
    /// The same of the other side.
    pub peer_address: String,
}

impl State {
    /// Video frames decoded in this call.
    pub fn frames(&self) -> u64 {
        self.frames_decoded.parse().unwrap_or(0)
    }
}

impl Window {
    pub(crate) fn new(client: Client, driver: Option<Driver>) -> Self {
        Self { client, _driver: driver }
    }

    /// Loads `url`.
    pub async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("cannot open {url}: {error}"));
    }

    /// Closes the window, as its user would.
    pub async fn close(self) {
        self.client.close().await.unwrap_or_else(|error| panic!("cannot close a window: {error}"));
    }

    /// Types `text` into the field `id`, in place of what is there.
    pub async fn fill(&self, id: &str, text: &str) {
        let field = self.element(id).await;
        let typed = async {
            field.clear().await?;
            field.send_keys(text).await
        };
        typed.await.unwrap_or_else(|error| panic!("cannot type into {id}: {error}"));
    }

    /// Presses keys in the field or control `id`; the WebDriver code points stand for special keys.
    pub async fn press(&self, id: &str, keys: &str) {
        let pressed = self.element(id).await.send_keys(keys).await;
        pressed.unwrap_or_else(|error| panic!("cannot press keys in {id}: {error}"));
    }

    /// Clicks on `id`.
    pub async fn click(&self, id: &str) {
        self.element(id).await.click().await.unwrap_or_else(|error| panic!("cannot click on {id}: {error}"));
    }

    /// Whether the control `id` can be used.
    pub async fn is_enabled(&self, id: &str) -> bool {
        self.element(id).await.is_enabled().await.unwrap_or_else(|error| panic!("{id}: {error}"))
    }

    /// The text that is visible in `id`.
    pub async fn text(&self, id: &str) -> String {
        self.element(id).await.text().await.unwrap_or_else(|error| panic!("{id}: {error}"))
    }

    /// The title of the document.
    pub async fn title(&self) -> String {
        self.client.title().await.unwrap_or_else(|error| panic!("no title: {error}"))
    }

    /// Runs a script and returns its value.
    pub async fn script(&self, script: &str) -> Value {
        let value = self.client.execute(script, Vec::new()).await;
        value.unwrap_or_else(|error| panic!("script failed: {error}: {script}"))
    }

    async fn element(&self, id: &str) -> Element {
        let element = self.client.find(Locator::Id(id)).await;
        element.unwrap_or_else(|error| panic!("no element {id}: {error}"))
    }

    /// What the window shows now.
    pub async fn state(&self) -> State {
        serde_json::from_value(self.script(STATE).await).unwrap_or_default()
    }

    /// Waits for a state; `what` says in words which.
    pub async fn until(&self, what: &str, is_reached: impl Fn(&State) -> bool) -> State {
        self.until_shown(STATE, what, is_reached).await
    }

    /// Waits until `script` returns what is awaited.
    pub(crate) async fn until_shown<S: DeserializeOwned + Default + Debug>(
        &self,
        script: &str,
        what: &str,
        is_reached: impl Fn(&S) -> bool,
    ) -> S {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let state = serde_json::from_value(self.script(script).await).unwrap_or_default();
            if is_reached(&state) {
                return state;
            }
            if deadline.left().is_none() {
                self.screenshot("failed").await;
                let lines = self.console().await.0;
                panic!("awaited: {what}; is: {state:#?}\nconsole:\n{}", lines.join("\n"));
            }
            sleep(BETWEEN_LOOKS).await;
        }
    }

    /// The lines of the page's console.
    pub async fn console(&self) -> Console {
        let lines = self.script(CONSOLE).await;
        Console(serde_json::from_value(lines).unwrap_or_default())
    }

    /// Waits for a console line that starts with `beginning`.
    pub async fn await_line(&self, beginning: &str) -> String {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let console = self.console().await;
            if let Some(line) = console.line(beginning) {
                return line.to_owned();
            }
            assert!(deadline.left().is_some(), "awaited a line {beginning:?} in\n{}", console.0.join("\n"));
            sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Keeps a picture of the window as `target/e2e/NAME.png`.
    pub async fn screenshot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/e2e");
        let picture = self.client.screenshot().await;
        let picture = picture.unwrap_or_else(|error| panic!("no picture: {error}"));
        fs::create_dir_all(&folder).expect("target/e2e can be made");
        fs::write(folder.join(name).with_extension("png"), picture).expect("target/e2e can be written");
    }

    // What people do.

    /// Registers `name` and waits until that is done.
    pub async fn register(&self, name: &str) -> State {
        self.ask_to_register(name).await;
        self.until(&format!("{name} is registered"), |state| state.register == "REGISTERED").await
    }

    /// Types `name` and presses Register.
    pub async fn ask_to_register(&self, name: &str) {
        self.until("the page is connected to the server", |state| state.line == "up").await;
        self.fill("name", name).await;
        self.click("register").await;
    }

    /// Calls `peer` and waits until it rings there.
    pub async fn call(&self, peer: &str) {
        self.ask_to_call(peer).await;
        self.until(&format!("it rings at {peer}"), |state| state.media == "ringing").await;
    }

    /// Types `peer` and presses Call.
    pub async fn ask_to_call(&self, peer: &str) {
        self.fill("peer", peer).await;
        self.click("call").await;
    }

    /// Waits for a call, and returns what the window asks.
    pub async fn await_ring(&self) -> String {
        self.until("it rings here", |state| state.media == "incoming").await;
        let deadline = Deadline::after(PATIENCE);
        loop {
            // The dialog fades in, and has no visible text before it does.
            let question = self.text("incomingText").await;
            if !question.is_empty() {
                return question;
            }
            assert!(deadline.left().is_some(), "the dialog stays invisible");
            sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Waits for a call and takes it.
    pub async fn accept(&self) {
        self.await_ring().await;
        self.click("accept").await;
    }

    /// Waits until the call is connected and this many video frames were decoded.
    pub async fn watch(&self, frames: u64) -> State {
        self.until(&format!("{frames} video frames"), |state| {
            state.media == "connected" && state.frames() >= frames
        })
        .await
    }

    /// Waits until no call is left, and checks that camera and microphone are free.
    pub async fn await_end(&self) -> State {
        let state =
            self.until("the call is over", |state| state.call == "NO_CALL" && state.media == "none").await;
        let free = "return videoInput.srcObject === null && videoOutput.srcObject === null";
        assert_eq!(self.script(free).await, json!(true), "the camera is free");
        assert!(self.is_enabled("call").await && !self.is_enabled("terminate").await);
        state
    }
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

const STATE: &str = "
    const text = (id) => document.getElementById(id).textContent;
    return { ...document.documentElement.dataset, ...document.getElementById('stats').dataset,
        headline: text('headline'), detail: text('detail'),
        relayAddress: text('relayAddress'), peerAddress: text('peerAddress') };";

const CONSOLE: &str =
    "return [...document.querySelectorAll('#console li')].map((entry) => entry.textContent)";
