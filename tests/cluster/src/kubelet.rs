use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

use crate::Api;

/// Port-forwards as the API server passes them on: WebSockets with a channel for data and one for errors.
const PROTOCOL: &str = "v4.channel.k8s.io";
const DATA: u8 = 0;
const ERROR: u8 = 1;

type Ports = Arc<Mutex<BTreeMap<(String, u16), SocketAddr>>>;

/// A node whose pods are processes of this machine. It forwards to their ports, and does nothing else that a kubelet
/// does: tests write statuses.
pub struct Kubelet {
    api: Api,
    node: String,
    ports: Ports,
    _runtime: Runtime,
}

impl Kubelet {
    /// A node of that name in the cluster.
    #[track_caller]
    pub fn start(api: &Api, node: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let ports = Ports::default();
        runtime.spawn(serve(listener, acceptor(), Arc::clone(&ports)));
        api.apply(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}).to_string());
        api.patch_status(
            &format!("v1/Node {node}"),
            &json!({
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            }),
        );
        Self { api: api.clone(), node: node.to_owned(), ports, _runtime: runtime }
    }

    /// A pod, `namespace/name`, that runs and is ready.
    #[track_caller]
    pub fn run(&self, pod: &str, labels: &[(&str, &str)]) {
        let (namespace, name) = pod.split_once('/').expect("namespace/name");
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let object = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": namespace, "name": name, "labels": labels},
            "spec": {"nodeName": self.node, "containers": [{"name": "process", "image": "none"}]},
        });
        self.api.apply(&object.to_string());
        self.set_ready(pod, true);
    }

    /// Whether a pod says that it is ready.
    #[track_caller]
    pub fn set_ready(&self, pod: &str, is_ready: bool) {
        let status = if is_ready { "True" } else { "False" };
        self.api.patch_status(
            &format!("v1/Pod {pod}"),
            &json!({"phase": "Running", "conditions": [{"type": "Ready", "status": status}]}),
        );
    }

    /// Where the process behind a pod's port listens, from now on.
    pub fn expose(&self, pod: &str, port: u16, at: SocketAddr) {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.insert((pod.to_owned(), port), at);
    }
}

fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("protocol versions").with_no_client_auth();
    let config = builder.with_single_cert(vec![made.cert.der().clone()], key).expect("a pair");
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, ports: Ports) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, ports) = (acceptor.clone(), Arc::clone(&ports));
        tokio::spawn(async move {
            // What goes wrong here is seen by who forwards.
            let _ = forward(stream, acceptor, ports).await;
        });
    }
}

/// One connection to one port of one pod.
async fn forward(stream: TcpStream, acceptor: TlsAcceptor, ports: Ports) -> Option<()> {
    let mut wanted = None;
    let stream = acceptor.accept(stream).await.ok()?;
    #[expect(clippy::result_large_err, reason = "the library's type")]
    let callback = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        wanted = parse(request.uri().path(), request.uri().query().unwrap_or_default());
        response.headers_mut().insert("sec-websocket-protocol", PROTOCOL.parse().expect("a header"));
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, callback).await.ok()?;
    let (pod, port) = wanted?;
    for channel in [DATA, ERROR] {
        let [low, high] = port.to_le_bytes();
        socket.send(Message::binary(vec![channel, low, high])).await.ok()?;
    }
    let at = ports.lock().unwrap_or_else(PoisonError::into_inner).get(&(pod.clone(), port)).copied();
    let connected = match at {
        Some(at) => TcpStream::connect(at).await.map_err(|error| error.to_string()),
        None => Err("connection refused".to_owned()),
    };
    let mut process = match connected {
        Ok(process) => process,
        Err(problem) => {
            let mut text = vec![ERROR];
            text.extend(format!("error forwarding port {port} to pod {pod}: {problem}").bytes());
            socket.send(Message::binary(text)).await.ok()?;
            return end(socket).await;
        }
    };
    let mut buffer = vec![0; 32 << 10];
    loop {
        tokio::select! {
            message = socket.next() => match message?.ok()? {
                Message::Binary(bytes) if bytes.first() == Some(&DATA) => {
                    process.write_all(&bytes[1..]).await.ok()?;
                }
                Message::Close(_) => return None,
                _ => {}
            },
            read = process.read(&mut buffer) => match read {
                Ok(len) if len > 0 => {
                    let mut frame = vec![DATA];
                    frame.extend_from_slice(&buffer[..len]);
                    socket.send(Message::binary(frame)).await.ok()?;
                }
                _ => return end(socket).await,
            },
        }
    }
}

/// Closes, and hears the other side out: what it still sends must not break what it was sent.
async fn end(mut socket: WebSocketStream<TlsStream<TcpStream>>) -> Option<()> {
    socket.close(None).await.ok()?;
    while socket.next().await?.is_ok() {}
    Some(())
}

/// `namespace/name` and port of `/portForward/NAMESPACE/NAME?port=PORT`.
fn parse(path: &str, query: &str) -> Option<(String, u16)> {
    let pod = path.strip_prefix("/portForward/")?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, port) = pairs.find(|(key, _)| matches!(*key, "port" | "ports"))?;
    Some((pod.to_owned(), port.parse().ok()?))
}
