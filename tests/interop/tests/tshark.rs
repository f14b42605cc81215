//! A packet analyser's opinion of everything that goes over the TURN port.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use interop::{Gateway, credentials};
use kit::{
    AllocateOptions, Credentials, Deadline, EchoPeer, Failure, Part, Process, TurnClient, need, temp_dir,
};

/// Data that needs no padding, and data that does.
const LENGTHS: [usize; 7] = [0, 1, 2, 3, 4, 500, 1200];

/// Captures what goes over a port of the loopback interface while `work` is done, and a bit more.
fn capture(tshark: &Part, port: u16, file: &Path, work: impl FnOnce()) {
    let mut command = tshark.command("dumpcap");
    command.args(["-q", "-i", "lo", "-f", &format!("port {port}"), "-w"]).arg(file);
    let mut capture = Process::spawn(command);
    capture.await_line("File:");
    // It says so a moment too early: what counts is that packets arrive in the file.
    let server = ([127, 0, 0, 1], port).into();
    await_in_file(file, || TurnClient::udp(server).binding().expect("the gateway answers"));
    work();
    await_in_file(file, || TurnClient::udp(server).binding().expect("the gateway answers"));
    capture.signal("INT");
    assert!(capture.await_exit().success());
}

/// Asks for the client's own address until an answer with its port is in the file. What is captured may take its time
/// to get there.
fn await_in_file(file: &Path, ask: impl Fn() -> SocketAddr) {
    let (deadline, mut asked) = (Deadline::default(), Vec::new());
    loop {
        asked.push(ask().port().to_be_bytes());
        // The port as UDP's source and destination, which the answer follows within microseconds.
        for _ in 0..20 {
            let captured = fs::read(file).unwrap_or_default();
            let is_there = |port: &[u8; 2]| captured.windows(2).filter(|pair| pair == port).count() >= 2;
            if asked.iter().any(is_there) {
                return;
            }
            assert!(deadline.left().is_some(), "nothing is captured");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What the analyser makes of a file, one line a packet that `filter` lets through: the `fields` between tabs.
fn dissect(tshark: &Part, file: &Path, port: u16, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut command = tshark.command("tshark");
    command.arg("-r").arg(file).args(["-Y", filter, "-T", "fields"]);
    command.args(["-d", &format!("udp.port=={port},stun"), "-d", &format!("tcp.port=={port},stun")]);
    for field in fields {
        command.args(["-e", field]);
    }
    let lines = Process::run(command, Deadline::default());
    // Run by root it warns about that on standard error.
    lines.into_iter().filter(|line| !line.starts_with("Running as user")).collect()
}

/// Every kind of message that clients and the gateway exchange.
fn converse(gateway: &Gateway) -> Result<(), Failure> {
    let peer = EchoPeer::start();
    for client in [TurnClient::udp(gateway.plain), TurnClient::tcp(gateway.plain)] {
        let mut client = client.with(credentials());
        let options =
            AllocateOptions { even_port: Some(true), lifetime: Some(777), ..AllocateOptions::default() };
        client.allocate_with(&options)?;
        client.create_permission(peer.address())?;
        for length in LENGTHS {
            client.send(peer.address(), &vec![b'i'; length]);
            assert_eq!(client.recv().data().len(), length);
        }
        client.channel_bind(0x4000, peer.address())?;
        for length in LENGTHS {
            client.send_channel(0x4000, &vec![b'c'; length]);
            assert_eq!(client.recv().data().len(), length);
        }
        client.refresh(600)?;
        client.set_nonce("stale");
        client.refresh(0)?;
    }
    let without_allocation = TurnClient::udp(gateway.plain).with(credentials()).refresh(600);
    assert_eq!(without_allocation.expect_err("there is nothing to refresh").code(), 437);
    let stranger = TurnClient::udp(gateway.plain).with(Credentials::fixed("nobody", "knows")).allocate();
    assert_eq!(stranger.expect_err("nobody knows the stranger").code(), 401);
    Ok(())
}

#[test]
fn d6_packets_on_the_turn_port_are_standard_turn() {
    let Some(tshark) = need("tshark") else { return };
    let gateway = Gateway::start();
    let folder = temp_dir();
    let file = folder.path().join("turn.pcapng");
    let port = gateway.plain.port();
    capture(&tshark, port, &file, || converse(&gateway).unwrap());

    let errors = "_ws.malformed || _ws.expert.severity >= 0x800000";
    let amiss =
        format!("{errors} || stun.short_packet || stun.wrong_msglen || stun.att.crc32.status == \"Bad\"");
    let amiss =
        dissect(&tshark, &file, port, &amiss, &["frame.number", "_ws.col.Info", "_ws.expert.message"]);
    assert!(amiss.is_empty(), "{amiss:#?}");

    // Acknowledgements and such carry nothing; all the rest is STUN or ChannelData.
    let with_payload = "udp.length > 8 || tcp.len > 0";
    let strange = dissect(
        &tshark,
        &file,
        port,
        &format!("({with_payload}) && !stun"),
        &["frame.number", "frame.protocols"],
    );
    assert!(strange.is_empty(), "{strange:#?}");

    let kinds: BTreeSet<String> =
        dissect(&tshark, &file, port, "stun", &["stun.type", "stun.channel"]).into_iter().collect();
    let channel = "\t0x4000";
    let requests = ["0x0001\t", "0x0003\t", "0x0004\t", "0x0008\t", "0x0009\t"];
    let answers = ["0x0101\t", "0x0103\t", "0x0104\t", "0x0108\t", "0x0109\t", "0x0113\t", "0x0114\t"];
    let indications = ["0x0016\t", "0x0017\t"];
    let expected = [&[channel], requests.as_slice(), &answers, &indications].concat();
    assert_eq!(kinds, expected.into_iter().map(|kind| kind.trim_end().to_owned()).collect());
}
