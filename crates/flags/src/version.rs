use std::sync::LazyLock;

/// What a program was built from and when, as in `version 1.2.3 (0123abc) built on 2026-11-22`.
///
/// Whoever builds it says so in two variables of the environment, `STUNNER_COMMIT` and `STUNNER_BUILD_DATE`.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let commit = option_env!("STUNNER_COMMIT").unwrap_or("unknown commit");
    let date = option_env!("STUNNER_BUILD_DATE").unwrap_or("unknown date");
    format!("version {} ({commit}) built on {date}", env!("CARGO_PKG_VERSION"))
});
