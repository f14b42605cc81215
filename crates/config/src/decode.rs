//! Documents to configurations: spelling of keys, scalars for the type wanted, older versions of the schema.

use std::str::FromStr;

use crate::{
    Admin, Auth, AuthKind, Cluster, Config, Credentials, Error, LicenseConfig, Limits, Listener, Secret,
    Version,
    env::{self, Lookup},
    yaml::{self, Node},
};

pub(crate) fn document(text: &str, env: Lookup<'_>) -> Result<Config, Error> {
    let root = yaml::parse(text).map_err(|problem| {
        Error::new("", format!("cannot read the configuration: {problem}"), "write YAML or JSON")
    })?;
    if root == Node::Null {
        return Err(Error::new("", "the configuration is empty", "write YAML or JSON"));
    }
    Section::new(root, env)?.config()
}

/// A map of the document together with the environment to expand its texts from.
struct Section<'e> {
    entries: Vec<(String, Node)>,
    env: Lookup<'e>,
}

impl<'e> Section<'e> {
    /// An absent section is an empty one.
    fn new(node: Node, env: Lookup<'e>) -> Result<Self, Error> {
        match node {
            Node::Map(entries) => Ok(Self { entries, env }),
            Node::Null => Ok(Self { entries: Vec::new(), env }),
            other => Err(mismatch("a map", &other)),
        }
    }

    fn config(mut self) -> Result<Config, Error> {
        let version = self.version()?;
        Ok(Config {
            version,
            admin: self.section("admin", Self::admin)?,
            auth: self.section("auth", Self::auth)?,
            listeners: self.sections("listeners", Self::listener)?,
            clusters: self.sections("clusters", Self::cluster)?,
        })
    }

    /// The older version differs in the names of authentication types only, and those are accepted in both.
    fn version(&mut self) -> Result<Version, Error> {
        match self.text("version")?.as_str() {
            "v1" | "v1alpha1" => Ok(Version::V1),
            other => Err(Error::new(
                "version",
                format!("unsupported API version: {other:?}"),
                "use v1 or v1alpha1",
            )),
        }
    }

    fn admin(mut self) -> Result<Admin, Error> {
        Ok(Admin {
            name: self.text("name")?,
            loglevel: self.text("loglevel")?,
            metrics_endpoint: self.text("metrics_endpoint")?,
            healthcheck_endpoint: self.optional_text("healthcheck_endpoint")?,
            user_quota: u32::try_from(self.integer("user_quota")?.max(0)).unwrap_or(u32::MAX),
            offload_engine: self.named("offload_engine")?,
            offload_interfaces: self.texts("offload_interfaces")?,
            limits: self.section("limits", Self::limits)?,
            license_config: self.optional_section("license_config", Self::license)?,
        })
    }

    fn limits(mut self) -> Result<Limits, Error> {
        let mut limit = |key| {
            let number = self.integer(key)?;
            let problem =
                || Error::new(key, format!("not a limit: {number}"), "give a number from 0 to 65535");
            u16::try_from(number).map_err(|_| problem())
        };
        Ok(Limits {
            permissions: limit("permissions")?,
            channels: limit("channels")?,
            connections: limit("connections")?,
            allocations_per_address: limit("allocations_per_address")?,
            handshakes: limit("handshakes")?,
            handshakes_per_address: limit("handshakes_per_address")?,
        })
    }

    fn license(mut self) -> Result<LicenseConfig, Error> {
        Ok(LicenseConfig { key: self.text("key")?.into(), hmac: self.text("hmac")?.into() })
    }

    fn auth(mut self) -> Result<Auth, Error> {
        Ok(Auth {
            kind: self.named::<AuthKind>("type")?,
            realm: self.text("realm")?,
            credentials: self.section("credentials", Self::credentials)?,
        })
    }

    /// Credentials are taken literally: a `$` in a password is a `$`.
    fn credentials(self) -> Result<Credentials, Error> {
        let mut literal = Section { entries: self.entries, env: &env::empty };
        let mut take = |key: &str| match literal.take(key)? {
            Node::Null => Ok(None),
            node => scalar(node).map(|text| Some(Secret::new(text))).map_err(|error| error.within(key)),
        };
        Ok(Credentials {
            username: take("username")?,
            password: take("password")?,
            secret: take("secret")?,
            previous_username: take("previous_username")?,
            previous_password: take("previous_password")?,
            previous_secret: take("previous_secret")?,
        })
    }

    fn listener(mut self) -> Result<Listener, Error> {
        Ok(Listener {
            name: self.text("name")?,
            protocol: self.named("protocol")?,
            public_address: self.text("public_address")?,
            public_port: self.port("public_port")?,
            address: self.text("address")?,
            port: self.port("port")?,
            bind_address: self.optional_text("bind_address")?.filter(|address| !address.is_empty()),
            cert: self.text("cert")?,
            key: self.text("key")?.into(),
            relay_ports: self.optional_text("relay_ports")?.filter(|ports| !ports.is_empty()),
            additional_address: self
                .optional_text("additional_address")?
                .filter(|address| !address.is_empty()),
            icmp_errors: self.flag("icmp_errors")?,
            mobility: self.flag("mobility")?,
            nat_discovery: self.optional_text("nat_discovery")?.filter(|address| !address.is_empty()),
            alternate_server: self.optional_text("alternate_server")?.filter(|server| !server.is_empty()),
            routes: self.texts("routes")?,
        })
    }

