use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use gateway::{
    EndpointDiscovery, Mode, Rendered, RouteApi, Settings, Snapshot,
    api::ObjectRef,
    finalize,
    manifest::{self, ManifestError, Manifests},
    render,
    standalone::{self, Host},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A directory below `tests/golden`.
pub(crate) struct Case {
    directory: PathBuf,
    about: About,
    settings: Settings,
}

/// What `case.yaml` says. Everything but `about` has the defaults of a cluster.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    /// What the case shows.
    #[allow(dead_code, reason = "for readers")]
    about: String,
    /// Files of the repository to read besides those in `in`.
    #[serde(default)]
    include: Vec<PathBuf>,
    /// Render this directory first and keep the result for what is stale after it.
    before: Option<PathBuf>,
    /// Which outputs to look at; all if none are named.
    #[serde(default)]
    show: Vec<String>,
    /// Show statuses as the API has them.
    #[serde(default)]
    full_statuses: bool,
    /// Show workloads as they are created.
    #[serde(default)]
    full_workloads: bool,
    /// Render for one machine.
    host: Option<Machine>,
    /// Shut the operator down for good.
    #[serde(default)]
    finalize: bool,
    #[serde(default)]
    legacy: bool,
    endpoint_discovery: Option<String>,
    relay_to_cluster_ip: Option<bool>,
    reference_grants: Option<bool>,
    ready_condition: Option<bool>,
    discovery_address: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Machine {
    public_address: String,
    relay_addresses: Vec<IpAddr>,
}

/// Names of all cases.
pub(crate) fn directories() -> Vec<String> {
    let entries = fs::read_dir(root()).expect("cases").map(|entry| entry.expect("a case").path());
    let mut names: Vec<_> = entries.filter(|path| path.is_dir()).map(|path| name(&path)).collect();
    names.sort();
    names
}

impl Case {
    pub(crate) fn load(name: &str) -> Self {
        let directory = root().join(name);
        let text = fs::read_to_string(directory.join("case.yaml")).expect("a case.yaml");
        let about: About = serde_saphyr::from_str(&text).expect("a case.yaml that makes sense");
        let settings = about.settings();
        Self { directory, about, settings }
    }

    pub(crate) fn rendered(&self) -> Rendered {
        self.render(&self.read(&self.directory.join("in")).snapshot)
    }

    pub(crate) fn check(&self) {
        let manifests = self.read(&self.directory.join("in"));
        let rendered = self.render(&manifests.snapshot);
        for config in rendered.configs.values() {
            let read = config::Config::parse(&config.to_json(), &|name| Some(format!("${name}")));
            assert_eq!(read.as_ref(), Ok(config), "the configuration is not what dataplanes will read");
        }
        let outputs = [
            ("configs", configs(&rendered)),
            ("services", rendered.services.values().cloned().collect()),
            ("workloads", workloads(&rendered, self.about.full_workloads)),
            ("statuses", statuses(&rendered).into_iter().map(|status| self.status(status)).collect()),
            ("problems", problems(&manifests, &rendered)),
        ];
        let show =
            |name: &str| self.about.show.is_empty() || self.about.show.iter().any(|shown| shown == name);
        for (name, values) in outputs.into_iter().filter(|(name, _)| show(name)) {
            let text = manifest::documents(&values).replace(&format!("{}/", self.directory.display()), "");
            self.compare(&self.directory.join("out").join(name).with_extension("yaml"), &text);
        }
    }

    fn read(&self, directory: &Path) -> Manifests {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let included = self.about.include.iter().map(|file| repository.join(file));
        let own = directory.is_dir().then(|| directory.to_owned());
        manifest::load(included.chain(own))
    }

    fn render(&self, snapshot: &Snapshot) -> Rendered {
        let mut rendered = self.render_one(snapshot);
        if let Some(before) = &self.about.before {
            let before = self.render_one(&self.read(&self.directory.join(before)).snapshot);
            rendered.keep_last_good(&before, &self.settings);
        }
        rendered
    }

    fn render_one(&self, snapshot: &Snapshot) -> Rendered {
        match &self.about.host {
            _ if self.about.finalize => finalize(snapshot, &self.settings),
            None => render(snapshot, &self.settings),
            Some(machine) => {
                let host = Host {
                    public_address: machine.public_address.clone(),
                    relay_addresses: machine.relay_addresses.clone(),
                };
                render(&standalone::complete(snapshot, &self.settings, &host), &self.settings)
            }
        }
    }

    fn status(&self, status: Value) -> Value {
        if self.about.full_statuses { status } else { short(status) }
    }

    fn compare(&self, file: &Path, actual: &str) {
        if std::env::var_os("BLESS").is_some() {
            fs::create_dir_all(file.with_file_name("")).expect("a place for outputs");
            return fs::write(file, actual).expect("an output");
        }
        let expected = fs::read_to_string(file).unwrap_or_default();
        if expected == actual {
            return;
        }
        let differs =
            expected.lines().zip(actual.lines()).take_while(|(expected, actual)| expected == actual).count();
        let around =
            |text: &str| text.lines().skip(differs.saturating_sub(6)).take(14).collect::<Vec<_>>().join("\n");
        panic!(
            "{} differs from line {} on.\n--- expected\n{}\n--- actual\n{}\n---\nIf it is right, `make bless`.",
            file.display(),
            differs + 1,
            around(&expected),
            around(actual),
        );
    }
}

impl About {
    fn settings(&self) -> Settings {
        let default = if self.host.is_some() { Settings::one_host() } else { Settings::default() };
        Settings {
            mode: if self.legacy { Mode::Legacy } else { Mode::Managed },
            endpoint_discovery: match self.endpoint_discovery.as_deref() {
                None => EndpointDiscovery::Slices,
                Some("endpoints") => EndpointDiscovery::Endpoints,
                Some("dns") => EndpointDiscovery::Dns,
                Some(other) => panic!("no endpoint discovery {other:?}"),
            },
            relay_to_cluster_ip: self.relay_to_cluster_ip.unwrap_or(default.relay_to_cluster_ip),
            reference_grants: self.reference_grants.unwrap_or(default.reference_grants),
            ready_condition: self.ready_condition.unwrap_or(default.ready_condition),
            discovery_address: self.discovery_address.clone().unwrap_or(default.discovery_address.clone()),
            ..default
        }
    }
}

fn configs(rendered: &Rendered) -> Vec<Value> {
    rendered.configs.values().map(value).collect()
}

/// What is created, in full or by name, and what is deleted.
fn workloads(rendered: &Rendered, full: bool) -> Vec<Value> {
    let created = rendered.deployments.values().chain(rendered.daemon_sets.values());
    let name = |object: &Value, field| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let created = created.map(|object| {
        let kind = object["kind"].as_str().unwrap_or_default();
        let short = format!("{kind} {}/{}", name(object, "namespace"), name(object, "name"));
        if full { object.clone() } else { json!({"create": short}) }
    });
    let deleted = rendered.deletes.iter().map(|object| json!({"delete": object.to_string()}));
    created.chain(rendered.config_maps.values().cloned()).chain(deleted).collect()
}

/// Statuses as the API has them.
fn statuses(rendered: &Rendered) -> Vec<Value> {
    let named =
        |kind: &str, name: String, status: Value| json!({"kind": kind, "name": name, "status": status});
    let classes = rendered.gateway_classes.iter();
    let classes = classes.map(|(key, status)| named("GatewayClass", key.to_string(), value(status)));
    let gateways =
        rendered.gateways.iter().map(|(key, status)| named("Gateway", key.to_string(), value(status)));
    let routes = rendered.routes.iter().map(|(route, status)| {
        let kind = match route.api {
            RouteApi::Stunner => "UDPRoute",
            RouteApi::Gateway => "UDPRoute (Gateway API)",
        };
        named(kind, route.key.to_string(), value(status))
    });
    classes.chain(gateways).chain(routes).collect()
}

/// The same for reading: each condition on one line, and without what is the same everywhere.
fn short(mut status: Value) -> Value {
    shorten(&mut status);
    status
}

fn shorten(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("supportedKinds");
            fields.remove("controllerName");
            if let Some(Value::Array(conditions)) = fields.get_mut("conditions") {
                conditions.iter_mut().for_each(|condition| *condition = one_line(condition));
            }
            fields.values_mut().for_each(shorten);
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn one_line(condition: &Value) -> Value {
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    let generation = condition["observedGeneration"].as_i64();
    let generation = generation.map_or_else(String::new, |generation| format!(" @{generation}"));
    format!("{} {} {}{generation}: {}", text("type"), text("status"), text("reason"), text("message")).into()
}

fn problems(manifests: &Manifests, rendered: &Rendered) -> Vec<Value> {
    let mut all = BTreeMap::new();
    let texts = |items: Vec<String>| (!items.is_empty()).then(|| json!(items));
    let located = |errors: &[ManifestError]| {
        let line = |error: &ManifestError| error.line.map_or_else(String::new, |line| format!("{line}:"));
        errors.iter().map(|error| format!("{}:{} {}", name(&error.file), line(error), error.reason)).collect()
    };
    all.extend(texts(located(&manifests.errors)).map(|value| ("unreadable", value)));
    all.extend(texts(located(&manifests.warnings)).map(|value| ("without effect", value)));
    all.extend(texts(manifests.skipped.iter().cloned().collect()).map(|value| ("skipped", value)));
    all.extend(
        texts(rendered.problems.iter().map(ToString::to_string).collect()).map(|value| ("problems", value)),
    );
    let stale =
        rendered.stale.keys().map(|key| ObjectRef::to::<gateway::api::Gateway>(key.clone()).to_string());
    all.extend(texts(stale.collect()).map(|value| ("stale", value)));
    if all.is_empty() { Vec::new() } else { vec![json!(all)] }
}

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).expect("JSON")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
