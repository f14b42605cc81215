//! The plain manifests in the repository are what the chart renders. `make manifests` writes them.

use install::{Helm, bless};

#[test]
fn the_manifests_in_the_repository_are_those_of_the_chart() {
    let Some(helm) = Helm::find() else { return };
    for profile in ["managed", "legacy", "tutorial-0.15"] {
        let text = helm.text(&[&Helm::profile(&format!("{profile}.yaml"))]);
        let text = without_helm(&text);
        let mut wanted = format!(
            "# Rendered from deploy/helm/stunner with the profile {profile} by `make manifests`: change the chart instead.\n\
             # docs/install.md says how to apply it.\n"
        );
        wanted += SYSTEM_NAMESPACE;
        wanted += &text;
        bless(&format!("deploy/manifests/{profile}.yaml"), &wanted);
    }
}

/// Helm makes the namespace of a release itself; kubectl does not.
const SYSTEM_NAMESPACE: &str = "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: stunner-system\n";

/// Without the labels and comments that only mean something to Helm.
fn without_helm(text: &str) -> String {
    let of_helm = [
        "# Source: ",
        "helm.sh/chart: ",
        "app.kubernetes.io/managed-by: Helm",
        "app.kubernetes.io/instance: ",
    ];
    let lines = text.lines().filter(|line| !of_helm.iter().any(|start| line.trim_start().starts_with(start)));
    lines.map(|line| format!("{line}\n")).collect()
}
