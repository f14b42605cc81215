use serde_json::Value;

/// Objects to be looked up by kind, namespace and name.
#[derive(Clone, Debug)]
pub struct Objects(Vec<Value>);

/// The documents of a YAML text; empty ones are left out.
pub fn parse(text: &str) -> Vec<Value> {
    let documents =
        serde_saphyr::from_multiple::<Value>(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

impl Objects {
    /// These.
    pub fn new(objects: Vec<Value>) -> Self {
        Self(objects)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    /// Those of a kind.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// The object of a kind, as `namespace/name`, or `name` if it has no namespace.
    pub fn find(&self, kind: &str, id: &str) -> Option<&Value> {
        self.of(kind).find(|object| self::id(object) == id)
    }

    /// The same, which has to be there.
    #[track_caller]
    pub fn get(&self, kind: &str, id: &str) -> &Value {
        let known: Vec<String> = self.of(kind).map(self::id).collect();
        self.find(kind, id).unwrap_or_else(|| panic!("no {kind} {id} among {known:?}"))
    }

    /// `Kind namespace/name` of all of them, in order of the alphabet.
    pub fn names(&self) -> Vec<String> {
        let name = |object: &Value| format!("{} {}", object["kind"].as_str().unwrap_or_default(), id(object));
        let mut names: Vec<String> = self.0.iter().map(name).collect();
        names.sort();
        names
    }
}

fn id(object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().map(str::to_owned);
    let name = text("name").unwrap_or_default();
    match text("namespace") {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    }
}
