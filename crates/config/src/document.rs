use serde::Serialize;

use crate::{
    Admin, Auth, AuthKind, Cluster, Credentials, DEFAULT_REALM, Error, Listener, Secret, decode, env,
    validate::{self, Certificates},
    wire,
};

/// Configuration of one gateway.
///
/// Serialises to the JSON documents of config discovery, byte for byte ([`Config::to_json`]). Comparing two
/// configurations makes sense between validated ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Version of the schema; older documents are converted when read.
    pub version: Version,
    /// Settings of the process as a whole.
    pub admin: Admin,
    /// How clients prove who they are.
    pub auth: Auth,
    /// Ports that clients connect to, in the order given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<Listener>,
    /// Peers that clients may be relayed to, in the order given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<Cluster>,
}

/// Version of the schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
pub enum Version {
    /// The only one in use.
    #[default]
    #[serde(rename = "v1")]
    V1,
}

impl Config {
    /// Reads a document in YAML or JSON, of this version of the schema or of `v1alpha1`, and validates it.
    ///
    /// Keys match in any capitalisation and unknown ones are ignored. Texts other than credentials may name variables
    /// of `env` (see [`env::expand`]).
    ///
    /// # Errors
    /// The document is neither YAML nor JSON, is too large, or [`Config::validate`] refuses what it says.
    pub fn parse(text: &str, env: env::Lookup<'_>) -> Result<Self, Error> {
        decode::document(text, env)?.validate()
    }

    /// Does the same for somebody who tells clients where listeners are but is none: without the certificates and keys
    /// of TLS, which are left out, and need not be any good.
    ///
    /// # Errors
    /// Those of [`Config::parse`], except for what concerns certificates.
    pub fn parse_without_certificates(text: &str, env: env::Lookup<'_>) -> Result<Self, Error> {
        let mut config = decode::document(text, env)?;
        for listener in &mut config.listeners {
            listener.cert = String::new();
            listener.key = Secret::default();
        }
        validate::normalise(config, Certificates::Whatever)
    }

    /// Replaces variables in all texts but credentials, and validates the result.
    ///
    /// # Errors
    /// What came out is not valid.
    pub fn expand(&self, env: env::Lookup<'_>) -> Result<Self, Error> {
        let mut config = self.clone();
        config.for_each_text(&mut |text| {
            if text.contains('$') {
                *text = env::expand(text, env).into_owned();
            }
        });
        for listener in &mut config.listeners {
            listener.key = env::expand(listener.key.expose(), env).into_owned().into();
        }
        config.validate()
    }

    /// The document as config discovery sends it: one line of JSON without a line break at the end.
    pub fn to_json(&self) -> String {
        wire::json(self)
    }

    /// The document as YAML for people to read: all keys sorted.
    pub fn to_yaml(&self) -> String {
        wire::yaml(self)
    }

    /// Brings a configuration to its normal form: defaults filled in, canonical spellings, lists that have no order
    /// sorted. Validating twice changes nothing.
    ///
    /// # Errors
    /// The first thing that no dataplane could work with, in the order admin, auth, listeners, clusters.
    pub fn validate(self) -> Result<Self, Error> {
        validate::normalise(self, Certificates::Loadable)
    }

    /// The configuration of gateway `id` when there is none: nobody can connect. Discovery sends it to say that a
    /// gateway is gone, and a dataplane starts from it.
    pub fn zero(id: &str) -> Self {
        Self {
            version: Version::V1,
            admin: Admin {
                name: if id.is_empty() { crate::DEFAULT_NAME.to_owned() } else { id.to_owned() },
                loglevel: crate::DEFAULT_LOGLEVEL.to_owned(),
                healthcheck_endpoint: Some(crate::DEFAULT_HEALTHCHECK_ENDPOINT.to_owned()),
                ..Admin::default()
            },
            auth: Auth {
                kind: AuthKind::Static,
                realm: DEFAULT_REALM.to_owned(),
                credentials: Credentials::for_user("dummy-username", "dummy-password"),
            },
            listeners: Vec::new(),
            clusters: Vec::new(),
        }
    }

    /// The document that says that gateway `id` is gone: [`Config::zero`] without what validation fills in.
    pub fn zero_json(id: &str) -> String {
        wire::zero_json(id)
    }

    /// Whether this (validated) configuration says that its gateway is gone.
    pub fn is_deleted(&self) -> bool {
        *self == Self::zero(&self.admin.name)
    }

    /// Whether this (validated) configuration is the one a dataplane starts from, whatever its log level.
    pub fn is_bootstrap(&self) -> bool {
        let zero = Self::zero(&self.admin.name);
        Self { admin: Admin { loglevel: zero.admin.loglevel.clone(), ..self.admin.clone() }, ..self.clone() }
            == zero
    }

    /// Visits every text that may name variables.
    fn for_each_text(&mut self, visit: &mut dyn FnMut(&mut String)) {
        let Self { version: _, admin, auth, listeners, clusters } = self;
        visit(&mut admin.name);
        visit(&mut admin.loglevel);
        visit(&mut admin.metrics_endpoint);
        admin.healthcheck_endpoint.iter_mut().for_each(&mut *visit);
        admin.offload_interfaces.iter_mut().for_each(&mut *visit);
        visit(&mut auth.realm);
        for listener in listeners {
            visit(&mut listener.name);
            visit(&mut listener.public_address);
            visit(&mut listener.address);
            listener.bind_address.iter_mut().for_each(&mut *visit);
            listener.additional_address.iter_mut().for_each(&mut *visit);
            listener.nat_discovery.iter_mut().for_each(&mut *visit);
            visit(&mut listener.cert);
            listener.routes.iter_mut().for_each(&mut *visit);
        }
        for cluster in clusters {
            visit(&mut cluster.name);
            cluster.endpoints.iter_mut().for_each(&mut *visit);
        }
    }
}
