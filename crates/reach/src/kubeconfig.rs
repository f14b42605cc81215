//! From flags, variables and files to a client's configuration, as `kubectl` does it.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};

use crate::Error;

#[cfg(test)]
mod tests;

/// The name of what is made of flags alone.
const FLAGS: &str = "flags";

/// A client's configuration, and what led to it.
pub(crate) struct Chosen {
    pub(crate) config: kube::Config,
    pub(crate) origin: String,
    /// Longest time for one request.
    pub(crate) patience: Option<Duration>,
}

/// Reads what the flags and the environment name; nothing if they name nothing.
pub(crate) async fn read(flags: &flags::Kubernetes) -> Result<Option<Chosen>, Error> {
    let Some(origin) = origin(flags) else { return Ok(None) };
    let problem = |problem: String| Error::Kubeconfig { origin: origin.clone(), problem };
    let patience = duration(&flags.request_timeout)?;
    let kubeconfig = files(flags).map_err(problem)?;
    let (kubeconfig, options) = override_with(flags, kubeconfig);
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let mut config = config.map_err(|error| problem(error.to_string()))?;
    impersonate(flags, &mut config)?;
    config.read_timeout = None;
    Ok(Some(Chosen { config, origin, patience }))
}

/// What makes us believe that there is a cluster.
fn origin(flags: &flags::Kubernetes) -> Option<String> {
    if let Some(file) = &flags.kubeconfig {
        return Some(format!("--kubeconfig {}", file.display()));
    }
    let named = [("--context", &flags.context), ("--cluster", &flags.cluster), ("--server", &flags.server)];
    if let Some((flag, value)) = named.into_iter().find_map(|(flag, value)| Some((flag, value.as_ref()?))) {
        return Some(format!("{flag} {value}"));
    }
    if let Some(files) = variable("KUBECONFIG") {
        return Some(format!("KUBECONFIG={files}"));
    }
    let file = home_file()?;
    file.is_file().then(|| file.display().to_string())
}

