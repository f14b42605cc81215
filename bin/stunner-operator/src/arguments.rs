//! The command line, and the variables of the environment that go with it.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::{ArgAction, Parser, ValueEnum};
use gateway::{DiscoverySecurity, EndpointDiscovery, Mode, names};
use kube::Client;
use operator::{Settings, serve};

/// Gateway operator: watches Gateways and their routes, creates and configures what serves them.
#[derive(Debug, Parser)]
#[command(version = flags::VERSION.as_str(), max_term_width = 110)]
pub(crate) struct Arguments {
    /// Name of the controller in GatewayClasses that are this operator's
    #[arg(
        long,
        env = "STUNNER_GATEWAY_OPERATOR_CONTROLLER_NAME",
        value_name = "NAME",
        default_value = names::CONTROLLER
    )]
    controller_name: String,

    /// How long changes are collected before they are rendered, such as 250ms or 1s
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = duration)]
    throttle_timeout: Duration,

    /// Look up the pods behind Services; without it, dataplanes look up the names of Services
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    endpoint_discovery: bool,

    /// Look them up in Endpoints instead of EndpointSlices
    #[arg(long, alias = "disable-endpontslice-controller", value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    disable_endpointslice_controller: bool,

    /// Let clients reach the cluster addresses of backend Services too
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    relay_to_cluster_ip: bool,

    /// Ask for a ReferenceGrant where a reference leads into another namespace
    #[arg(long, value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    reference_grants: bool,

    /// Call a Gateway programmed only when a pod of its dataplane is ready
    #[arg(long, value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    await_dataplane: bool,

    /// Domain of the cluster's Services
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    cluster_domain: String,

    /// Who runs dataplanes: the operator (managed) or the user (legacy)
    #[arg(
        long,
        env = "STUNNER_GATEWAY_OPERATOR_DATAPLANE_MODE",
        value_name = "MODE",
        default_value = "managed",
        ignore_case = true
    )]
    dataplane_mode: DataplaneMode,

    /// Image of dataplanes whose template names none
    #[arg(long, value_name = "IMAGE", default_value = names::DATAPLANE_IMAGE)]
    dataplane_image: String,

    /// Address to serve configurations at
    #[arg(long, value_name = "[HOST]:PORT", default_value = ":13478")]
    config_discovery_address: String,

    /// Host at which dataplanes find the configurations [default: the Service stunner-config-discovery beside the
    /// operator]
    #[arg(long, env = "STUNNER_GATEWAY_OPERATOR_ADDRESS", value_name = "HOST")]
    config_discovery_host: Option<String>,

    #[command(flatten)]
    security: Security,

    /// Address to serve metrics at; 0 for none
    #[arg(long, value_name = "[HOST]:PORT", default_value = ":8080")]
    metrics_bind_address: String,

    /// Address to serve /healthz and /readyz at; 0 for none
    #[arg(long, value_name = "[HOST]:PORT", default_value = ":8081")]
    health_probe_bind_address: String,

    /// Accepted for compatibility; there is no profiler
    #[arg(
        long,
        env = "STUNNER_GATEWAY_OPERATOR_PPROF_BIND_ADDRESS",
        value_name = "[HOST]:PORT",
        default_value = "0",
        hide = true
    )]
    pprof_bind_address: String,

    /// Let only the replica that holds the lease write; all of them serve configurations
    #[arg(long, value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    leader_elect: bool,

    /// Namespace of the lease [default: that of the operator's pod]
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE")]
    leader_election_namespace: Option<String>,

    /// On shutdown, say so in the statuses and delete what was created
    #[arg(long, value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    enable_finalizer: bool,

    /// Kubeconfig file [default: KUBECONFIG, the pod's service account, or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Labels of Gateways that workloads do not get, separated by commas; replaces the list that is built in
    #[arg(long, env = "STUNNER_GATEWAY_OPERATOR_LABEL_FILTER", value_name = "LABELS")]
    label_filter: Option<String>,

    /// Accepted for compatibility: nothing needs a licence
    #[arg(long, env = "CUSTOMER_KEY", hide = true, hide_env_values = true)]
    customer_key: Option<config::Secret>,

    #[command(flatten)]
    log: flags::Log,

    #[command(flatten)]
    zap: Zap,
}

