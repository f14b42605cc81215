//! What each option of coturn means here.

use std::fmt;

use super::ranges::{Range, Ranges};

/// What the objects are called.
pub(crate) struct Names {
    pub(crate) name: String,
    pub(crate) namespace: String,
}

/// A configuration of coturn, understood.
#[derive(Debug)]
pub(crate) struct Conversion {
    pub(super) port: u16,
    pub(super) tls_port: u16,
    pub(super) has_udp: bool,
    pub(super) has_tcp: bool,
    pub(super) has_tls: bool,
    pub(super) has_dtls: bool,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) realm: Option<String>,
    pub(super) user: Option<(String, String)>,
    pub(super) secret: Option<String>,
    pub(super) user_quota: Option<u32>,
    pub(super) log_level: Option<&'static str>,
    pub(super) external_ip: Option<String>,
    pub(super) relay_ip: Option<String>,
    allowed: Vec<Range>,
    denied: Vec<Range>,
    left_out: Vec<LeftOut>,
}

/// An option that has no place in the YAML.
#[derive(Debug)]
pub(crate) struct LeftOut {
    pub(super) line: usize,
    pub(super) option: String,
    pub(super) why: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.line, self.option, self.why)
    }
}

/// What becomes of an option.
pub(super) enum Fate {
    /// It has a place.
    Carried,
    /// It asks for what is so anyway.
    AlreadySo,
    /// It has none, for this reason.
    LeftOut(String),
}

impl Default for Conversion {
    fn default() -> Self {
        Self {
            port: 3478,
            tls_port: 5349,
            has_udp: true,
            has_tcp: true,
            has_tls: true,
            has_dtls: true,
            certificate: None,
            key: None,
            realm: None,
            user: None,
            secret: None,
            user_quota: None,
            log_level: None,
            external_ip: None,
            relay_ip: None,
            allowed: Vec::new(),
            denied: Vec::new(),
            left_out: Vec::new(),
        }
    }
}

impl Conversion {
    /// Reads a configuration file.
    pub(crate) fn read(text: &str) -> Self {
        let mut conversion = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (option, value) = match line.split_once(|c: char| c == '=' || c.is_whitespace()) {
                Some((option, value)) => (option, value.trim_matches([' ', '\t', '=', '"'])),
                None => (line, ""),
            };
            if let Fate::LeftOut(why) = conversion.take(option, value) {
                conversion.left_out.push(LeftOut { line: number, option: option.to_owned(), why });
            }
        }
        conversion
    }

    /// The options that have no place.
    pub(crate) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Whom clients may reach: everybody but those denied, and those allowed in any case.
    pub(super) fn prefixes(&self) -> Vec<String> {
        let mut reachable = Ranges::everything();
        for range in &self.denied {
            reachable.remove(*range);
        }
        for range in &self.allowed {
            reachable.add(*range);
        }
        reachable.prefixes()
    }

    /// Takes an option, and says what became of it.
    pub(super) fn take(&mut self, option: &str, value: &str) -> Fate {
        if let Some(fate) = self.take_carried(option, value) {
            return fate;
        }
        if ALREADY_SO.contains(&option) {
            return Fate::AlreadySo;
        }
        match LEFT_OUT.iter().find(|(names, _)| names.contains(&option)) {
            Some((_, why)) => Fate::LeftOut((*why).to_owned()),
            None => Fate::LeftOut("not an option that is known here".to_owned()),
        }
    }

    /// Takes an option that has a place, `None` if it is none.
    fn take_carried(&mut self, option: &str, value: &str) -> Option<Fate> {
        match option {
            "listening-port" => return Some(number(value, &mut self.port)),
            "tls-listening-port" => return Some(number(value, &mut self.tls_port)),
            "no-udp" => self.has_udp = false,
            "no-tcp" => self.has_tcp = false,
            "no-tls" => self.has_tls = false,
            "no-dtls" => self.has_dtls = false,
            "cert" => self.certificate = Some(value.to_owned()),
            "pkey" => self.key = Some(value.to_owned()),
            "realm" => self.realm = Some(value.to_owned()),
            "user" => return Some(self.take_user(value)),
            "static-auth-secret" if self.secret.is_some() => {
                return Some(left_out("only the first secret is carried: a gateway has one"));
            }
            "static-auth-secret" => self.secret = Some(value.to_owned()),
            "user-quota" => {
                let mut quota = 0;
                let fate = number(value, &mut quota);
                // For coturn 0 is no limit; so it is here, by saying nothing.
                self.user_quota = Some(quota).filter(|quota| *quota > 0);
                return Some(fate);
            }
            "verbose" => self.log_level = self.log_level.or(Some("all:DEBUG")),
            "Verbose" => self.log_level = Some("all:TRACE"),
            "external-ip" => self.external_ip = Some(value.to_owned()),
            "relay-ip" => self.relay_ip = Some(value.to_owned()),
            "allowed-peer-ip" | "denied-peer-ip" => {
                let Some(range) = Range::parse(value) else {
                    return Some(left_out("not a range of addresses"));
                };
                if option == "allowed-peer-ip" { self.allowed.push(range) } else { self.denied.push(range) }
            }
            "allow-loopback-peers" => {
                self.allowed.extend(["127.0.0.0-127.255.255.255", "::1"].map(Range::known));
            }
            _ => return None,
        }
        Some(Fate::Carried)
    }

    fn take_user(&mut self, value: &str) -> Fate {
        let Some((name, password)) = value.split_once(':') else { return left_out("not NAME:PASSWORD") };
        if password.starts_with("0x") {
            return left_out("a key cannot be turned back into the password; write the password");
        }
        if self.user.is_some() {
            return left_out(
                "a gateway has one user: let applications ask the authentication service for credentials",
            );
        }
        self.user = Some((name.to_owned(), password.to_owned()));
        Fate::Carried
    }
}

