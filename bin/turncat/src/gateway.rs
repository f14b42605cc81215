//! Which server, and who asks there: from a URI, or from the configuration of a gateway.

use anyhow::{Context as _, Result, bail};
use cds::{Access, Options, Origin, Scope};
use client::{Login, Server, Transport};
use config::uri::TurnUri;
use config::{AuthKind, Config, Listener, Protocol, Secret};
use reach::Cluster;

use crate::cli::{self, Cli, Gateway};

/// The name under which all gateways of a namespace once shared one configuration.
const SHARED: &str = "stunnerd-config";

/// The user of minted names.
const USER: &str = "turncat";

/// Finds the server of the command line.
pub(crate) async fn find(cli: &Cli) -> Result<(Server, Login)> {
    match &cli.server {
        cli::Server::Uri(uri) => from_uri(uri),
        cli::Server::Gateway(gateway) => look_up(cli, gateway).await,
    }
}

fn from_uri(uri: &TurnUri) -> Result<(Server, Login)> {
    let login = match (uri.username.expose(), uri.password.expose()) {
        ("", _) => bail!("username/password must be set: write turn://USER:PASSWORD@HOST:PORT"),
        (secret, "") => Login::ephemeral(secret, USER),
        (username, password) => Login::fixed(username, password),
    };
    Ok((Server::new(transport(uri.protocol), uri.host.clone(), uri.port), login))
}

async fn look_up(cli: &Cli, gateway: &Gateway) -> Result<(Server, Login)> {
    let Gateway { namespace, name, listener } = gateway;
    let cluster = if cli.discovery.given().is_some() { None } else { Cluster::find(&cli.kubernetes).await? };
    let namespace = match (namespace.as_str(), &cluster) {
        ("", Some(cluster)) => cluster.namespace(),
        ("", None) => cli.kubernetes.namespace.as_deref().unwrap_or("default"),
        (given, _) => given,
    };
    if let Some(cluster) = &cluster
        && let Some(config) = legacy(cluster, namespace, name).await
    {
        let config = config?;
        let (config, listener) = choose(std::slice::from_ref(&config), listener)?;
        return Ok((server(listener)?, login(config)?));
    }
    let (origin, access) = origin(cli, cluster.as_ref()).await?;
    let options = Options { certificates: false, access, ..Options::default() };
    let scope = match name.as_str() {
        SHARED => Scope::Namespace(namespace.to_owned()),
        name => Scope::gateway(namespace, name),
    };
    let configs = cds::load(&origin, &scope, &options).await.with_context(|| {
        format!(
            "asking {origin} for {scope}; name another discovery server with --cds-server-address, or a cluster with \
             --kubeconfig or --context"
        )
    })?;
    let (config, listener) = choose(&configs, listener)?;
    Ok((server(listener)?, login(config)?))
}

/// The configuration of a legacy dataplane, if its ConfigMap has that name and may be read.
async fn legacy(cluster: &Cluster, namespace: &str, name: &str) -> Option<Result<Config>> {
    let text = cluster.legacy_config(namespace, name).await.ok()??;
    let config = Config::parse_without_certificates(&text, &|name| std::env::var(name).ok());
    Some(config.with_context(|| format!("the ConfigMap {namespace}/{name} is not usable")))
}

/// The discovery server named by flags or the environment, that of the cluster they name, that of the cluster this runs
/// in, or this machine's.
async fn origin(cli: &Cli, cluster: Option<&Cluster>) -> Result<(Origin, Access)> {
    if let Some(cluster) = cluster {
        let found = reach::discovery(cluster, &cli.discovery).await?;
        return Ok((found.origin, found.access));
    }
    let port = cli.discovery.cds_server_port;
    let origin = cli.discovery.origin().unwrap_or_else(|flags::NoServer| format!("http://127.0.0.1:{port}"));
    let flags = &cli.discovery;
    let access = Access::new(flags.token_file(), flags.authority(), flags.tls_server_name());
    Ok((origin.parse().context("--cds-server-address")?, access))
}

/// The listener of this name, whole or without namespace and gateway.
fn choose<'c>(configs: &'c [Config], name: &str) -> Result<(&'c Config, &'c Listener)> {
    let is_meant = |listener: &Listener| {
        listener.name == name || listener.name.rsplit('/').next().is_some_and(|last| last == name)
    };
    let all = configs.iter().flat_map(|config| config.listeners.iter().map(move |it| (config, it)));
    let mut found = all.filter(|(_, listener)| is_meant(listener));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => bail!("found multiple listeners named {name:?}"),
        (None, _) => {
            let all = configs.iter().flat_map(|config| &config.listeners);
            let names: Vec<&str> = all.map(|listener| listener.name.as_str()).collect();
            bail!("cannot find listener {name:?}; there are: {}", names.join(", "))
        }
    }
}

fn server(listener: &Listener) -> Result<Server> {
    if listener.public_address.is_empty() {
        bail!("no public address for listener {}: has its Service got one yet?", listener.name);
    }
    if listener.public_port == 0 {
        bail!("no public port for listener {}", listener.name);
    }
    Ok(Server::new(transport(listener.protocol), listener.public_address.clone(), listener.public_port))
}

fn login(config: &Config) -> Result<Login> {
    let credentials = &config.auth.credentials;
    let text = |secret: &Option<Secret>| secret.as_ref().map(|it| it.expose().to_owned()).unwrap_or_default();
    match config.auth.kind {
        AuthKind::Static => Ok(Login::fixed(&text(&credentials.username), &text(&credentials.password))),
        AuthKind::Ephemeral => Ok(Login::ephemeral(&text(&credentials.secret), USER)),
        AuthKind::None => bail!("the gateway {} has no credentials: it relays for nobody", config.admin.name),
    }
}

fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Udp => Transport::Udp,
        Protocol::Tcp => Transport::Tcp,
        Protocol::Tls => Transport::Tls,
        Protocol::Dtls => Transport::Dtls,
    }
}
