//! The ICE configuration of the authentication service, as it is handed to a browser.

use std::fmt;

use serde_json::{Map, Value};

/// An `RTCConfiguration` fragment with TURN credentials in it: `iceServers` and `iceTransportPolicy`.
///
/// Members we do not know pass through; `Debug` shows the addresses and never the credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct IceConfiguration(Map<String, Value>);

impl IceConfiguration {
    /// Reads the body of the service's answer to `GET /ice`.
    ///
    /// Entries that name exactly one URI get it as `url` beside `urls`: the tutorial prints the former, browsers
    /// read the latter. Services that only know `url` get `urls` for the same reason.
    ///
    /// # Errors
    /// [`IceError`] if the body is no JSON object with a list of servers.
    pub fn from_json(body: &[u8]) -> Result<Self, IceError> {
        let Ok(Value::Object(mut members)) = serde_json::from_slice(body) else {
            return Err(IceError::NotAnObject);
        };
        if let Some(servers) = members.shift_remove("ICEServers") {
            members.entry("iceServers").or_insert(servers);
        }
        let Some(Value::Array(servers)) = members.get_mut("iceServers") else {
            return Err(IceError::NoServers);
        };
        for server in servers {
            let Value::Object(server) = server else { return Err(IceError::NoServers) };
            complete_urls(server)?;
        }
        Ok(Self(members))
    }

    /// The JSON object for the browser, credentials included.
    pub fn expose(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// The URIs of all servers, in order.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        let servers = self.0.get("iceServers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        servers.iter().filter_map(|server| server.get("urls")?.as_array()).flatten().filter_map(Value::as_str)
    }
}

impl fmt::Debug for IceConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceConfiguration")
            .field("uris", &self.uris().collect::<Vec<_>>())
            .field("credentials", &"<SECRET>")
            .finish()
    }
}

/// Why an answer of the authentication service is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IceError {
    /// Not JSON, or not an object.
    #[error("the answer is not a JSON object")]
    NotAnObject,
    /// No list `iceServers`, or an entry that is not an object with URIs.
    #[error("the answer holds no list of ICE servers")]
    NoServers,
}

/// Leaves `urls` a list of strings, with `url` beside it if it has exactly one member.
fn complete_urls(server: &mut Map<String, Value>) -> Result<(), IceError> {
    let named = server.get("urls").or_else(|| server.get("url")).ok_or(IceError::NoServers)?;
    let urls = match named {
        Value::String(url) => vec![Value::String(url.clone())],
        Value::Array(urls) if urls.iter().all(Value::is_string) => urls.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            return Err(IceError::NoServers);
        }
    };
    server.shift_remove("url");
    if let [url] = urls.as_slice() {
        server.shift_insert(0, "url".to_owned(), url.clone());
    }
    server.insert("urls".to_owned(), Value::Array(urls));
    Ok(())
}

#[cfg(test)]
mod tests;
