//! The program as it is used.

use std::process::Command;

use kit::{PATIENCE, Process};
use tokio::time::timeout;
use whip::Dialer;
use whip::connection::Event;

fn icetester(environment: &[(&str, &str)]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icetester"));
    command.args(["--addr", "127.0.0.1:0"]).envs(environment.iter().copied());
    Process::spawn(command)
}

#[tokio::test]
async fn w12_dial_with_the_right_token_two_rounds_clean_close() {
    let mut tester = icetester(&[("BEARER_TOKEN", "right")]);
    let line = tester.await_line("icetester listening on");
    let address = line.rsplit(' ').next().unwrap();
    let dialer = Dialer { token: "right".into(), ..Dialer::new(format!("http://{address}/whip")) };
    let mut dialled = dialer.dial().await.unwrap();
    for message in [b"test1".to_vec(), b"test2".to_vec()] {
        dialled.connection.send(message.clone()).await.unwrap();
        let event = timeout(PATIENCE, dialled.connection.next()).await.expect("an echo");
        assert_eq!(event, Some(Event::Message(message)));
    }
    dialled.close().await;
    let wrong = Dialer { token: "wrong".into(), ..dialer };
    assert!(wrong.dial().await.unwrap_err().to_string().contains("401"));
    tester.signal("INT");
    assert!(tester.await_exit().success());
}

#[test]
fn settings_that_make_no_sense_end_it() {
    let table = [
        ("ICE_SERVERS", "nonsense", "ICE_SERVERS"),
        ("ICE_TRANSPORT_POLICY", "nonsense", "ICE_TRANSPORT_POLICY"),
        ("WHIP_ENDPOINT", "whip", "does not start with a slash"),
    ];
    for (name, value, text) in table {
        let mut tester = icetester(&[(name, value)]);
        tester.await_line(text);
        assert_eq!(tester.await_exit().code(), Some(1));
    }
}
