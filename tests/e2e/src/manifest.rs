use std::fmt;

/// A file of Kubernetes objects, to be changed as with an editor.
#[derive(Clone, Debug)]
pub struct Manifest {
    documents: Vec<String>,
}

impl Manifest {
    /// The tutorial's, as it is in the repository.
    pub fn tutorial() -> Self {
        Self::read("docs/examples/direct-one2one-call/direct-one2one-call-stunner.yaml")
    }

    /// A file of the repository, named from its root.
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(kit::workspace().join(path));
        let text = text.unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { documents: text.split("\n---\n").map(str::to_owned).collect() }
    }

    /// Without the object of this kind and name.
    #[must_use]
    pub fn without(mut self, kind: &str, name: &str) -> Self {
        let before = self.documents.len();
        let lines = [format!("kind: {kind}"), format!("  name: {name}")];
        self.documents.retain(|text| !lines.iter().all(|line| text.lines().any(|known| known == line)));
        assert_eq!(self.documents.len() + 1, before, "there is one {kind} {name}");
        self
    }

    /// With every `from` replaced by `to`.
    #[must_use]
    pub fn with(mut self, from: &str, to: &str) -> Self {
        assert!(self.documents.iter().any(|text| text.contains(from)), "nothing says {from:?}");
        for text in &mut self.documents {
            *text = text.replace(from, to);
        }
        self
    }

    /// With one more object.
    #[must_use]
    pub fn and(mut self, document: &str) -> Self {
        self.documents.push(document.to_owned());
        self
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.documents.join("\n---\n"))
    }
}
