//! Texts as configurations.

use config::Config;

use crate::path_of;

/// Keys, values and marks of configurations.
pub const WORDS: &[&[u8]] = &[
    b"version: v1\n",
    b"version: v1alpha1\n",
    b"admin: { name: a }\n",
    b"auth: { type: static, credentials: { username: u, password: p } }\n",
    b"auth: { type: ephemeral, credentials: { secret: s } }\n",
    b"listeners: [ { name: l, protocol: TURN-UDP, port: 3478, routes: [c] } ]\n",
    b"clusters: [ { name: c, type: STATIC, endpoints: [ \"10.0.0.0/8:<1-2>\" ] } ]\n",
    b"type: STRICT_DNS",
    b"${STUNNER_ADDR}",
    b"$",
    b"&a",
    b"*a",
    b"<<: ",
    b"? ",
    b"!!binary ",
    b"\n  ",
    b": ",
    b"- ",
    b"|-\n",
    b"\"\\u0000\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b"0x1f",
    b"99999999999999999999",
    b"~",
];

/// Reading a text ends in a configuration or an error that says where; and a configuration is what it says of itself.
pub fn yaml(bytes: &[u8]) -> u64 {
    let Ok(text) = str::from_utf8(bytes) else { return 0 };
    let environment = |name: &str| (name.len() < 5).then(|| "10.0.0.1".to_owned());
    read(Config::parse(text, &environment), &environment)
}

/// What holds for a configuration that was read.
pub(crate) fn read(
    parsed: Result<Config, config::Error>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> u64 {
    match parsed {
        Err(error) => {
            let mut text = error.to_string();
            text.retain(|letter| letter.is_ascii_lowercase());
            path_of(&text.get(..text.len().min(40)))
        }
        Ok(config) => {
            let again = config.clone().validate().unwrap();
            assert_eq!(again, config, "validating twice changes something");
            for document in [config.to_json(), config.to_yaml()] {
                let copy = Config::parse(&document, &|_| None);
                let is_literal = !document.contains('$');
                assert!(
                    !is_literal || copy.as_ref().is_ok_and(|copy| *copy == config),
                    "{document}: {copy:?}"
                );
            }
            let _ = config.expand(environment);
            let _ = config.is_deleted() || config.is_bootstrap();
            let uris: usize = config.listeners.iter().map(|listener| listener.uri().len()).sum();
            let endpoints: usize = config.clusters.iter().map(|cluster| cluster.endpoints.len().min(3)).sum();
            let _ = format!("{config:?}");
            path_of(&(config.listeners.len().min(3), config.clusters.len().min(3), endpoints, uris % 16))
        }
    }
}
