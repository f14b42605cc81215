//! `stunnerctl license`: what the discovery server says about its licence.

use std::io::{self, Write};

use anyhow::bail;
use cds::{License, Origin, client};

use crate::{
    cli::{Global, LicenseArguments},
    format::Printer,
    world::World,
};

pub(crate) async fn run(global: &Global, arguments: &LicenseArguments) -> anyhow::Result<()> {
    let printer = Printer::new(&global.output)?;
    let (origin, options) = World::of(global).await.discovery(&arguments.server, None).await?;
    let Origin::Http(server) = origin else {
        bail!("only discovery servers know about licences");
    };
    let license = client::license(&server, &options).await?;
    let document = serde_json::to_value(&license)?;
    printer.document(
        &mut io::stdout().lock(),
        &document,
        |out| summary(out, &license),
        |out| line(out, &license),
    )
}

fn summary(out: &mut impl Write, license: &License) -> io::Result<()> {
    let License { subscription_type, last_updated, last_error, .. } = license;
    if !last_error.is_empty() {
        return writeln!(out, "License server error: {last_error} (last updated: {last_updated})");
    }
    writeln!(out, "License status:")?;
    writeln!(out, "\tSubscription type: {subscription_type}")?;
    writeln!(out, "\tEnabled features: {}", features(license))?;
    writeln!(out, "\tLast updated: {last_updated}")
}

fn line(out: &mut impl Write, license: &License) -> io::Result<()> {
    let License { subscription_type, last_updated, last_error, .. } = license;
    if !last_error.is_empty() {
        return summary(out, license);
    }
    writeln!(out, "{{tier:{subscription_type},features:[{}],updated:{last_updated}}}", features(license))
}

fn features(license: &License) -> String {
    match &license.enabled_features[..] {
        [] => "NONE".to_owned(),
        some => some.join(", "),
    }
}