/// The files of the kubeconfig, those first that win. Of a list, as `kubectl` has it, some may be missing.
fn files(flags: &flags::Kubernetes) -> Result<Kubeconfig, String> {
    let read = |path: &Path| Kubeconfig::read_from(path).map_err(|error| chain(&error));
    if let Some(file) = &flags.kubeconfig {
        return read(file);
    }
    let listed: Vec<PathBuf> = match variable("KUBECONFIG") {
        Some(list) => env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => home_file().into_iter().collect(),
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in listed.iter().filter(|path| path.exists()) {
        let next = read(path)?;
        merged = Some(match merged {
            None => next,
            Some(merged) => merged.merge(next).map_err(|error| chain(&error))?,
        });
    }
    match merged {
        Some(merged) => Ok(merged),
        None if flags.server.is_some() => Ok(Kubeconfig::default()),
        None => Err("no such file".to_owned()),
    }
}

/// What the flags say goes before what the files say.
fn override_with(flags: &flags::Kubernetes, mut kubeconfig: Kubeconfig) -> (Kubeconfig, KubeConfigOptions) {
    let context_name = flags.context.clone().or_else(|| kubeconfig.current_context.clone());
    let find = |name: &String| kubeconfig.contexts.iter().find(|context| context.name == *name);
    let context = context_name.as_ref().and_then(find).and_then(|named| named.context.clone());
    if context.is_none() && flags.context.is_none() && flags.server.is_some() {
        let all = Context { cluster: FLAGS.to_owned(), user: Some(FLAGS.to_owned()), ..Context::default() };
        let name = FLAGS.to_owned();
        kubeconfig.contexts.push(NamedContext { name, context: Some(all), ..NamedContext::default() });
        kubeconfig.current_context = Some(FLAGS.to_owned());
    }
    let context = context.unwrap_or_else(|| Context { cluster: FLAGS.to_owned(), ..Context::default() });
    let cluster_name = flags.cluster.clone().unwrap_or(context.cluster);
    let user_name = flags.user.clone().or(context.user).unwrap_or_else(|| FLAGS.to_owned());
    override_cluster(flags, cluster_of(&mut kubeconfig, &cluster_name, flags.server.is_some()));
    override_user(flags, user_of(&mut kubeconfig, &user_name));
    let options = KubeConfigOptions {
        context: flags.context.clone(),
        cluster: Some(cluster_name),
        user: Some(user_name),
    };
    (kubeconfig, options)
}

fn override_cluster(flags: &flags::Kubernetes, cluster: Option<&mut Cluster>) {
    let Some(cluster) = cluster else { return };
    if let Some(server) = &flags.server {
        let server = if server.contains("://") { server.clone() } else { format!("https://{server}") };
        cluster.server = Some(server);
    }
    if let Some(file) = &flags.certificate_authority {
        cluster.certificate_authority = Some(file.display().to_string());
        cluster.certificate_authority_data = None;
    }
    if flags.insecure_skip_tls_verify {
        cluster.insecure_skip_tls_verify = Some(true);
    }
    if let Some(name) = &flags.tls_server_name {
        cluster.tls_server_name = Some(name.clone());
    }
    if flags.disable_compression {
        cluster.disable_compression = Some(true);
    }
}

fn override_user(flags: &flags::Kubernetes, user: &mut AuthInfo) {
    if let Some(token) = &flags.token {
        *user = AuthInfo { token: Some(token.expose().to_owned().into()), ..AuthInfo::default() };
    }
    if let Some(file) = &flags.client_certificate {
        user.client_certificate = Some(file.display().to_string());
        user.client_certificate_data = None;
    }
    if let Some(file) = &flags.client_key {
        user.client_key = Some(file.display().to_string());
        user.client_key_data = None;
    }
    if let Some(name) = &flags.impersonate {
        user.impersonate = Some(name.clone());
    }
    if !flags.impersonate_groups.is_empty() {
        user.impersonate_groups = Some(flags.impersonate_groups.clone());
    }
}

/// What the client sends of impersonation is user and groups; the rest is headers.
fn impersonate(flags: &flags::Kubernetes, config: &mut kube::Config) -> Result<(), Error> {
    if let Some(uid) = flags.impersonate_uid.as_ref().or(config.auth_info.impersonate_uid.as_ref()) {
        let value = header_value("--as-uid", uid)?;
        config.headers.push((HeaderName::from_static("impersonate-uid"), value));
    }
    for pair in &flags.impersonate_extra {
        let wrong = |remedy| Error::Flag { flag: "--as-user-extra", value: pair.clone(), remedy };
        let (key, value) = pair.split_once('=').ok_or_else(|| wrong("write KEY=VALUE"))?;
        let name = HeaderName::try_from(format!("impersonate-extra-{key}").to_ascii_lowercase());
        let name = name.map_err(|_| wrong("use letters, digits and . - _ in KEY"))?;
        config.headers.push((name, header_value("--as-user-extra", value)?));
    }
    Ok(())
}

fn header_value(flag: &'static str, value: &str) -> Result<HeaderValue, Error> {
    let wrong = |_| Error::Flag { flag, value: value.to_owned(), remedy: "use visible ASCII characters" };
    HeaderValue::from_str(value).map_err(wrong)
}

/// The cluster of that name; made if it may be made of flags alone.
fn cluster_of<'k>(kubeconfig: &'k mut Kubeconfig, name: &str, create: bool) -> Option<&'k mut Cluster> {
    let clusters = &mut kubeconfig.clusters;
    let place = match clusters.iter().position(|cluster| cluster.name == name) {
        Some(place) => place,
        None if create => {
            clusters.push(NamedCluster { name: name.to_owned(), ..NamedCluster::default() });
            clusters.len() - 1
        }
        None => return None,
    };
    Some(clusters[place].cluster.get_or_insert_default())
}

fn user_of<'k>(kubeconfig: &'k mut Kubeconfig, name: &str) -> &'k mut AuthInfo {
    let users = &mut kubeconfig.auth_infos;
    let place = users.iter().position(|user| user.name == name).unwrap_or_else(|| {
        users.push(NamedAuthInfo { name: name.to_owned(), ..NamedAuthInfo::default() });
        users.len() - 1
    });
    users[place].auth_info.get_or_insert_default()
}

/// A duration as `kubectl` takes it: `0`, a number of seconds, or numbers with units.
pub(crate) fn duration(text: &str) -> Result<Option<Duration>, Error> {
    let wrong = || Error::Flag {
        flag: "--request-timeout",
        value: text.to_owned(),
        remedy: "write 5s, 1m30s or 500ms, or 0 to wait for ever",
    };
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, unit) = rest.split_at(number_end);
        let unit_end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let factor = match &unit[..unit_end] {
            "ms" => 1e-3,
            "s" => 1.0,
            "" if rest == text => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        seconds += number.parse::<f64>().map_err(|_| wrong())? * factor;
        rest = &unit[unit_end..];
    }
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    Ok(Some(duration).filter(|duration| !duration.is_zero()))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn home_file() -> Option<PathBuf> {
    Some(Path::new(&variable("HOME")?).join(".kube").join("config"))
}

/// An error with its causes, each once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}