fn left_out(why: &str) -> Fate {
    Fate::LeftOut(why.to_owned())
}

fn number<N: std::str::FromStr>(value: &str, into: &mut N) -> Fate {
    match value.parse() {
        Ok(number) => {
            *into = number;
            Fate::Carried
        }
        Err(_) => Fate::LeftOut(format!("{value:?} is not a number that fits here")),
    }
}

/// What is so without being asked for.
const ALREADY_SO: &[&str] = &[
    "fingerprint",
    "lt-cred-mech",
    "use-auth-secret",
    "stale-nonce",
    "no-multicast-peers",
    "no-cli",
    "no-rfc5780",
    "no-stun-backward-compatibility",
    "response-origin-only-with-rfc5780",
    "no-software-attribute",
    "no-tcp-relay",
    "no-tlsv1",
    "no-tlsv1_1",
    "no-stdout-log",
    "simple-log",
    "new-log-timestamp",
    "prometheus",
];

/// What has no place, and why.
const LEFT_OUT: &[(&[&str], &str)] = &[
    (
        &["listening-ip", "listening-device", "relay-device"],
        "listeners are on all addresses of the machine; keep others out with a firewall",
    ),
    (
        &["alt-listening-port", "alt-tls-listening-port", "rfc5780"],
        "NAT behaviour discovery (RFC 5780) is not offered",
    ),
    (
        &["min-port", "max-port"],
        "relay ports are those that the kernel gives out: set net.ipv4.ip_local_port_range",
    ),
    (
        &["aux-server", "tcp-proxy-port", "udp-self-balance"],
        "one listener a port: add listeners to the Gateway instead",
    ),
    (
        &["alternate-server", "tls-alternate-server"],
        "clients are not sent elsewhere: put a load balancer before several gateways",
    ),
    (&["no-auth"], "nobody is served without credentials: a relay for everybody is a weapon"),
    (&["oauth"], "third-party authorisation (RFC 7635) is not supported"),
    (
        &[
            "userdb",
            "db",
            "psql-userdb",
            "sql-userdb",
            "mysql-userdb",
            "mongo-userdb",
            "redis-userdb",
            "redis-statsdb",
            "secret-key-file",
        ],
        "no database of users: the authentication service hands out credentials that expire",
    ),
    (&["total-quota"], "quotas are per user only"),
    (&["max-bps", "bps-capacity"], "bandwidth is not limited"),
    (
        &["max-allocate-lifetime", "max-allocate-timeout", "channel-lifetime", "permission-lifetime"],
        "lifetimes are those of RFC 8656: 600 s unless the client asks for more, up to 3600 s",
    ),
    (&["mobility"], "mobility (RFC 8016) is not offered"),
    (&["no-udp-relay"], "UDP is what a gateway relays; to relay nothing, leave out the route"),
    (
        &["allocation-default-address-family", "keep-address-family"],
        "clients get IPv4 unless they ask for another family",
    ),
    (&["relay-threads"], "there is one worker a core"),
    (&["stun-only", "no-stun", "secure-stun"], "Binding is answered without credentials, and TURN with them"),
    (&["server-name", "check-origin-consistency"], "the realm is the same whatever name the client used"),
    (&["server-relay"], "relaying to itself is allowed by a route that contains the relay's own address"),
    (
        &["cipher-list", "dh-file", "dh566", "dh1066", "dh2066", "ec-curve-name", "no-tlsv1_2", "no-tlsv1_3"],
        "TLS 1.2 and 1.3 with the current choice of ciphers; there is nothing to choose",
    ),
    (&["CA-file"], "clients are not asked for certificates"),
    (&["pkey-pwd"], "keys in Secrets are not encrypted: decrypt it with openssl pkey"),
    (&["acme-redirect"], "plain HTTP is not answered: let another program have port 80"),
    (
        &[
            "log-file",
            "syslog",
            "syslog-facility",
            "new-log-timestamp-format",
            "log-binding",
            "pidfile",
            "proc-user",
            "proc-group",
        ],
        "logs go to standard output; user, log file and process id are the service manager's",
    ),
    (
        &["cli-ip", "cli-port", "cli-password", "cli-max-output-sessions"],
        "there is no command line on a port: see the status and metrics pages, and stunnerctl",
    ),
    (
        &[
            "web-admin",
            "web-admin-ip",
            "web-admin-port",
            "web-admin-listen-on-workers",
            "prometheus-port",
            "prometheus-username-labels",
        ],
        "there is no page to administer: objects are; metrics and status have ports of their own",
    ),
    (&["ne"], "fewer threads than there are cores are an option of the program, not of the gateway"),
];
