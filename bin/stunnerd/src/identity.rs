//! Which gateway this instance serves.

/// The id: as given, else that of the environment, else one made of the host's name.
pub(crate) fn id(given: Option<&str>, env: &dyn Fn(&str) -> Option<String>) -> String {
    if let Some(id) = given {
        return id.to_owned();
    }
    let set = |name| env(name).filter(|value| !value.is_empty());
    match (set("STUNNER_NAMESPACE"), set("STUNNER_NAME")) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        _ => format!("default/stunnerd-{}", host().unwrap_or_else(random)),
    }
}

fn host() -> Option<String> {
    read("/proc/sys/kernel/hostname")
}

/// The kernel makes a new one each time it is read.
fn random() -> String {
    read("/proc/sys/kernel/random/uuid").unwrap_or_default()
}

fn read(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty() && text != "(none)").then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_environment_which_wins_over_the_host() {
        let env = |name: &str| Some(format!("value-of-{name}"));
        assert_eq!(id(Some("a/b"), &env), "a/b");
        assert_eq!(id(None, &env), "value-of-STUNNER_NAMESPACE/value-of-STUNNER_NAME");
        let half = |name: &str| (name == "STUNNER_NAME").then(|| "gw".to_owned());
        for env in [&half as &dyn Fn(&str) -> Option<String>, &|_| None] {
            let made = id(None, env);
            assert!(
                made.starts_with("default/stunnerd-") && made.len() > "default/stunnerd-".len(),
                "{made}"
            );
        }
    }
}
