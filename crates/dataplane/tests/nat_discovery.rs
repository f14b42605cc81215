//! How a client's NAT behaves: a listener on two addresses and two ports.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use common::{Gateway, Text, code, echo, listener};
use kit::EchoPeer;
use stun::attribute::{ChangeRequest, OtherAddress, Padding, ResponseOrigin, ResponsePort, XorMappedAddress};
use stun::{Class, Message, Method, TransactionId, Writer};

const IPS: [[u8; 4]; 2] = [[127, 0, 0, 1], [127, 0, 0, 2]];

fn text(text: Text, second: u16) -> Text {
    let udp = listener("udp", "TURN-UDP", text.port, "[loop]");
    let more = format!("{{ nat_discovery: '127.0.0.2:{second}', ");
    text.listeners(&[udp.replacen('{', &more, 1)])
}

fn ask(client: &UdpSocket, to: SocketAddr, write: impl Fn(&mut Writer<'_>)) {
    let mut packet = vec![0; 4000];
    let mut writer =
        Writer::new(&mut packet, Class::Request, Method::Binding, TransactionId::new([1; 12])).unwrap();
    write(&mut writer);
    let len = writer.finish();
    client.send_to(&packet[..len], to).unwrap();
}

fn client() -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client
}

fn hear(client: &UdpSocket) -> (SocketAddr, Vec<u8>) {
    let mut heard = vec![0; 4000];
    let (len, from) = client.recv_from(&mut heard).unwrap();
    heard.truncate(len);
    (from, heard)
}

#[test]
fn answers_come_from_the_address_and_port_asked_for_and_calls_go_on_beside_them() {
    for workers in [1, 3] {
        let plain = Text::new();
        let second = kit::free_port();
        let gateway = Gateway::with_workers(&text(plain.clone(), second), workers);
        let ports = [gateway.port, second];
        let at = |ip: usize, port: usize| SocketAddr::from((IPS[ip], ports[port]));
        let client = client();
        let mapped = client.local_addr().unwrap();
        for (ip, port) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            for (address, change_port) in [(false, false), (false, true), (true, false), (true, true)] {
                ask(&client, at(ip, port), |writer| {
                    writer.put(&ChangeRequest { address, port: change_port }).unwrap();
                });
                let (from, bytes) = hear(&client);
                assert_eq!(from, at(ip ^ usize::from(address), port ^ usize::from(change_port)));
                let message = Message::parse(&bytes).unwrap();
                assert_eq!(message.get().unwrap(), Some(ResponseOrigin(from)));
                assert_eq!(message.get().unwrap(), Some(OtherAddress(at(ip ^ 1, port ^ 1))));
                assert_eq!(message.get().unwrap(), Some(XorMappedAddress(mapped)));
            }
        }
        // To another port of the client's, and with padding.
        let other = self::client();
        let port = ResponsePort(other.local_addr().unwrap().port());
        ask(&client, at(0, 0), |writer| {
            writer.put(&port).unwrap();
        });
        assert_eq!(hear(&other).0, at(0, 0));
        ask(&client, at(0, 1), |writer| {
            writer.put(&Padding(&[0; 1500])).unwrap();
        });
        assert!(hear(&client).1.len() > 1500);

        let (mut caller, peer) = (gateway.udp(), EchoPeer::start());
        caller.allocate().unwrap();
        caller.channel_bind(0x4000, peer.address()).unwrap();
        echo(&mut caller, 0x4000, 3);

        // It ends with its listener, whose port is free for another one then.
        gateway.apply(&text(plain.clone(), kit::free_port()));
        gateway.apply(&plain);
        assert_eq!(gateway.udp().binding().unwrap().ip(), mapped.ip());
    }
}

#[test]
fn a_second_port_that_is_somebody_s_is_refused_and_leaves_everything_as_it_was() {
    let plain = Text::new();
    let gateway = Gateway::start(&plain);
    let held = UdpSocket::bind("0.0.0.0:0").unwrap();
    let taken = held.local_addr().unwrap().port();
    let error = gateway.try_apply(&text(plain.clone(), taken)).unwrap_err().to_string();
    assert!(error.contains("udp"), "{error}");
    // So is one that another listener of the gateway wants.
    let second = kit::free_port();
    let mut both = text(plain, second);
    both.listeners.push(listener("other", "TURN-UDP", second, "[loop]"));
    let error = gateway.try_apply(&both).unwrap_err().to_string();
    assert!(error.contains("both want"), "{error}");
    assert_eq!(code(gateway.udp().with(kit::Credentials::fixed("user", "wrong")).allocate()), 401);
    gateway.udp().allocate().unwrap();
}
