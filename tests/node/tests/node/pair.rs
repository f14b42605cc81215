//! Two people in front of browsers.

use e2e::{Browser, Look, State, Window};
use kit::Deadline;
use node::PATIENCE;
use serde_json::Value;
use tokio::time::{Duration, sleep};

/// Enough to be sure that it is a moving picture.
pub(crate) const FRAMES: u64 = 45;

/// Alice and Bob, each with a window.
pub(crate) struct Pair {
    pub(crate) alice: Window,
    pub(crate) bob: Window,
}

impl Pair {
    /// Both registered.
    pub(crate) async fn open(url: &str, [alices, bobs]: [&Browser; 2]) -> Self {
        let (alice, bob) = tokio::join!(alices.open(url, Look::DESKTOP), bobs.open(url, Look::DESKTOP));
        tokio::join!(alice.register("alice"), bob.register("bob"));
        Self { alice, bob }
    }

    /// Alice calls Bob, each through gateways over some transport, or any if that is empty. Both see each other move.
    pub(crate) async fn talk(&self, transports: [&str; 2]) -> [State; 2] {
        for (window, transport) in self.windows().into_iter().zip(transports) {
            let choice = if transport.is_empty() { "any".to_owned() } else { transport.to_uppercase() };
            window.press("transport", &choice).await;
            // From here on it shows this call and nothing else.
            window.click("clearConsole").await;
        }
        self.alice.call("bob").await;
        self.bob.accept().await;
        let (alice, bob) = tokio::join!(watch(&self.alice, FRAMES), watch(&self.bob, FRAMES));
        for (state, transport) in [&alice, &bob].into_iter().zip(transports) {
            assert_eq!(
                (state.local_kind.as_str(), state.remote_kind.as_str()),
                ("relay", "relay"),
                "{state:?}"
            );
            // Over TLS the browser says so.
            let is_asked_for = transport.is_empty()
                || state.transport == transport
                || (transport, state.transport.as_str()) == ("tcp", "tls");
            assert!(is_asked_for, "{state:?}");
        }
        [alice, bob]
    }

    /// Waits until both see as many pictures again, in the same call through the same relays.
    pub(crate) async fn go_on(&self) {
        let (alice, bob) = tokio::join!(self.alice.state(), self.bob.state());
        let (after_alice, after_bob) = tokio::join!(
            watch(&self.alice, alice.frames() + FRAMES),
            watch(&self.bob, bob.frames() + FRAMES)
        );
        for (before, after) in [(alice, after_alice), (bob, after_bob)] {
            assert_eq!(before.media, "connected", "{before:?}");
            assert_eq!(before.relay_address, after.relay_address, "the call has moved");
        }
    }

    /// T22: Alice hangs up, both are free, and Bob is told.
    pub(crate) async fn hang_up(&self) {
        self.alice.click("terminate").await;
        let (_, bob) = tokio::join!(self.alice.await_end(), self.bob.await_end());
        assert_eq!(bob.outcome, "peer-stopped");
    }

    /// Both windows go.
    pub(crate) async fn close(self) {
        tokio::join!(self.alice.close(), self.bob.close());
    }

    pub(crate) fn windows(&self) -> [&Window; 2] {
        [&self.alice, &self.bob]
    }
}

/// Waits for this many pictures, and until the window knows the path they take.
async fn watch(window: &Window, frames: u64) -> State {
    window
        .until(&format!("{frames} video frames and their path"), |state| {
            state.media == "connected"
                && state.frames() >= frames
                && !state.transport.is_empty()
                && !state.remote_kind.is_empty()
        })
        .await
}

/// T19: the candidates of this call that a window has sent, which arrive in the other one unchanged.
pub(crate) async fn candidates(from: &Window, to: &Window) -> Vec<String> {
    let lines = |messages: Vec<Value>| -> Vec<String> {
        let text =
            |message: &Value| message["candidate"]["candidate"].as_str().unwrap_or_default().to_owned();
        messages.iter().map(text).collect()
    };
    let deadline = Deadline::after(PATIENCE);
    loop {
        let received = lines(to.console().await.received("iceCandidate"));
        let sent = lines(from.console().await.sent("onIceCandidate"));
        if sent == received && !sent.is_empty() {
            return sent;
        }
        assert!(deadline.left().is_some(), "sent: {sent:#?}\nreceived: {received:#?}");
        sleep(Duration::from_millis(100)).await;
    }
}
