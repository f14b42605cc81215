//! `stunnerctl license`: what the discovery server says about its licence.

use std::io::{self, Write};

use anyhow::bail;
use cds::{License, Origin, Timing, client};
use serde_json::Value;

use crate::{
    cli::{Global, LicenseArguments},
    discovery,
    format::Printer,
};

pub(crate) async fn run(global: &Global, arguments: &LicenseArguments) -> anyhow::Result<()> {
    let printer = Printer::new(&global.output)?;
    let Origin::Http(server) = discovery::origin(&arguments.server, &global.kubernetes)? else {
        bail!("only discovery servers know about licences");
    };
    let license = client::license(&server, &Timing::default()).await?;
    write(&mut io::stdout().lock(), &printer, &license)
}

fn write(out: &mut impl Write, printer: &Printer, license: &License) -> anyhow::Result<()> {
    let value: Value = serde_json::to_value(license)?;
    let License { enabled_features, subscription_type, last_updated, last_error } = license;
    let features = if enabled_features.is_empty() { "NONE".to_owned() } else { enabled_features.join(", ") };
    match printer {
        Printer::Json => writeln!(out, "{value}")?,
        Printer::Yaml => write!(out, "{}", config::yaml::print(&value))?,
        Printer::JsonPath(template) => writeln!(out, "{}", template.render(&value)?)?,
        Printer::Summary | Printer::Line if !last_error.is_empty() => {
            writeln!(out, "License server error: {last_error} (last updated: {last_updated})")?;
        }
        Printer::Summary => write!(
            out,
            "License status:\n\tSubscription type: {subscription_type}\n\tEnabled features: {features}\n\
             \tLast updated: {last_updated}\n"
        )?,
        Printer::Line => {
            writeln!(out, "{{tier:{subscription_type},features:[{features}],updated:{last_updated}}}")?;
        }
    }
    Ok(())
}