/// How configurations are kept from others than those they are for.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Config discovery")]
struct Security {
    /// Certificate to serve configurations with, and its chain; without it they are served in the clear
    #[arg(
        long,
        env = "STUNNER_GATEWAY_OPERATOR_TLS_CERT",
        value_name = "FILE",
        requires = "config_discovery_tls_key"
    )]
    config_discovery_tls_cert: Option<PathBuf>,

    /// Key of that certificate
    #[arg(
        long,
        env = "STUNNER_GATEWAY_OPERATOR_TLS_KEY",
        value_name = "FILE",
        requires = "config_discovery_tls_cert"
    )]
    config_discovery_tls_key: Option<PathBuf>,

    /// Authorities that dataplanes are to trust for it [default: the certificate itself]
    #[arg(
        long,
        env = "STUNNER_GATEWAY_OPERATOR_TLS_CA",
        value_name = "FILE",
        requires = "config_discovery_tls_cert"
    )]
    config_discovery_tls_ca: Option<PathBuf>,

    /// Let dataplanes have only the configuration of their own Gateway, and others what roles let them
    #[arg(long, env = "STUNNER_GATEWAY_OPERATOR_CHECK_TOKENS", value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    config_discovery_check_tokens: bool,

    /// Audience that tokens have to be made for
    #[arg(
        long,
        env = "STUNNER_GATEWAY_OPERATOR_TOKEN_AUDIENCE",
        value_name = "NAME",
        default_value = "stunner-config-discovery"
    )]
    config_discovery_token_audience: String,
}

impl Security {
    /// What pods need to know to get at their configurations.
    fn discovery(&self) -> Result<DiscoverySecurity> {
        let authority = match (&self.config_discovery_tls_ca, &self.config_discovery_tls_cert) {
            (Some(file), _) => Some(("--config-discovery-tls-ca", file)),
            (None, Some(file)) => Some(("--config-discovery-tls-cert", file)),
            (None, None) => None,
        };
        let read = |(flag, file): (&str, &PathBuf)| {
            std::fs::read_to_string(file).with_context(|| format!("{flag}: cannot read {}", file.display()))
        };
        Ok(DiscoverySecurity {
            authority: authority.map(read).transpose()?,
            audience: self
                .config_discovery_check_tokens
                .then(|| self.config_discovery_token_audience.clone()),
        })
    }
}

/// The flags of another logger, as far as they say something about lines.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Log, in the spelling of the Go operator")]
struct Zap {
    /// What lines look like: json or console
    #[arg(long, value_name = "FORMAT", hide_short_help = true)]
    zap_encoder: Option<String>,

    /// What to log: debug, info, error, or a number, the higher the more
    #[arg(long, value_name = "LEVEL", hide_short_help = true)]
    zap_log_level: Option<String>,

    /// The same as --zap-log-level=debug
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true, hide_short_help = true)]
    zap_devel: Option<bool>,

    /// Accepted for compatibility
    #[arg(long, value_name = "LEVEL", hide = true)]
    zap_stacktrace_level: Option<String>,

    /// Accepted for compatibility
    #[arg(long, value_name = "ENCODING", hide = true)]
    zap_time_encoding: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DataplaneMode {
    Managed,
    Legacy,
}

/// Port that an address without one means.
const DISCOVERY: &str = "stunner-config-discovery";

impl Arguments {
    /// What to log.
    pub(crate) fn log_spec(&self) -> String {
        if let Some(spec) = self.log.spec() {
            return spec.to_owned();
        }
        let level = match self.zap.zap_log_level.as_deref() {
            None if self.zap.zap_devel == Some(true) => "DEBUG",
            None | Some("info" | "0") => "INFO",
            Some("error" | "panic") => "ERROR",
            Some("warn") => "WARN",
            Some("debug" | "1") => "DEBUG",
            Some(number) if number.parse::<u32>().is_ok() => "TRACE",
            Some(_) => "INFO",
        };
        format!("all:{level}")
    }

    /// What lines look like.
    pub(crate) fn log_format(&self) -> logs::Format {
        match self.zap.zap_encoder.as_deref() {
            Some("json") => logs::Format::Json,
            _ => self.log.log_format,
        }
    }

