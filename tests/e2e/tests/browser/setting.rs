//! Where the stories play: a gateway stand-in, an authentication service, the application, a browser.

use e2e::{Application, Browser, Coturn, IceService, Look, Window};

pub(crate) struct Setting {
    pub(crate) gateway: Coturn,
    pub(crate) auth: IceService,
    pub(crate) application: Application,
    pub(crate) browser: Browser,
}

impl Setting {
    /// Both gateways are offered. `None` where a part is missing.
    pub(crate) async fn new() -> Option<Self> {
        Self::with_refused_peers(None).await
    }

    pub(crate) async fn with_refused_peers(peers: Option<&str>) -> Option<Self> {
        let (gateway, browser) = (Coturn::start(peers)?, Browser::start()?);
        let auth = IceService::start().await;
        auth.offer(gateway.port, &["udp", "tcp"], "pass-1");
        let application = Application::start(auth.port).await;
        Some(Self { gateway, auth, application, browser })
    }

    pub(crate) async fn window(&self) -> Window {
        self.window_with("", Look::DESKTOP).await
    }

    /// A window whose page is opened with this query, such as `?transport=tcp`.
    pub(crate) async fn window_with(&self, query: &str, look: Look) -> Window {
        self.browser.open(&format!("{}{query}", self.application.url()), look).await
    }

    /// Alice and Bob, registered.
    pub(crate) async fn two(&self) -> (Window, Window) {
        let (alice, bob) = tokio::join!(self.window(), self.window());
        tokio::join!(alice.register("alice"), bob.register("bob"));
        (alice, bob)
    }

    /// Alice and Bob in a call that works.
    pub(crate) async fn talking(&self) -> (Window, Window) {
        let (alice, bob) = self.two().await;
        alice.call("bob").await;
        bob.accept().await;
        alice.watch(1).await;
        bob.watch(1).await;
        (alice, bob)
    }
}
