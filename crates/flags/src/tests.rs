use std::path::Path;

use clap::{CommandFactory as _, Parser};

use crate::{Discovery, Kubernetes, Log, NoServer};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    log: Log,
    #[command(flatten)]
    discovery: Discovery,
    #[command(flatten)]
    kubernetes: Kubernetes,
}

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(std::iter::once("program").chain(line.split_whitespace()))
}

#[test]
fn the_groups_fit_together() {
    Arguments::command().debug_assert();
}

#[test]
fn the_spec_beats_verbose() {
    let spec = |line| parse(line).unwrap().log.spec().map(str::to_owned);
    assert_eq!(spec(""), None);
    assert_eq!(spec("-v"), Some("all:DEBUG".into()));
    assert_eq!(spec("-v -l all:WARN"), Some("all:WARN".into()));
    assert_eq!(spec("--log=turn:TRACE --verbose"), Some("turn:TRACE".into()));
}

#[test]
fn a_log_format_never_keeps_a_program_from_starting() {
    let format = |line| parse(line).unwrap().log.log_format;
    assert_eq!(format("--log-format=json"), logs::Format::Json);
    assert_eq!(format("--log-format=text"), logs::Format::Text);
    assert_eq!(format("--log-format console"), logs::Format::Text);
}

#[test]
fn a_server_is_an_origin() {
    let origin = |line: &str| parse(line).unwrap().discovery.origin_from(false, Path::new("/nowhere"));
    let table = [
        ("--cds-server-address=10.0.0.1", "http://10.0.0.1:13478"),
        ("--cds-server-address cds.svc --cds-server-port 99", "http://cds.svc:99"),
        ("--cds-server-address=10.0.0.1:99", "http://10.0.0.1:99"),
        ("--cds-server-address=2001:db8::1", "http://[2001:db8::1]:13478"),
        ("--cds-server-address=[2001:db8::1]", "http://[2001:db8::1]:13478"),
        ("--cds-server-address=[2001:db8::1]:99", "http://[2001:db8::1]:99"),
        ("--cds-server-address=https://cds.example", "https://cds.example:13478"),
        ("--cds-server-address=ws://10.0.0.1:99/", "ws://10.0.0.1:99"),
    ];
    for (line, expected) in table {
        assert_eq!(origin(line).as_deref(), Ok(expected), "{line}");
    }
    assert_eq!(origin(""), Err(NoServer));
    assert!(NoServer.to_string().contains("--cds-server-address"));
}

#[test]
fn a_pod_knows_the_service() {
    let folder = std::env::temp_dir().join(format!("flags-{}", std::process::id()));
    std::fs::write(&folder, "stunner-system\n").unwrap();
    let origin = |line: &str, own: &Path| parse(line).unwrap().discovery.origin_from(true, own).unwrap();
    assert_eq!(origin("", &folder), "http://stunner-config-discovery.stunner-system.svc:13478");
    let elsewhere = "--cds-server-namespace=other";
    assert_eq!(origin(elsewhere, &folder), "http://stunner-config-discovery.other.svc:13478");
    std::fs::remove_file(&folder).unwrap();
    assert_eq!(origin("", &folder), "http://stunner-config-discovery:13478");
}

#[test]
fn a_wrong_port_names_the_flag_and_the_variable() {
    for port in ["x", "0", "65536", "-1"] {
        let error = parse(&format!("--cds-server-port={port}")).unwrap_err().to_string();
        assert!(error.contains("--cds-server-port") && error.contains("CDS_SERVER_PORT"), "{error}");
    }
    assert_eq!(parse("--cds-server-port=").unwrap().discovery.cds_server_port, 13478);
}

#[test]
fn the_flags_of_kubectl_are_accepted() {
    let all = "--kubeconfig f --context c --cluster c --user u -n ns -s https://api --token t0ken --as a --as-group g \
               --as-group h --as-uid 1 --as-user-extra k=v --certificate-authority f --client-certificate f \
               --client-key f --tls-server-name n --insecure-skip-tls-verify --request-timeout 5s --cache-dir d \
               --disable-compression";
    let arguments = parse(all).unwrap();
    assert_eq!(arguments.kubernetes.namespace.as_deref(), Some("ns"));
    assert_eq!(arguments.kubernetes.impersonate_groups, ["g", "h"]);
    assert!(!format!("{arguments:?}").contains("t0ken"));
}

#[test]
fn a_program_writes_its_pages() {
    let folder = tempfile::tempdir().unwrap();
    crate::pages::write_pages(&Arguments::command().name("program"), folder.path()).unwrap();
    let page = std::fs::read_to_string(folder.path().join("man/man1/program.1")).unwrap();
    assert!(page.contains("cds") && page.contains("Kubeconfig file"), "{page}");
    for script in ["program.bash", "_program", "program.fish"] {
        let script = std::fs::read_to_string(folder.path().join("completions").join(script)).unwrap();
        assert!(script.contains("kubeconfig"), "{script}");
    }
}