    /// What the operator is to do.
    ///
    /// # Errors
    /// An address is none.
    pub(crate) fn settings(&self) -> Result<Settings> {
        let filter = self.label_filter.as_ref();
        let label_filter: Option<BTreeSet<String>> = filter.map(|keys| {
            keys.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect()
        });
        let defaults = gateway::Settings::default();
        let render = gateway::Settings {
            controller_name: self.controller_name.clone(),
            mode: match self.dataplane_mode {
                DataplaneMode::Managed => Mode::Managed,
                DataplaneMode::Legacy => Mode::Legacy,
            },
            relay_to_cluster_ip: self.relay_to_cluster_ip,
            endpoint_discovery: match (self.endpoint_discovery, self.disable_endpointslice_controller) {
                (false, _) => EndpointDiscovery::Dns,
                (true, true) => EndpointDiscovery::Endpoints,
                (true, false) => EndpointDiscovery::Slices,
            },
            cluster_domain: self.cluster_domain.clone(),
            reference_grants: self.reference_grants,
            await_dataplane: self.await_dataplane,
            discovery_address: self.advertised()?,
            discovery_security: self.security.discovery()?,
            dataplane_image: self.dataplane_image.clone(),
            label_filter: label_filter.unwrap_or(defaults.label_filter.clone()),
            ..defaults
        };
        Ok(Settings { render, debounce: self.throttle_timeout, finalize: self.enable_finalizer })
    }

    /// Where configurations are served.
    ///
    /// # Errors
    /// The address is none.
    pub(crate) fn discovery(&self) -> Result<SocketAddr> {
        let address = bind(&self.config_discovery_address, "--config-discovery-address")?;
        address.context("--config-discovery-address: configurations have to be served somewhere")
    }

    /// How configurations are served.
    ///
    /// # Errors
    /// The certificate cannot be used.
    pub(crate) fn security(&self, client: &Client) -> Result<serve::Security> {
        let flags = &self.security;
        let tls = match (&flags.config_discovery_tls_cert, &flags.config_discovery_tls_key) {
            (Some(certificate), Some(key)) => {
                let pair = cds::Tls::load(certificate.clone(), key.clone());
                Some(pair.context("--config-discovery-tls-cert, --config-discovery-tls-key")?)
            }
            _ => None,
        };
        let audience =
            flags.config_discovery_check_tokens.then(|| flags.config_discovery_token_audience.clone());
        Ok(serve::Security { tls, guard: audience.map(|audience| operator::guard(client.clone(), audience)) })
    }

    /// Where metrics are served, if anywhere.
    ///
    /// # Errors
    /// The address is none.
    pub(crate) fn metrics(&self) -> Result<Option<SocketAddr>> {
        bind(&self.metrics_bind_address, "--metrics-bind-address")
    }

    /// Where probes are answered, if anywhere.
    ///
    /// # Errors
    /// The address is none.
    pub(crate) fn probes(&self) -> Result<Option<SocketAddr>> {
        bind(&self.health_probe_bind_address, "--health-probe-bind-address")
    }

    /// Namespace of the lease, if one is to be held.
    ///
    /// # Errors
    /// Nobody says which namespace.
    pub(crate) fn lease_namespace(&self) -> Result<Option<String>> {
        if !self.leader_elect {
            return Ok(None);
        }
        let namespace = self.leader_election_namespace.clone().or_else(own_namespace);
        namespace
            .map(Some)
            .context("--leader-elect: no namespace for the lease; use --leader-election-namespace")
    }

    /// `host:port` that dataplanes are told.
    fn advertised(&self) -> Result<String> {
        let (_, port) = self.config_discovery_address.rsplit_once(':').with_context(|| {
            format!("--config-discovery-address: {:?} has no port; use :13478", self.config_discovery_address)
        })?;
        let host = match self.config_discovery_host.as_deref().filter(|host| !host.is_empty()) {
            Some(host) => host.to_owned(),
            None => {
                let namespace = own_namespace().unwrap_or_else(|| "stunner-system".to_owned());
                format!("{DISCOVERY}.{namespace}.svc.{}", self.cluster_domain)
            }
        };
        Ok(match host.parse::<std::net::Ipv6Addr>() {
            Ok(host) => format!("[{host}]:{port}"),
            Err(_) => format!("{host}:{port}"),
        })
    }
}

