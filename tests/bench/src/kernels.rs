//! The inner parts of relaying, without sockets: what micro-benchmarks time and what callgrind counts.

mod bed;

use std::hint::black_box;

use stun::attribute::{Lifetime, Nonce, Realm, Username, XorMappedAddress};
use stun::{ChannelData, Class, Key, Message, Method, TransactionId, Writer, frame};

use self::bed::Bed;
use crate::session::CHANNEL;

/// A piece of work that can be repeated at will.
pub struct Kernel {
    /// Its name.
    pub name: &'static str,
    prepare: fn() -> Box<dyn FnMut()>,
}

impl Kernel {
    /// Builds what it works on and gives one repetition.
    pub fn prepare(&self) -> Box<dyn FnMut()> {
        (self.prepare)()
    }
}

/// Every kernel: the codec, then looking up and rewriting packets, then requests.
pub const ALL: &[Kernel] = &[
    Kernel { name: "channel-data-parse", prepare: channel_data_parse },
    Kernel { name: "channel-data-header", prepare: channel_data_header },
    Kernel { name: "frame-next", prepare: frame_next },
    Kernel { name: "request-parse", prepare: request_parse },
    Kernel { name: "request-verify", prepare: request_verify },
    Kernel { name: "response-write", prepare: response_write },
    Kernel { name: "client-channel-50", prepare: || Bed::new(50).client_channel() },
    Kernel { name: "client-channel-20000", prepare: || Bed::new(20_000).client_channel() },
    Kernel { name: "client-indication-50", prepare: || Bed::new(50).client_indication() },
    Kernel { name: "peer-channel-50", prepare: || Bed::new(50).peer_channel() },
    Kernel { name: "peer-channel-20000", prepare: || Bed::new(20_000).peer_channel() },
    Kernel { name: "peer-indication-50", prepare: || Bed::without_channels(50).peer_indication() },
    Kernel { name: "short-cut-50", prepare: || Bed::headless(50).short_cut() },
    Kernel { name: "short-cut-20000", prepare: || Bed::headless(20_000).short_cut() },
    Kernel { name: "refresh-50", prepare: || Bed::new(50).refresh() },
    Kernel { name: "refresh-20000", prepare: || Bed::new(20_000).refresh() },
    Kernel { name: "allocate-and-go-50", prepare: || Bed::new(50).allocate_and_go() },
];

/// The payload of 20 ms of speech with its RTP header.
const SPEECH: usize = 172;
const ID: TransactionId = TransactionId::new([7; 12]);

fn channel_data() -> Vec<u8> {
    let mut packet = vec![0; 4 + SPEECH];
    if let Some(header) = packet.first_chunk_mut() {
        ChannelData::write_header(CHANNEL, SPEECH as u16, header);
    }
    packet
}

fn channel_data_parse() -> Box<dyn FnMut()> {
    let packet = channel_data();
    Box::new(move || {
        black_box(ChannelData::parse(black_box(&packet)).is_ok());
    })
}

fn channel_data_header() -> Box<dyn FnMut()> {
    let mut header = [0; 4];
    Box::new(move || {
        ChannelData::write_header(black_box(CHANNEL), black_box(SPEECH as u16), black_box(&mut header));
    })
}

fn frame_next() -> Box<dyn FnMut()> {
    let packet = channel_data();
    Box::new(move || {
        black_box(frame::next(black_box(&packet)));
    })
}

fn key() -> Key {
    Key::long_term("user", "bench", "pass")
}

/// A Refresh request as clients send it.
fn request() -> Vec<u8> {
    let mut packet = vec![0; 512];
    let write = |into: &mut [u8]| {
        let mut writer = Writer::new(into, Class::Request, Method::Refresh, ID).ok()?;
        writer.put(&Lifetime(600)).ok()?;
        writer.put(&Username::new("user").ok()?).ok()?;
        writer.put(&Realm::new("bench").ok()?).ok()?;
        writer.put(&Nonce::new("obMatJos2AAAAxxxxxxxxxxxxxxxx").ok()?).ok()?;
        writer.finish_with_integrity(&key()).ok()
    };
    let len = write(&mut packet).unwrap_or(0);
    packet.truncate(len);
    packet
}

fn request_parse() -> Box<dyn FnMut()> {
    let packet = request();
    Box::new(move || {
        let Ok(message) = Message::parse(black_box(&packet)) else { return };
        black_box((message.get::<Username<'_>>().is_ok(), message.get::<Nonce<'_>>().is_ok()));
    })
}

fn request_verify() -> Box<dyn FnMut()> {
    let (packet, key) = (request(), key());
    Box::new(move || {
        let Ok(message) = Message::parse(black_box(&packet)) else { return };
        black_box(message.verify_integrity(&key).is_ok());
    })
}

fn response_write() -> Box<dyn FnMut()> {
    let (mut packet, key) = ([0; 128], key());
    let address = std::net::SocketAddr::from(([192, 0, 2, 1], 4321));
    Box::new(move || {
        let Ok(mut writer) = Writer::new(black_box(&mut packet), Class::Success, Method::Allocate, ID) else {
            return;
        };
        let _ = writer.put(&XorMappedAddress(address)).map(drop);
        black_box(writer.finish_with_integrity(&key).is_ok());
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_can_be_repeated() {
        for kernel in ALL.iter().filter(|kernel| !kernel.name.ends_with("20000")) {
            let mut repeat = kernel.prepare();
            (0..3).for_each(|_| repeat());
        }
    }

    #[test]
    fn requests_are_real() {
        Message::parse(&request()).unwrap().verify_integrity(&key()).unwrap();
    }
}