    fn cluster(mut self) -> Result<Cluster, Error> {
        Ok(Cluster {
            name: self.text("name")?,
            kind: self.named("type")?,
            protocol: self.named("protocol")?,
            endpoints: self.texts("endpoints")?,
        })
    }

    /// The value of a key in any capitalisation; absent is null.
    fn take(&mut self, key: &str) -> Result<Node, Error> {
        let is_key = |(name, _): &(String, Node)| name.eq_ignore_ascii_case(key);
        let Some(at) = self.entries.iter().position(is_key) else { return Ok(Node::Null) };
        let (_, node) = self.entries.swap_remove(at);
        if self.entries.iter().any(is_key) {
            return Err(Error::new(key, format!("{key} is given twice"), "give it once, in lower case"));
        }
        Ok(node)
    }

    fn text(&mut self, key: &str) -> Result<String, Error> {
        Ok(self.optional_text(key)?.unwrap_or_default())
    }

    fn optional_text(&mut self, key: &str) -> Result<Option<String>, Error> {
        match self.take(key)? {
            Node::Null => Ok(None),
            node => self.expanded(node).map(Some).map_err(|error| error.within(key)),
        }
    }

    fn texts(&mut self, key: &str) -> Result<Vec<String>, Error> {
        let items = list(key, self.take(key)?)?;
        let text = |(at, node)| match node {
            Node::Null => Ok(String::new()),
            node => self.expanded(node).map_err(|error| error.within(&format!("{key}[{at}]"))),
        };
        items.into_iter().enumerate().map(text).collect()
    }

    fn expanded(&self, node: Node) -> Result<String, Error> {
        Ok(env::expand(&scalar(node)?, self.env).into_owned())
    }

    fn named<T: FromStr<Err = Error>>(&mut self, key: &str) -> Result<T, Error> {
        self.text(key)?.parse().map_err(|error: Error| error.within(key))
    }

    /// A number may come from the environment, but a text that was written as one is a mistake.
    fn integer(&mut self, key: &str) -> Result<i64, Error> {
        let digits = match self.take(key)? {
            Node::Null => return Ok(0),
            Node::Number(number) => number,
            Node::Text(text) if text.contains('$') => env::expand(&text, self.env).into_owned(),
            other => return Err(mismatch("a number", &other).within(key)),
        };
        if digits.is_empty() {
            return Ok(0);
        }
        digits
            .parse()
            .map_err(|_| Error::new(key, format!("not an integer: {digits:?}"), "give a whole number"))
    }

    fn flag(&mut self, key: &str) -> Result<bool, Error> {
        let problem = |found: String| Error::new(key, format!("expected true or false, found {found}"), "");
        match self.take(key)? {
            Node::Null => Ok(false),
            Node::Bool(value) => Ok(value),
            Node::Text(text) => match &*env::expand(&text, self.env) {
                "" | "false" => Ok(false),
                "true" => Ok(true),
                other => Err(problem(format!("{other:?}"))),
            },
            other => Err(problem(other.kind().to_owned())),
        }
    }

    fn port(&mut self, key: &str) -> Result<u16, Error> {
        let number = self.integer(key)?;
        u16::try_from(number)
            .map_err(|_| Error::new(key, format!("invalid port: {number}"), "give a number from 1 to 65535"))
    }

    fn section<T>(&mut self, key: &str, read: impl Fn(Self) -> Result<T, Error>) -> Result<T, Error> {
        let node = self.take(key)?;
        Self::new(node, self.env).and_then(read).map_err(|error| error.within(key))
    }

    fn optional_section<T>(
        &mut self,
        key: &str,
        read: impl Fn(Self) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match self.take(key)? {
            Node::Null => Ok(None),
            node => Self::new(node, self.env).and_then(read).map(Some).map_err(|error| error.within(key)),
        }
    }

    fn sections<T>(&mut self, key: &str, read: impl Fn(Self) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let items = list(key, self.take(key)?)?;
        let section = |(at, node)| {
            Self::new(node, self.env).and_then(&read).map_err(|error| error.within(&format!("{key}[{at}]")))
        };
        items.into_iter().enumerate().map(section).collect()
    }
}

fn list(key: &str, node: Node) -> Result<Vec<Node>, Error> {
    match node {
        Node::List(items) => Ok(items),
        Node::Null => Ok(Vec::new()),
        other => Err(mismatch("a list", &other).within(key)),
    }
}

fn scalar(node: Node) -> Result<String, Error> {
    match node {
        Node::Text(text) | Node::Number(text) => Ok(text),
        Node::Bool(value) => Ok(value.to_string()),
        other @ (Node::Null | Node::List(_) | Node::Map(_)) => Err(mismatch("text", &other)),
    }
}

fn mismatch(wanted: &str, found: &Node) -> Error {
    Error::new("", format!("expected {wanted}, found {}", found.kind()), "")
}
