//! `stunnerctl icetest`, with everything real: it brings its own gateways and its own backend, and removes them.

use kit::{Deadline, Process};
use node::{Node, PATIENCE};

use crate::scene::{confined, image};

/// Both tests over both transports. The backend finds the gateways by the names of their Services.
pub(crate) fn passes_and_leaves_nothing(node: &Node<'_>) {
    let image = image("icetester");
    let line = node.stunnerctl(&format!("icetest --ice-tester-image={image} --duration=2s"));
    let mut icetest = Process::spawn(node.command(&format!("exec {line}")));
    icetest.await_match(0, Deadline::after(PATIENCE), "a backend", |line| {
        line.ends_with("Checking installation... completed").then_some(())
    });
    // Its backend stays until it has been looked at.
    icetest.signal("STOP");
    assert_eq!(confined(node, &image), [image.as_str()]);
    icetest.signal("CONT");
    let status = icetest.await_exit_until(Deadline::after(PATIENCE));
    assert!(status.success(), "{status}");

    let printed = icetest.lines().join("\n");
    for (symmetry, transport) in [
        ("asymmetric", "TURN-UDP"),
        ("asymmetric", "TURN-TCP"),
        ("symmetric", "TURN-UDP"),
        ("symmetric", "TURN-TCP"),
    ] {
        let phase = format!(": Running {symmetry} ICE test over {transport}... completed");
        assert!(printed.contains(&phase), "{printed}");
    }
    assert_eq!(printed.matches("\tStatistics: rate=").count(), 4, "{printed}");
    // Ours always, theirs in the symmetric tests.
    assert_eq!(printed.matches("  * udp4 relay ").count(), 6, "{printed}");
    let kinds = "namespaces,gatewayclasses,dataplanes,gatewayconfigs,gateways,udproutes.stunner.l7mp.io,services,pods";
    let what = format!("kubectl get {kinds} --all-namespaces -l stunner.l7mp.io/icetest -o name");
    // A namespace may go a moment later than the tool waits for, on a machine that is busy.
    node.await_answer(&what, "nothing", |answer| answer.success && answer.output.is_empty());
}
