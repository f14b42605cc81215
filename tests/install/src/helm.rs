use std::{path::PathBuf, process::Output};

use kit::Part;

use crate::objects::{Objects, parse};

/// The chart, from the root of the repository.
pub const CHART: &str = "deploy/helm/stunner";

/// Helm, with a home of its own: nothing of the user's is read, nothing is left behind.
#[derive(Debug)]
pub struct Helm {
    part: Part,
    home: tempfile::TempDir,
}

impl Helm {
    /// Helm, if it is here.
    #[track_caller]
    pub fn find() -> Option<Self> {
        Some(Self { part: kit::need("helm")?, home: kit::temp_dir() })
    }

    /// Runs Helm at the root of the repository.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        let mut command = self.part.command("helm");
        command.current_dir(kit::workspace()).args(arguments);
        for (variable, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, self.home.path().join(folder));
        }
        command.env("KUBECONFIG", self.home.path().join("none"));
        command.output().expect("helm runs")
    }

    /// Renders the chart as a release of this name, for a cluster that is not asked.
    pub fn render(&self, release: &str, more: &[&str]) -> Output {
        // A Helm that was built without its Makefile takes an unknown cluster for an old one.
        let fixed = ["template", release, CHART, "--namespace=stunner-system", "--kube-version=1.34.0"];
        self.run(fixed.iter().chain(more))
    }

    /// The text of the chart rendered as an installation into stunner-system, without definitions of kinds; `more` are
    /// arguments such as `--set=KEY=VALUE`.
    pub fn text(&self, more: &[&str]) -> String {
        let output = self.render("stunner", more);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "helm template {more:?}: {error}");
        String::from_utf8(output.stdout).expect("YAML is UTF-8")
    }

    /// The objects of the chart rendered as by [`Helm::text`].
    pub fn template(&self, more: &[&str]) -> Objects {
        Objects::new(parse(&self.text(more)))
    }

    /// What Helm says to values that it has to refuse.
    pub fn refusal(&self, more: &[&str]) -> String {
        let output = self.render("stunner", more);
        assert!(!output.status.success(), "helm template {more:?} was not refused");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The argument that chooses a profile of the chart.
    pub fn profile(name: &str) -> String {
        format!("--values={}", PathBuf::from(CHART).join("profiles").join(name).display())
    }
}
