//! How to print.

use std::{
    convert::Infallible,
    io::{self, Write},
    str::FromStr,
};

use anyhow::Context;
use config::Config;
use serde_json::{Map, Value, json};

use crate::{jsonpath::Template, summary};

/// What `--output` says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Format {
    Summary,
    Yaml,
    Json,
    /// Parsed when used, so that a bad template is an error of the run and not of the usage.
    JsonPath(String),
    /// One line without secrets.
    Line,
}

impl FromStr for Format {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "summary" => Self::Summary,
            "yaml" => Self::Yaml,
            "json" => Self::Json,
            _ if text.starts_with("jsonpath") => Self::JsonPath(text.to_owned()),
            _ => Self::Line,
        })
    }
}

/// A format ready to print with.
pub(crate) enum Printer {
    Summary,
    Yaml,
    Json,
    JsonPath(Template),
    Line,
}

impl Printer {
    pub(crate) fn new(format: &Format) -> anyhow::Result<Self> {
        Ok(match format {
            Format::Summary => Self::Summary,
            Format::Yaml => Self::Yaml,
            Format::Json => Self::Json,
            Format::JsonPath(argument) => {
                let template = argument.strip_prefix("jsonpath=");
                let template = template.with_context(|| {
                    format!("invalid jsonpath argument: {argument:?}; write jsonpath='{{.admin.name}}'")
                })?;
                Self::JsonPath(template.parse().with_context(|| format!("jsonpath template {template:?}"))?)
            }
            Format::Line => Self::Line,
        })
    }

    pub(crate) fn config(&self, out: &mut impl Write, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Summary => summary::write(out, config)?,
            Self::Yaml => write!(out, "{}", config.to_yaml())?,
            Self::Json => writeln!(out, "{}", config.to_json())?,
            Self::JsonPath(template) => writeln!(out, "{}", template.render(&complete(config))?)?,
            Self::Line => writeln!(out, "{}", summary::line(config))?,
        }
        out.flush()?;
        Ok(())
    }

    /// Prints a document that has a form of its own for people: `summary`, or `line` if one is asked for.
    pub(crate) fn document<W: Write>(
        &self,
        out: &mut W,
        document: &Value,
        summary: impl FnOnce(&mut W) -> io::Result<()>,
        line: impl FnOnce(&mut W) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Json => writeln!(out, "{document}")?,
            Self::Yaml => write!(out, "{}", config::yaml::print(document))?,
            Self::JsonPath(template) => writeln!(out, "{}", template.render(document)?)?,
            Self::Summary => summary(out)?,
            Self::Line => line(out)?,
        }
        out.flush()?;
        Ok(())
    }

    pub(crate) fn deleted(&self, out: &mut impl Write, id: &str) -> anyhow::Result<()> {
        match self {
            Self::Summary | Self::Line => writeln!(out, "Gateway: {id} <deleted>")?,
            // What programs read is configurations, and there is none.
            Self::Yaml | Self::Json | Self::JsonPath(_) => writeln!(io::stderr(), "Gateway: {id} <deleted>")?,
        }
        out.flush()?;
        Ok(())
    }
}

/// The document with every field, so that a template may ask for one that is empty and hence not on the wire.
fn complete(config: &Config) -> Value {
    let mut document = serde_json::to_value(config).unwrap_or_default();
    let fill = |value: Option<&mut Value>, defaults: Value| {
        if let (Some(Value::Object(fields)), Value::Object(defaults)) = (value, defaults) {
            for (key, default) in defaults {
                fields.entry(key).or_insert(default);
            }
        }
    };
    fill(Some(&mut document), json!({ "listeners": [], "clusters": [] }));
    fill(
        document.get_mut("admin"),
        json!({ "metrics_endpoint": "", "healthcheck_endpoint": "", "user_quota": 0, "offload_interfaces": [],
                "license_config": Map::new() }),
    );
    for listener in document["listeners"].as_array_mut().into_iter().flatten() {
        fill(
            Some(listener),
            json!({ "public_address": "", "public_port": 0, "bind_address": "", "cert": "", "key": "", "routes": [] }),
        );
    }
    for cluster in document["clusters"].as_array_mut().into_iter().flatten() {
        fill(Some(cluster), json!({ "endpoints": [] }));
    }
    document
}
