//! Events: what `kubectl describe` tells about an object besides its status.

use gateway::api::{Gateway, Resource as _};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;

/// Longest text of an event, in bytes.
const LONGEST: usize = 1000;

/// Events that wait; more are dropped, because the statuses say the same.
const QUEUE: usize = 256;

/// Something to tell about a Gateway.
#[derive(Debug)]
struct News {
    about: ObjectReference,
    reason: &'static str,
    text: String,
}

/// Where to tell it. Whoever tells does not wait.
#[derive(Debug, Clone)]
pub(crate) struct Events(mpsc::Sender<News>);

impl Events {
    /// Events of the controller, sent by a task that ends when nobody has anything to tell any more.
    pub(crate) fn new(client: Client, controller: &str) -> Self {
        let (sender, mut receiver) = mpsc::channel::<News>(QUEUE);
        // Events want a name without slashes.
        let controller = controller.replace('/', "-");
        let instance = std::env::var("HOSTNAME").ok();
        tokio::spawn(async move {
            let recorder = Recorder::new(client, Reporter { controller, instance });
            while let Some(news) = receiver.recv().await {
                let event = Event {
                    type_: EventType::Warning,
                    reason: news.reason.to_owned(),
                    note: Some(news.text),
                    action: "Render".to_owned(),
                    secondary: None,
                };
                if let Err(error) = recorder.publish(&event, &news.about).await {
                    tracing::debug!(target: "operator", %error, "an event was not taken");
                }
            }
        });
        Self(sender)
    }

    /// Warns about a Gateway.
    pub(crate) fn warn(&self, gateway: &Gateway, version: &str, reason: &'static str, mut text: String) {
        text.truncate(text.floor_char_boundary(LONGEST));
        let metadata = &gateway.metadata;
        let about = ObjectReference {
            api_version: Some(version.to_owned()),
            kind: Some(Gateway::TYPE.kind.to_owned()),
            name: Some(metadata.name.clone()),
            namespace: Some(metadata.namespace.clone()),
            uid: Some(metadata.uid.clone()),
            ..ObjectReference::default()
        };
        let _ = self.0.try_send(News { about, reason, text });
    }
}
