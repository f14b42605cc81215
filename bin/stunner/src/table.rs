//! The state of Gateways and routes as text for a terminal.

use std::io::Write as _;

use gateway::{Overview, Verdict};
use tabwriter::TabWriter;

/// One table of Gateways and one of routes, columns aligned, with a newline at the end.
pub(crate) fn render(overview: &Overview) -> String {
    let mut text = String::from("GATEWAY\tCLASS\tLISTENER\tPROTOCOL\tADDRESS\tROUTES\tPROGRAMMED\n");
    for gateway in &overview.gateways {
        for listener in &gateway.listeners {
            let address = gateway.address.as_deref().unwrap_or("<none>");
            text += &format!(
                "{}\t{}\t{}\t{}\t{}\t{}\t{}\n",
                gateway.gateway,
                gateway.class,
                listener.name,
                listener.protocol,
                host_port(address, listener.port),
                listener.attached_routes,
                first_false(&[&gateway.accepted, &listener.programmed]),
            );
        }
    }
    if overview.gateways.is_empty() {
        text += "<none>\n";
    }
    let mut routes = String::from("ROUTE\tPARENT\tACCEPTED\tRESOLVED\n");
    for route in &overview.routes {
        for parent in &route.parents {
            let (accepted, resolved) = (&parent.accepted, &parent.resolved_refs);
            routes += &format!("{}\t{}\t{accepted}\t{resolved}\n", route.route.key, parent.parent);
        }
    }
    if overview.routes.is_empty() {
        routes += "<none>\n";
    }
    format!("{}\n{}", aligned(&text), aligned(&routes))
}

/// The first verdict that does not hold, else that all do.
fn first_false(verdicts: &[&Verdict]) -> String {
    let bad = verdicts.iter().find(|verdict| !verdict.is_true());
    bad.or(verdicts.last()).map(ToString::to_string).unwrap_or_default()
}

fn host_port(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn aligned(text: &str) -> String {
    let mut writer = TabWriter::new(Vec::new()).padding(2);
    let written = writer.write_all(text.as_bytes()).and_then(|()| writer.flush());
    let bytes = written.ok().and_then(|()| writer.into_inner().ok());
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned())
}
