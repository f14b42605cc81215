//! Who asks for an allocation.

use std::fmt;
use std::time::Duration;

use turn::client::Credentials;
use turn::credentials::{ephemeral_password, ephemeral_username};

/// How long a minted name is good for.
pub const EPHEMERAL_LIFETIME: Duration = Duration::from_secs(3600);

/// Where credentials come from. Printed, it is `<SECRET>`.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user name and a password that stay.
    Fixed {
        /// The user name.
        username: String,
        /// The password.
        password: String,
    },
    /// Names that expire after [`EPHEMERAL_LIFETIME`], minted with the secret that the server has too, and minted
    /// anew in time.
    Ephemeral {
        /// The shared secret.
        secret: String,
        /// Whose allocation it is. Servers let a renewed name of the same user refresh what the former allocated.
        user: String,
    },
}

impl Login {
    /// A user name and a password.
    pub fn fixed(username: &str, password: &str) -> Self {
        Self::Fixed { username: username.to_owned(), password: password.to_owned() }
    }

    /// Names minted with a shared secret.
    pub fn ephemeral(secret: &str, user: &str) -> Self {
        Self::Ephemeral { secret: secret.to_owned(), user: user.to_owned() }
    }

    /// Credentials that are good at this UNIX time, in seconds, and when to ask again if they expire.
    pub(crate) fn credentials(&self, unix: u64) -> (Credentials, Option<Duration>) {
        match self {
            Self::Fixed { username, password } => (Credentials::new(username, password), None),
            Self::Ephemeral { secret, user } => {
                let username = ephemeral_username(unix + EPHEMERAL_LIFETIME.as_secs(), Some(user));
                let password = ephemeral_password(secret, &username);
                (Credentials::new(&username, &password), Some(EPHEMERAL_LIFETIME / 2))
            }
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed { .. } => "Fixed(<SECRET>)",
            Self::Ephemeral { .. } => "Ephemeral(<SECRET>)",
        })
    }
}
