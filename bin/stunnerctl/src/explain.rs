//! `stunnerctl explain`: asks dataplanes which listener, route and cluster decide about a peer, and why clients were
//! refused lately.

use std::io::{self, Write};

use anyhow::{Context, anyhow, bail};
use cds::Error;
use serde_json::Value;

use crate::{
    cli::{ExplainArguments, Global},
    format::Printer,
    pods,
};

pub(crate) async fn run(global: &Global, arguments: &ExplainArguments) -> anyhow::Result<()> {
    let printer = Printer::new(&global.output)?;
    let address = ("--admin", arguments.admin.as_deref());
    let dataplanes = pods::find(global, address, &arguments.dataplanes).await?;
    let is_one_of_several = dataplanes.len() > 1 || dataplanes.iter().any(pods::Dataplane::is_pod);
    let (mut failures, mut asked) = (Vec::new(), 0);
    let mut out = io::stdout().lock();
    for (name, answer) in pods::ask(dataplanes, &target(arguments)).await {
        asked += 1;
        match read(&name, answer) {
            Ok(answer) => {
                let header = if is_one_of_several { format!("{name}:\n") } else { String::new() };
                let summary = |out: &mut io::StdoutLock<'_>| {
                    write!(out, "{header}")?;
                    summary(out, &answer)
                };
                printer.document(&mut out, &answer, summary, summary)?;
            }
            Err(error) => failures.push(error),
        }
    }
    // Who asked one wants its answer; of several, those that answer will do.
    if failures.len() == asked
        && let Some(error) = failures.pop()
    {
        return Err(error);
    }
    for error in failures {
        tracing::error!(target: "stunnerctl", "{error:#}");
    }
    Ok(())
}

fn read(name: &str, answer: Result<String, Error>) -> anyhow::Result<Value> {
    match answer {
        Ok(body) => pods::document(&body).with_context(|| name.to_owned()),
        Err(Error::Status { status, .. }) if status.as_u16() == 404 => {
            bail!("{name} explains nothing; give the address of a dataplane's health port as --admin")
        }
        Err(Error::Status { body, .. }) => Err(anyhow!("{name}: {body}")),
        Err(error) => Err(error.into()),
    }
}

fn target(arguments: &ExplainArguments) -> String {
    let peer = arguments.peer.as_ref().map(|peer| format!("peer={peer}"));
    let client = arguments.client.map(|client| format!("client={client}"));
    let full = arguments.addresses.then(|| "addresses=full".to_owned());
    let items: Vec<String> = [peer, client, full].into_iter().flatten().collect();
    format!("/explain?{}", items.join("&"))
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
