//! The other side: the check that a TURN server makes of what a client was given.

use config::{Auth, AuthKind, Secret};
use stun::attribute::Username;
use stun::{Class, Key, Message, Method, TransactionId, Writer};
use turn::credentials::{Assertion, Authority, Identity, Realm};

/// Whether a gateway with these settings lets a client in that signs with these credentials.
pub(crate) fn accepts(auth: &Auth, username: &str, password: &str, unix: u64) -> bool {
    let mut buffer = [0; 1024];
    let request = signed(&mut buffer, username, &auth.realm, password);
    let who = Assertion { identity: Identity::Name(username), algorithm: None };
    authority(auth).authenticate(who, &Message::parse(request).unwrap(), unix).is_some()
}

fn signed<'b>(buffer: &'b mut [u8], username: &str, realm: &str, password: &str) -> &'b [u8] {
    let mut request =
        Writer::new(buffer, Class::Request, Method::Allocate, TransactionId::new([7; 12])).unwrap();
    request.put(&Username::new(username).unwrap()).unwrap();
    let length = request.finish_with_integrity(&Key::long_term(username, realm, password)).unwrap();
    &buffer[..length]
}

fn authority(auth: &Auth) -> Authority {
    let realm = Realm::new(&auth.realm).unwrap();
    let text =
        |secret: &Option<Secret>| secret.as_ref().map_or(String::new(), |text| text.expose().to_owned());
    let given = &auth.credentials;
    match auth.kind {
        AuthKind::Static => Authority::fixed(realm, &text(&given.username), &text(&given.password)),
        AuthKind::Ephemeral => Authority::ephemeral(realm, &text(&given.secret)),
        AuthKind::None => Authority::nobody(realm),
    }
}