/// Namespace of the pod that this runs in.
fn own_namespace() -> Option<String> {
    let text = std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace").ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// An address as Go programs write it: the host may be left out, and 0 is none at all.
fn bind(text: &str, flag: &str) -> Result<Option<SocketAddr>> {
    if matches!(text, "0" | "") {
        return Ok(None);
    }
    let whole =
        if text.starts_with(':') { format!("[::]{text}") } else { text.replace("localhost:", "127.0.0.1:") };
    match whole.parse() {
        Ok(address) => Ok(Some(address)),
        Err(_) => bail!("{flag}: {text:?} is no address; use :PORT, ADDRESS:PORT or 0 for none"),
    }
}

/// A duration as Go programs write it.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; use 250ms, 1s or 1m");
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
    let number: f64 = text[..number_end].parse().map_err(|_| wrong())?;
    let unit = match &text[number_end..] {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Arguments {
        Arguments::try_parse_from(std::iter::once("stunner-operator").chain(line.split_whitespace())).unwrap()
    }

    #[test]
    fn the_arguments_of_the_chart_are_accepted() {
        let chart = "--health-probe-bind-address=:8081 --metrics-bind-address=127.0.0.1:8080 --leader-elect \
                     --leader-election-namespace=stunner-system --zap-encoder=json --zap-log-level=info \
                     --dataplane-mode=managed";
        let arguments = parse(chart);
        assert_eq!(arguments.probes().unwrap().unwrap().port(), 8081);
        assert_eq!(arguments.metrics().unwrap().unwrap(), "127.0.0.1:8080".parse().unwrap());
        assert_eq!(arguments.lease_namespace().unwrap().as_deref(), Some("stunner-system"));
        assert_eq!((arguments.log_spec().as_str(), arguments.log_format()), ("all:INFO", logs::Format::Json));
    }

    #[test]
    fn w27_an_unknown_mode_is_refused_and_a_known_one_has_no_case() {
        assert_eq!(parse("--dataplane-mode=LEGACY").settings().unwrap().render.mode, Mode::Legacy);
        assert!(Arguments::try_parse_from(["stunner-operator", "--dataplane-mode=auto"]).is_err());
    }

    #[test]
    fn endpoints_are_looked_up_where_the_flags_say() {
        let discovery = |line| parse(line).settings().unwrap().render.endpoint_discovery;
        assert_eq!(discovery(""), EndpointDiscovery::Slices);
        assert_eq!(discovery("--disable-endpontslice-controller"), EndpointDiscovery::Endpoints);
        assert_eq!(discovery("--disable-endpointslice-controller=true"), EndpointDiscovery::Endpoints);
        assert_eq!(discovery("--endpoint-discovery=false"), EndpointDiscovery::Dns);
    }

    #[test]
    fn w12_dataplanes_are_told_a_name_that_outlives_the_pod() {
        let address = |line| parse(line).settings().unwrap().render.discovery_address;
        assert_eq!(address(""), "stunner-config-discovery.stunner-system.svc.cluster.local:13478");
        assert_eq!(address("--config-discovery-host=10.1.2.3"), "10.1.2.3:13478");
        assert_eq!(address("--config-discovery-host=fd00::1 --config-discovery-address=:99"), "[fd00::1]:99");
    }

    #[test]
    fn durations_and_label_filters_are_read_as_go_does() {
        assert_eq!(
            parse("--throttle-timeout=1.5s").settings().unwrap().debounce,
            Duration::from_millis(1500)
        );
        assert!(Arguments::try_parse_from(["stunner-operator", "--throttle-timeout=soon"]).is_err());
        let filter = |line| parse(line).settings().unwrap().render.label_filter;
        assert_eq!(filter("").len(), 6);
        assert_eq!(filter("--label-filter=a,b"), ["a".to_owned(), "b".to_owned()].into());
        assert!(filter("--label-filter=").is_empty());
    }

    #[test]
    fn the_help_fits_80_columns() {
        assert_eq!(flags::too_wide::<Arguments>(), [""; 0]);
    }
}
