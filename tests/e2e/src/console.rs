use serde_json::Value;

/// The console of the page: its lines, oldest first.
#[derive(Clone, Debug)]
pub struct Console(pub Vec<String>);

/// A message to or from the server, as the console shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// `Sending message: ...`
    Sent(Value),
    /// `Received message: ...`
    Received(Value),
}

impl Frame {
    /// The message and its `id`.
    pub fn message(&self) -> (&Value, &str) {
        let (Self::Sent(message) | Self::Received(message)) = self;
        (message, message["id"].as_str().unwrap_or_default())
    }
}

impl Console {
    /// The first line that starts with `beginning`.
    pub fn line(&self, beginning: &str) -> Option<&str> {
        self.0.iter().map(String::as_str).find(|line| line.starts_with(beginning))
    }

    /// All messages, in order.
    pub fn frames(&self) -> Vec<Frame> {
        self.0
            .iter()
            .filter_map(|line| {
                let sent = line.strip_prefix("Sending message: ").map(|text| Frame::Sent(parse(text)));
                sent.or_else(|| Some(Frame::Received(parse(line.strip_prefix("Received message: ")?))))
            })
            .collect()
    }

    /// What arrived with this `id`.
    pub fn received(&self, id: &str) -> Vec<Value> {
        let frames = self.frames().into_iter();
        frames
            .filter(|f| matches!(f, Frame::Received(_)) && f.message().1 == id)
            .map(|f| f.message().0.clone())
            .collect()
    }

    /// What left with this `id`.
    pub fn sent(&self, id: &str) -> Vec<Value> {
        let frames = self.frames().into_iter();
        frames
            .filter(|f| matches!(f, Frame::Sent(_)) && f.message().1 == id)
            .map(|f| f.message().0.clone())
            .collect()
    }

    /// The ICE configuration of the last `registerResponse`, from its pretty-printed form.
    #[track_caller]
    pub fn ice_configuration(&self) -> Value {
        let shown = self.0.iter().rev().find_map(|line| line.strip_prefix("registerResponse:"));
        let response = parse(shown.expect("the console shows a registerResponse"));
        assert_eq!(response["response"], "accepted", "{response}");
        response["iceConfiguration"].clone()
    }
}

#[track_caller]
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}: {text}"))
}
