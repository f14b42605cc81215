use base64::{Engine, prelude::BASE64_STANDARD};
use config::{Config, Error};

/// Reads without any environment.
pub(crate) fn parse(text: &str) -> Result<Config, Error> {
    Config::parse(text, &config::env::empty)
}

/// Reads in an environment in which every variable stands for itself.
pub(crate) fn parse_unexpanded(text: &str) -> Result<Config, Error> {
    Config::parse(text, &|name| Some(format!("${name}")))
}

/// A configuration with static credentials and whatever else `rest` says.
pub(crate) fn with(rest: &str) -> Result<Config, Error> {
    parse(&format!("version: v1\nauth: {{ credentials: {{ username: u, password: p }} }}\n{rest}"))
}

/// What the refusal of [`with`] says.
pub(crate) fn refusal(rest: &str) -> String {
    with(rest).expect_err(rest).to_string()
}

pub(crate) fn certificate() -> String {
    BASE64_STANDARD.encode("-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n")
}

pub(crate) fn private_key() -> String {
    BASE64_STANDARD.encode("-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n")
}
