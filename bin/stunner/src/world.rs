//! The files on disk and what they come to: the last state that was good, and how it differs from the one before.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::{Path, PathBuf},
};

use config::{Config, RELAY_ADDRESS_VARIABLE};
use gateway::{
    Overview, Problem, Rendered, Settings, Snapshot, Verdict,
    api::Truth,
    manifest::{self, ManifestError, Manifests},
    render,
    standalone::{self, Host},
};

/// Where objects come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Files and directories; their changes are followed.
    Files(Vec<PathBuf>),
    /// A text that came with the program.
    BuiltIn {
        /// What messages call it.
        name: &'static str,
        /// YAML.
        text: &'static str,
    },
}

/// Where the YAML is and which machine it is for.
#[derive(Debug, Clone)]
pub(crate) struct World {
    source: Source,
    host: Host,
    relay_address: IpAddr,
    settings: Settings,
    port: Option<u16>,
}

/// One reading of the files that could be used.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State {
    /// What the files come to.
    pub rendered: Rendered,
    /// The same as rows of a table.
    pub overview: Overview,
    /// Kinds that mean nothing here.
    pub skipped: BTreeSet<String>,
    /// Fields of the files that nobody reads.
    warnings: Vec<ManifestError>,
    /// What the dataplane could not use, by Gateway.
    refused: BTreeMap<String, String>,
}

impl State {
    /// Findings as text, in order.
    pub(crate) fn problems(&self) -> Vec<String> {
        let warnings = self.warnings.iter().map(ManifestError::to_string);
        let refused = self.refused.iter().map(|(gateway, problem)| {
            format!("Gateway {gateway}: {problem}; what ran of it runs on, and nothing of it has changed")
        });
        warnings.chain(self.rendered.problems.iter().map(Problem::to_string)).chain(refused).collect()
    }

    /// Puts back what was in force of Gateways whose configuration the dataplane could not use, and says so.
    pub(crate) fn keep_refused(&mut self, previous: &Self, refused: &BTreeMap<String, String>) {
        for (gateway, problem) in refused {
            match previous.rendered.configs.get(gateway) {
                Some(config) => self.rendered.configs.insert(gateway.clone(), config.clone()),
                None => self.rendered.configs.remove(gateway),
            };
            let verdict =
                Verdict { status: Truth::False, reason: "Invalid".to_owned(), message: problem.clone() };
            let row = self.overview.gateways.iter_mut().find(|row| row.gateway.to_string() == *gateway);
            if let Some(row) = row {
                row.listeners.iter_mut().for_each(|listener| listener.programmed.clone_from(&verdict));
                row.programmed = verdict;
            }
        }
        self.refused.clone_from(refused);
    }
}

impl World {
    /// `relay_address` is where relayed traffic comes from; clients are told `public_address`.
    pub(crate) fn new(source: Source, public_address: String, relay_address: IpAddr) -> Self {
        Self {
            source,
            host: Host { public_address, relay_addresses: vec![relay_address] },
            relay_address,
            settings: Settings::one_host(),
            port: None,
        }
    }

    /// Moves all listeners to `port`, whatever the files say.
    pub(crate) fn on_port(mut self, port: Option<u16>) -> Self {
        self.port = port;
        self
    }

    /// The files and directories to watch.
    pub(crate) fn files(&self) -> &[PathBuf] {
        match &self.source {
            Source::Files(files) => files,
            Source::BuiltIn { .. } => &[],
        }
    }

    /// Reads the files. Anything that cannot be read leaves the whole reading unused: half a configuration is a wrong one.
    ///
    /// # Errors
    /// Everything that could not be read, in the order of files and lines.
    pub(crate) fn read(&self, previous: &State) -> Result<State, Vec<ManifestError>> {
        let mut manifests = self.load();
        manifests.errors.extend(manifests.files.iter().filter_map(|file| unfinished(file)));
        if !manifests.errors.is_empty() {
            return Err(manifests.errors);
        }
        self.move_ports(&mut manifests.snapshot);
        let snapshot = standalone::complete(&manifests.snapshot, &self.settings, &self.host);
        let mut rendered = render(&snapshot, &self.settings);
        rendered.keep_last_good(&previous.rendered, &self.settings);
        let Manifests { skipped, warnings, .. } = manifests;
        let overview = rendered.overview(&snapshot);
        Ok(State { overview, rendered, skipped, warnings, refused: BTreeMap::new() })
    }

    /// Configurations as a pod would receive them: with its own address, and without health endpoints, of which this
    /// process has one for all Gateways.
    ///
    /// # Errors
    /// What came out is not valid.
    pub(crate) fn for_dataplane(&self, state: &State) -> Result<BTreeMap<String, Config>, config::Error> {
        let relay_address = self.relay_address.to_string();
        let env = |name: &str| RELAY_ADDRESS_VARIABLE.ends_with(name).then(|| relay_address.clone());
        let expanded = state.rendered.configs.iter().map(|(id, config)| {
            let mut config = config.expand(&env)?;
            config.admin.healthcheck_endpoint = Some(String::new());
            Ok((id.clone(), config))
        });
        expanded.collect()
    }

    fn load(&self) -> Manifests {
        match &self.source {
            Source::Files(files) => manifest::load(files),
            Source::BuiltIn { name, text } => {
                let mut manifests = manifest::parse(*name, text);
                manifests.files.clear();
                manifests
            }
        }
    }

    fn move_ports(&self, snapshot: &mut Snapshot) {
        let Some(port) = self.port else { return };
        for listener in snapshot.gateways.values_mut().flat_map(|gateway| &mut gateway.spec.listeners) {
            listener.port = port.into();
        }
    }
}

/// Editors empty a file before they write it. Taken at its word, such a file would end every call.
fn unfinished(file: &Path) -> Option<ManifestError> {
    (file.metadata().ok()?.len() == 0).then(|| ManifestError {
        file: file.to_owned(),
        line: None,
        reason: "is empty; to have no objects on purpose, leave a comment in it or remove it".to_owned(),
    })
}
