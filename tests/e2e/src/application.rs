use one2one::{Application as Server, Listen, Settings};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The call application, in this process.
#[derive(Debug)]
pub struct Application {
    url: String,
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Application {
    /// Starts it with the authentication service on `auth_port`.
    pub async fn start(auth_port: u16) -> Self {
        Self::start_with(0, auth_port, |_| {}).await
    }

    /// Starts it on `port`, or if that is 0 on one of its own choice, with other settings.
    pub async fn start_with(port: u16, auth_port: u16, change: impl FnOnce(&mut Settings)) -> Self {
        let listen = Listen::Address(([127, 0, 0, 1], port).into());
        let mut settings = Settings::new(listen, "127.0.0.1", auth_port);
        change(&mut settings);
        let server = Server::bind(settings).await.unwrap_or_else(|error| panic!("no application: {error}"));
        let (stop, stopped) = oneshot::channel::<()>();
        let (url, port) = (server.url(), server.local_addr().port());
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { url, port, stop: Some(stop), task }
    }

    /// What to open in a browser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port of the page.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the application, as an orderly restart does.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        self.task.await.unwrap_or_else(|error| panic!("the application failed: {error}"));
    }
}
