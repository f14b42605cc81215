use std::time::Duration;

/// What the operator has to know besides what the API server tells it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How objects are rendered. What the Gateway API of the server has is found out at the start.
    pub render: gateway::Settings,
    /// How long changes are collected before they are rendered.
    pub debounce: Duration,
    /// Whether to delete what was created, and to say so in the statuses, when the operator stops.
    pub finalize: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { render: gateway::Settings::default(), debounce: Duration::from_millis(250), finalize: false }
    }
}
