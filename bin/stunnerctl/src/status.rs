//! `stunnerctl status`: what dataplanes are doing.

use std::io::{self, Write};

use serde_json::Value;

use crate::{
    cli::{Global, StatusArguments},
    format::Printer,
    pods,
};

/// What stands for a secret, whatever a dataplane says about it.
const SECRET: &str = "<SECRET>";

pub(crate) async fn run(global: &Global, arguments: &StatusArguments) -> anyhow::Result<()> {
    let printer = Printer::new(&global.output)?;
    let address = ("--pod-address", arguments.pod_address.as_deref());
    let dataplanes = pods::find(global, address, &arguments.dataplanes).await?;
    let mut out = io::stdout().lock();
    for (name, answer) in pods::ask(dataplanes, "/status").await {
        match answer.map_err(anyhow::Error::from).and_then(|body| pods::document(&body)) {
            Ok(document) => printer.document(
                &mut out,
                &document,
                |out| summary(out, &name, &document),
                |out| writeln!(out, "{}", line(&document)),
            )?,
            // One that does not answer is no reason to keep quiet about the others.
            Err(error) => tracing::error!(target: "stunnerctl", dataplane = name, "{error:#}"),
        }
    }
    Ok(())
}

fn summary(out: &mut impl Write, name: &str, status: &Value) -> io::Result<()> {
    writeln!(out, "{name}:")?;
    writeln!(out, "\t{}", admin(&status["admin"]))?;
    writeln!(out, "\t{}", auth(&status["auth"]))?;
    writeln!(out, "\tlisteners:{}", each(&status["listeners"], listener))?;
    writeln!(out, "\tclusters:{}", each(&status["clusters"], cluster))?;
    writeln!(out, "\tallocs:{}/status={}", status["allocationCount"], text(&status["status"]))
}

/// The same in one line.
fn line(status: &Value) -> String {
    format!(
        "{{version={:?},{},{},listeners=[{}],clusters=[{}],allocs:{}/status={}}}",
        text(&status["version"]),
        admin(&status["admin"]),
        auth(&status["auth"]),
        each(&status["listeners"], listener),
        each(&status["clusters"], cluster),
        status["allocationCount"],
        text(&status["status"])
    )
}

fn admin(admin: &Value) -> String {
    let mut members = vec![format!("id={:?}", text(&admin["name"]))];
    for (name, key) in
        [("logLevel", "loglevel"), ("metrics", "metrics_endpoint"), ("health-check", "healthcheck_endpoint")]
    {
        let value = text(&admin[key]);
        if !value.is_empty() {
            members.push(format!("{name}={value:?}"));
        }
    }
    let quota = text(&admin["quota"]);
    members.push(format!("quota={}", if quota.is_empty() { "0" } else { quota }));
    for (name, key) in [("license-info", "licensing_info"), ("offload", "offload")] {
        let value = text(&admin[key]);
        if !value.is_empty() {
            members.push(format!("{name}={value}"));
        }
    }
    format!("admin:{{{}}}", members.join(","))
}

fn auth(auth: &Value) -> String {
    let realm = text(&auth["realm"]);
    match text(&auth["type"]) {
        "static" | "plaintext" => {
            format!("static-auth:{{realm={realm:?},username=\"{SECRET}\",password=\"{SECRET}\"}}")
        }
        "ephemeral" | "longterm" | "timewindowed" => {
            format!("ephemeral-auth:{{realm={realm:?},secret=\"{SECRET}\"}}")
        }
        other => format!("{other}-auth:{{realm={realm:?}}}"),
    }
}

fn listener(listener: &Value) -> String {
    let or_dash = |value: String| if value.is_empty() || value == "0" { "-".to_owned() } else { value };
    let hidden = |key: &str| if text(&listener[key]).is_empty() { "-" } else { SECRET };
    let routes: Vec<&str> = items(&listener["routes"]).iter().map(text).collect();
    format!(
        "{:?}:{{turn://{}:{}?transport={},public={}:{},cert/key={}/{},routes=[{}]}},{}",
        text(&listener["name"]),
        text(&listener["address"]),
        listener["port"],
        text(&listener["protocol"]),
        or_dash(text(&listener["public_address"]).to_owned()),
        or_dash(listener["public_port"].as_u64().unwrap_or_default().to_string()),
        hidden("cert"),
        hidden("key"),
        routes.join(","),
        offload(&listener["stats"])
    )
}

fn cluster(cluster: &Value) -> String {
    let endpoints: Vec<&str> = items(&cluster["endpoints"]).iter().map(text).collect();
    format!(
        "{:?}:{{type={:?},protocol={:?},endpoints=[{}]}},{}",
        text(&cluster["name"]),
        text(&cluster["type"]),
        text(&cluster["protocol"]),
        endpoints.join(","),
        offload(&cluster["stats"])
    )
}

fn offload(stats: &Value) -> String {
    let count = |way: &str, what: &str| stats[way][what].as_u64().unwrap_or_default();
    format!(
        "offload(rx/tx): {}/{} pkts {}/{} bytes",
        count("rx", "pkts"),
        count("tx", "pkts"),
        count("rx", "bytes"),
        count("tx", "bytes")
    )
}

fn each(list: &Value, print: impl Fn(&Value) -> String) -> String {
    items(list).iter().map(print).collect::<Vec<_>>().join(",")
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
