use config::{Auth, AuthKind, Credentials, DEFAULT_REALM};

use super::world::{World, fatal};
use crate::{
    Finding, Problem,
    api::{GatewayConfig, Key, ObjectRef, Secret, SecretRef, SecretText},
};

/// How clients of the Gateways of a GatewayConfig prove who they are.
///
/// Without it no listener can be used, so that whatever is wrong here makes the Gateways stale.
pub(super) fn auth(world: &World<'_>, config: &GatewayConfig) -> Result<Auth, Box<Problem>> {
    let realm = config.spec.realm.clone().unwrap_or_else(|| DEFAULT_REALM.to_owned());
    let (kind, credentials) = if config.spec.stun_mode == Some(true) {
        (AuthKind::None, Credentials::default())
    } else if let Some(reference) = &config.spec.auth_ref {
        external(world, config, reference).map_err(|finding| fatal(config, "spec.authRef", finding))?
    } else {
        inline(config).map_err(|(field, finding)| fatal(config, field, finding))?
    };
    Ok(Auth { kind, realm, credentials })
}

fn inline(config: &GatewayConfig) -> Result<(AuthKind, Credentials), (&'static str, Finding)> {
    let spec = &config.spec;
    let name = spec.auth_type.as_deref().unwrap_or("static");
    let kind = parse(name).filter(|kind| *kind != AuthKind::None);
    let kind = kind.ok_or_else(|| ("spec.authType", Finding::UnknownAuthType(name.to_owned())))?;
    let expose = |field: &'_ Option<SecretText>| field.as_ref().map(|text| text.0.expose().to_owned());
    let credentials = match kind {
        AuthKind::Static => pair(spec.user_name.clone(), expose(&spec.password), ["userName", "password"]),
        AuthKind::Ephemeral => {
            expose(&spec.shared_secret).map(Credentials::shared_secret).ok_or_else(|| vec!["sharedSecret"])
        }
        AuthKind::None => Ok(Credentials::default()),
    };
    match credentials {
        Ok(credentials) => Ok((kind, credentials)),
        Err(missing) => Err(("spec", Finding::MissingCredentials { kind: kind.as_str(), missing })),
    }
}

fn external(
    world: &World<'_>,
    config: &GatewayConfig,
    reference: &SecretRef,
) -> Result<(AuthKind, Credentials), Finding> {
    let key = secret_key(reference, &config.metadata.namespace)?;
    world.permits::<Secret>(&ObjectRef::of(config), &key)?;
    let secret = world.snapshot.secrets.get(&key).ok_or_else(|| Finding::MissingSecret(key.clone()))?;
    let name = text(secret, "type")?.unwrap_or_else(|| "static".to_owned());
    let Some(kind) = parse(&name) else {
        return Err(Finding::UnknownAuthType(name));
    };
    let credentials = match kind {
        AuthKind::Static => {
            pair(text(secret, "username")?, text(secret, "password")?, ["username", "password"])
        }
        AuthKind::Ephemeral => {
            let shared = text(secret, "secret")?.or(text(secret, "sharedSecret")?);
            shared.map(Credentials::shared_secret).ok_or_else(|| vec!["secret"])
        }
        AuthKind::None => Ok(Credentials::default()),
    };
    let credentials = credentials.map_err(|missing| Finding::IncompleteSecret { secret: key, missing })?;
    let previous = |key| text(secret, key).map(|text| text.map(config::Secret::new));
    let credentials = match kind {
        AuthKind::Static => Credentials {
            previous_username: previous("previous_username")?,
            previous_password: previous("previous_password")?,
            ..credentials
        },
        AuthKind::Ephemeral => Credentials { previous_secret: previous("previous_secret")?, ..credentials },
        AuthKind::None => credentials,
    };
    Ok((kind, credentials))
}

/// The Secret that a reference names, for an object in `namespace`.
pub(super) fn secret_key(reference: &SecretRef, namespace: &str) -> Result<Key, Finding> {
    let group = reference.group.as_deref().unwrap_or_default();
    let kind = reference.kind.as_deref().unwrap_or("Secret");
    if !matches!(group, "" | "v1") || kind != "Secret" {
        return Err(Finding::ForeignSecretRef { group: group.to_owned(), kind: kind.to_owned() });
    }
    Ok(Key::new(reference.namespace.as_deref().unwrap_or(namespace), &reference.name))
}

/// Unlike in configurations there is no default here: an empty type is a mistake.
fn parse(name: &str) -> Option<AuthKind> {
    if name.is_empty() { None } else { name.parse().ok() }
}

/// User name and password, or the `fields` that are missing.
fn pair(
    user: Option<String>,
    password: Option<String>,
    fields: [&'static str; 2],
) -> Result<Credentials, Vec<&'static str>> {
    match (user, password) {
        (Some(user), Some(password)) => Ok(Credentials::for_user(user, password)),
        (None, Some(_)) => Err(vec![fields[0]]),
        (Some(_), None) => Err(vec![fields[1]]),
        (None, None) => Err(fields.to_vec()),
    }
}

fn text(secret: &Secret, key: &'static str) -> Result<Option<String>, Finding> {
    let binary = || Finding::BinarySecret { secret: secret.metadata.key(), key };
    secret.get(key).map(|bytes| str::from_utf8(bytes).map(str::to_owned).map_err(|_| binary())).transpose()
}
