//! The compose file of the standalone mode, started: with podman, and an image of the programs that tests are built with.

use std::{fs, process::Command, time::Duration};

use kit::{Deadline, Process};

/// For what unpacks images of a hundred megabytes, beside others.
const PATIENCE: Duration = Duration::from_secs(300);

const EXAMPLE: &str = "docs/examples/compose";

#[test]
fn the_compose_file_starts_a_gateway_that_is_confined_healthy_and_follows_its_files() {
    let Some(podman) = kit::need("podman") else { return };
    let folder = kit::temp_dir();
    let copy = folder.path().join("compose");
    fs::create_dir_all(copy.join("gateway")).unwrap();
    for file in ["compose.yaml", "gateway/gateway.yaml"] {
        fs::copy(kit::workspace().join(EXAMPLE).join(file), copy.join(file)).unwrap();
    }
    kit::binary("health");
    let program = kit::binary("stunner");
    let mut images = Command::new("scripts/images");
    images.current_dir(kit::workspace()).arg("--trial").arg(program.parent().unwrap()).arg(folder.path());
    images.arg("stunner");
    Process::run(images, Deadline::after(PATIENCE));

    let mut unshare = podman.command("netns");
    unshare.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"]);
    unshare.arg(kit::workspace().join("tests/install/files/compose.sh")).arg(folder.path());
    unshare.arg(podman.command("python").get_program());
    let lines = Process::run(unshare, Deadline::after(PATIENCE));
    for expected in [
        "health: good",
        "Uid: 65532",
        "Gid: 65532",
        // To listen on ports below 1024, and nothing else.
        "CapBnd: 0000000000000400",
        "NoNewPrivs: 1",
        "mount /: ro",
        "mount /etc/stunner: ro",
        "open: 127.0.0.1:3478",
        "open: 127.0.0.1:8088",
        "edited: 127.0.0.1:3479",
        "done",
    ] {
        assert!(lines.iter().any(|line| line == expected), "no {expected:?} in {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.ends_with("is left")), "{lines:#?}");
}
