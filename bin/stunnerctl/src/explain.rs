//! `stunnerctl explain`: asks one dataplane which listener, route and cluster decide about a peer, and why clients
//! were refused lately.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::{
    cli::{ExplainArguments, Global},
    format::Printer,
};

const PATIENCE: Duration = Duration::from_secs(5);
/// A dataplane remembers a few dozen refusals.
const LONGEST_ANSWER: u64 = 1 << 20;

pub(crate) fn run(global: &Global, arguments: &ExplainArguments) -> anyhow::Result<()> {
    let printer = Printer::new(&global.output)?;
    let body = get(&arguments.admin, &target(arguments))?;
    let answer =
        serde_json::from_str(&body).context("the answer is not JSON; is this a dataplane's health port?")?;
    write(&mut io::stdout().lock(), &printer, &answer)
}

fn target(arguments: &ExplainArguments) -> String {
    let peer = arguments.peer.as_ref().map(|peer| format!("peer={peer}"));
    let client = arguments.client.map(|client| format!("client={client}"));
    let full = arguments.addresses.then(|| "addresses=full".to_owned());
    let items: Vec<String> = [peer, client, full].into_iter().flatten().collect();
    format!("/explain?{}", items.join("&"))
}

/// One request, one answer: the health port speaks plain HTTP.
fn get(admin: &str, target: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(admin).with_context(|| format!("cannot connect to {admin}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream
        .take(LONGEST_ANSWER)
        .read_to_string(&mut answer)
        .with_context(|| format!("no answer from {admin}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(body.to_owned()),
        Some("404") => {
            bail!("{admin} explains nothing; give the address of a dataplane's health port as --admin")
        }
        _ => bail!("{admin}: {}", body.trim()),
    }
}

fn write(out: &mut impl Write, printer: &Printer, answer: &Value) -> anyhow::Result<()> {
    match printer {
        Printer::Json => writeln!(out, "{answer}")?,
        Printer::Yaml => write!(out, "{}", config::yaml::print(answer))?,
        Printer::JsonPath(template) => writeln!(out, "{}", template.render(answer)?)?,
        Printer::Summary | Printer::Line => summary(out, answer)?,
    }
    Ok(())
}

fn summary(out: &mut impl Write, answer: &Value) -> io::Result<()> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let items = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    if let Some(peer) = answer["peer"].as_str() {
        writeln!(out, "Peer {peer}:")?;
    }
    for listener in items(answer, "listeners") {
        let verdict = if listener["allowed"] == true { "allowed" } else { "refused" };
        writeln!(out, "  {}: {verdict}: {}", text(&listener, "listener"), text(&listener, "explanation"))?;
        for route in items(&listener, "routes") {
            let ports: Vec<String> =
                items(&route, "ports").iter().filter_map(Value::as_str).map(str::to_owned).collect();
            let ports = if ports.is_empty() { String::new() } else { format!(", ports {}", ports.join(" ")) };
            writeln!(out, "    cluster {}: {}{ports}", text(&route, "cluster"), text(&route, "explanation"))?;
        }
    }
    let refusals = items(answer, "refusals");
    writeln!(
        out,
        "{}",
        if refusals.is_empty() { "No refusals." } else { "Last refusals, the latest first:" }
    )?;
    for refusal in refusals {
        let peer = refusal["peer"].as_str().map(|peer| format!(" about {peer}")).unwrap_or_default();
        let [client, listener, method, reason, explanation] =
            ["client", "listener", "method", "reason", "explanation"].map(|key| text(&refusal, key));
        writeln!(
            out,
            "  {} {client} on {listener}: {method}{peer}: {} {reason}",
            refusal["time"], refusal["code"]
        )?;
        writeln!(out, "    {explanation}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_reads_as_sentences() {
        let answer = json!({
            "peer": "10.0.0.1:80",
            "listeners": [{ "listener": "ns/gw/udp", "allowed": false, "explanation": "not this port",
                "routes": [{ "cluster": "ns/a", "protocol": "UDP", "ports": ["1-9"], "explanation": "not this port" }] }],
            "refusals": [{ "time": 7, "listener": "ns/gw/udp", "client": "192.0.2.0/24", "method": "CreatePermission",
                "reason": "peer_refused", "code": 403, "peer": "10.0.0.1:80", "explanation": "no cluster" }],
        });
        let mut out = Vec::new();
        summary(&mut out, &answer).unwrap();
        let expected = "Peer 10.0.0.1:80:\n  ns/gw/udp: refused: not this port\n    cluster ns/a: not this port, ports 1-9\n\
            Last refusals, the latest first:\n  7 192.0.2.0/24 on ns/gw/udp: CreatePermission about 10.0.0.1:80: 403 peer_refused\n    no cluster\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        summary(&mut out, &json!({ "refusals": [] })).unwrap();
        assert_eq!(out, b"No refusals.\n");
    }
}
