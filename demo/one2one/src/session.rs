//! One WebSocket connection of a page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::Error as WireError;

use crate::clock;
use crate::hub::{Event, OUTBOX, Outgoing};
use crate::limits::{Bucket, Place, Rate};
use crate::message::{Malformed, Request};
use crate::switchboard::SessionId;

pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// Held until the connection is over.
    pub(crate) place: Arc<Place>,
    pub(crate) hub: mpsc::Sender<Event>,
    pub(crate) frames: Rate,
    pub(crate) ping: Duration,
}

/// How a connection ended, from our point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The page closed it, or the network did.
    Gone,
    /// No sign of life, or no room for more frames.
    Unresponsive,
    GoingAway,
    TooLarge,
    TooFast,
    ProtocolError,
}

impl End {
    /// The close frame to send ([RFC 6455 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1)).
    fn close_frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Gone => return None,
            Self::Unresponsive => (1008, "unresponsive"),
            Self::GoingAway => (1001, "the server is going away"),
            Self::TooLarge => (1009, "frames are limited to 64 KiB"),
            Self::TooFast => (1008, "too many messages"),
            Self::ProtocolError => (1002, "protocol error"),
        };
        Some(CloseFrame { code, reason: reason.into() })
    }
}

impl Session {
    /// Serves the connection until it ends.
    pub(crate) async fn run(self, socket: WebSocket) {
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let connected = Event::Connected { id: self.id, address: self.place.address(), outbox };
        if self.hub.send(connected).await.is_err() {
            return;
        }
        let (mut sink, mut stream) = socket.split();
        let end = self.converse(&mut sink, &mut stream, inbox).await;
        tracing::debug!(connection = self.id.0, ?end, "connection ended");
        // The other side of a call hears of it before we wait for the closing handshake.
        let _ = self.hub.send(Event::Disconnected { id: self.id }).await;
        if let Some(frame) = end.close_frame() {
            let _ = timeout(CLOSING, close(&mut sink, &mut stream, frame)).await;
        }
    }

    async fn converse(
        &self,
        sink: &mut SplitSink<WebSocket, Message>,
        stream: &mut SplitStream<WebSocket>,
        mut inbox: mpsc::Receiver<Outgoing>,
    ) -> End {
        let mut ping = interval(self.ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = clock::now();
        let mut bucket = Bucket::new(self.frames, heard);
        loop {
            let outgoing = tokio::select! {
                frame = stream.next() => {
                    heard = clock::now();
                    match self.received(frame, &mut bucket, heard).await {
                        Some(end) => return end,
                        None => continue,
                    }
                }
                outgoing = inbox.recv() => match outgoing {
                    Some(Outgoing::Frame(text)) => Message::Text(text.into()),
                    Some(Outgoing::GoAway) => return End::GoingAway,
                    None => return End::Unresponsive,
                },
                _ = ping.tick() => match self.is_silent_since(heard) {
                    true => return End::Unresponsive,
                    false => Message::Ping(Vec::new().into()),
                },
            };
            match timeout(WRITING, sink.send(outgoing)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return End::Gone,
                Err(_) => return End::Unresponsive,
            }
        }
    }

    /// Passes a frame on. Returns how the connection ends, if it does.
    async fn received(
        &self,
        frame: Option<Result<Message, axum::Error>>,
        bucket: &mut Bucket,
        now: Instant,
    ) -> Option<End> {
        let Some(frame) = frame else { return Some(End::Gone) };
        let request = match frame {
            Ok(Message::Text(text)) => Request::parse(&text),
            Ok(Message::Binary(_)) => Err(Malformed::NotText),
            Ok(Message::Ping(_) | Message::Pong(_)) => return (!bucket.take(now)).then_some(End::TooFast),
            Ok(Message::Close(_)) => return Some(End::Gone),
            Err(error) => return Some(why_broken(error)),
        };
        if !bucket.take(now) {
            return Some(End::TooFast);
        }
        let sent = self.hub.send(Event::Request { id: self.id, request }).await;
        sent.is_err().then_some(End::GoingAway)
    }

    fn is_silent_since(&self, heard: Instant) -> bool {
        clock::now().saturating_duration_since(heard) > self.ping * 3
    }
}

fn why_broken(error: axum::Error) -> End {
    match error.into_inner().downcast_ref::<WireError>() {
        Some(WireError::Capacity(_)) => End::TooLarge,
        Some(WireError::Protocol(_) | WireError::Utf8(_)) => End::ProtocolError,
        Some(_) | None => End::Gone,
    }
}

/// Sends a close frame and reads on until the page has answered, so that the frame is not lost in a reset.
async fn close(
    sink: &mut SplitSink<WebSocket, Message>,
    stream: &mut SplitStream<WebSocket>,
    frame: CloseFrame,
) {
    if sink.send(Message::Close(Some(frame))).await.is_ok() {
        while let Some(Ok(_)) = stream.next().await {}
    }
}

const WRITING: Duration = Duration::from_secs(10);
const CLOSING: Duration = Duration::from_secs(2);
