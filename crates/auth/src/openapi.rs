//! The description of the HTTP surface, kept in the repository for people and served to programs.

use std::sync::LazyLock;

/// The OpenAPI 3.0 document as it is kept.
pub const YAML: &str = include_str!("../../../api/stunner-auth.yaml");

/// The same document in JSON.
pub fn json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| {
        serde_saphyr::from_str::<serde_json::Value>(YAML)
            .map_or_else(|_| "{}".to_owned(), |document| document.to_string())
    });
    &JSON
}
