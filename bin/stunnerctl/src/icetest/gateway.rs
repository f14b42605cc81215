//! Whether a gateway is ready to be tested, by what its dataplanes are told.

use config::{Config, Listener};
use whip::IceServer;

use crate::cli::Transport;

/// The listener that is tested, or what is missing.
pub(super) fn ready(config: &Config, allow_node_port: bool) -> Result<&Listener, String> {
    if config.clusters.iter().all(|cluster| cluster.endpoints.is_empty()) {
        return Err("no route leads to any endpoint yet".to_owned());
    }
    let listener = config.listeners.first().ok_or("there is no listener yet")?;
    if listener.public_address.is_empty() {
        return Err("no public address for the listener yet: its Service has got none".to_owned());
    }
    match (listener.public_port, listener.port) {
        (0, _) => Err("no public port for the listener yet".to_owned()),
        (public, port) if public != port && !allow_node_port => Err(format!(
            "the public port {public} is not the listener's port {port}, as with a Service of type NodePort: allow that with \
             --allow-nodeport"
        )),
        _ => Ok(listener),
    }
}

/// The same servers as they are reached from inside of the cluster: by the name of the gateway's Service, and its port.
pub(super) fn inside(
    servers: &[IceServer],
    service: &str,
    port: u16,
    transport: Transport,
) -> Vec<IceServer> {
    let parameter = transport.parameter();
    let url = format!("turn:{service}:{port}?transport={parameter}");
    servers.iter().map(|server| IceServer { urls: vec![url.clone()], ..server.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listener: &str, endpoints: &str) -> Config {
        let text = format!(
            "{{ version: v1, admin: {{ name: icetest/gw }}, auth: {{ type: ephemeral, credentials: {{ secret: s }} }}, \
             listeners: [{{ name: icetest/gw/l, protocol: TURN-UDP, port: 3478{listener} }}], \
             clusters: [{{ name: icetest/route, endpoints: [{endpoints}] }}] }}"
        );
        Config::parse(&text, &|_: &str| None).unwrap()
    }

    #[test]
    fn a_gateway_is_ready_when_its_clients_can_come_and_go_on() {
        let addressed = ", public_address: 192.0.2.1, public_port: 3478";
        let mapped = ", public_address: 192.0.2.1, public_port: 30478";
        let table = [
            ("", "", false, Some("no route")),
            ("", "10.0.0.1", false, Some("no public address")),
            (", public_address: 192.0.2.1", "10.0.0.1", false, Some("no public port")),
            (addressed, "10.0.0.1", false, None),
            (mapped, "10.0.0.1", false, Some("--allow-nodeport")),
            (mapped, "10.0.0.1", true, None),
        ];
        for (listener, endpoints, allow, problem) in table {
            let found = config(listener, endpoints);
            match (ready(&found, allow), problem) {
                (Ok(listener), None) => assert_eq!(listener.port, 3478),
                (Err(said), Some(problem)) => assert!(said.contains(problem), "{said}"),
                (found, _) => panic!("{listener} {endpoints}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_backend_is_told_of_the_service() {
        let server = IceServer {
            urls: vec!["turn:192.0.2.1:30478?transport=tcp".to_owned()],
            username: "u".to_owned(),
            ..IceServer::default()
        };
        let told = inside(&[server], "gw.icetest.svc.cluster.local", 3478, Transport::Tcp);
        assert_eq!(told[0].urls, ["turn:gw.icetest.svc.cluster.local:3478?transport=tcp"]);
        assert_eq!(told[0].username, "u");
    }
}
