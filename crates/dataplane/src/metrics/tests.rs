use super::*;

fn lines(metrics: &Arc<Metrics>, prefix: &str) -> Vec<String> {
    let text = encode(metrics).unwrap();
    text.lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect()
}

#[test]
fn series_appear_with_their_first_use_and_sum_over_workers() {
    let metrics = Arc::new(Metrics::new(2));
    let listener = metrics.listener("ns/gw/udp");
    let cluster = metrics.cluster("ns/route");
    assert!(lines(&metrics, "stunner_listener").is_empty());
    assert!(lines(&metrics, "stunner_cluster").is_empty());
    assert_eq!(lines(&metrics, "stunner_allocations_active"), ["stunner_allocations_active 0"]);

    listener.of(0).rx.count(100);
    listener.of(1).rx.count(20);
    cluster.of(1).tx.count(16);
    assert_eq!(
        lines(&metrics, "stunner_listener_"),
        [
            r#"stunner_listener_packets_total{name="ns/gw/udp",direction="rx"} 2"#,
            r#"stunner_listener_bytes_total{name="ns/gw/udp",direction="rx"} 120"#,
        ]
    );
    assert_eq!(
        lines(&metrics, "stunner_cluster_"),
        [
            r#"stunner_cluster_packets_total{name="ns/route",direction="tx"} 1"#,
            r#"stunner_cluster_bytes_total{name="ns/route",direction="tx"} 16"#,
        ]
    );
}

#[test]
fn the_gauge_of_connections_is_what_was_opened_and_not_closed() {
    let metrics = Arc::new(Metrics::new(2));
    let listener = metrics.listener("l");
    listener.of(0).opened.add(1);
    listener.of(1).opened.add(2);
    listener.of(1).closed.add(1);
    assert_eq!(
        lines(&metrics, "stunner_listener_connections"),
        [r#"stunner_listener_connections{name="l"} 2"#, r#"stunner_listener_connections_total{name="l"} 3"#,]
    );
}

#[test]
fn handshakes_are_counted_by_how_they_ended() {
    let metrics = Arc::new(Metrics::new(2));
    let listener = metrics.listener("l");
    assert!(lines(&metrics, "stunner_listener_handshakes").is_empty());
    for (number, outcome) in HandshakeEnd::ALL.into_iter().enumerate() {
        assert_eq!(number, outcome as usize);
    }
    listener.of(0).handshakes[HandshakeEnd::Completed as usize].add(1);
    listener.of(1).handshakes[HandshakeEnd::Completed as usize].add(1);
    listener.of(1).handshakes[HandshakeEnd::TimedOut as usize].add(1);
    assert_eq!(
        lines(&metrics, "stunner_listener_handshakes"),
        [
            r#"stunner_listener_handshakes_total{name="l",outcome="completed"} 2"#,
            r#"stunner_listener_handshakes_total{name="l",outcome="timed_out"} 1"#,
        ]
    );
}

#[test]
fn a_listener_that_comes_back_goes_on_counting() {
    let metrics = Metrics::new(1);
    metrics.listener("l").of(0).rx.count(1);
    metrics.listener("l").of(0).rx.count(1);
    assert_eq!(metrics.listener("l").sum(|traffic| &traffic.rx.packets), 2);
}

#[test]
fn losses_carry_their_reason() {
    let metrics = Arc::new(Metrics::new(1));
    assert!(lines(&metrics, "stunner_packets_dropped").is_empty());
    metrics.worker(0).slow_reader.add(3);
    metrics.worker(0).dropped[DropReason::NoPermission as usize].set(4);
    assert_eq!(
        lines(&metrics, "stunner_packets_dropped"),
        [
            r#"stunner_packets_dropped_total{reason="no_permission"} 4"#,
            r#"stunner_packets_dropped_total{reason="slow_reader"} 3"#,
        ]
    );
}

#[test]
fn the_process_describes_itself() {
    let metrics = Arc::new(Metrics::new(1));
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        assert_eq!(lines(&metrics, name).len(), 1, "{name}");
    }
}

#[test]
fn a_gauge_and_a_counter_of_nearly_one_name_are_two_families() {
    let metrics = Arc::new(Metrics::new(1));
    metrics.listener("l").of(0).opened.add(1);
    assert_eq!(
        lines(&metrics, "# TYPE stunner_listener_connections"),
        ["# TYPE stunner_listener_connections gauge", "# TYPE stunner_listener_connections_total counter",]
    );
    assert_eq!(lines(&metrics, "# HELP stunner_listener_connections_total").len(), 1);
    assert!(lines(&metrics, "# EOF").is_empty());
}

#[test]
fn configurations_and_look_ups_are_counted_by_their_result() {
    let metrics = Arc::new(Metrics::new(1));
    assert!(lines(&metrics, "stunner_configuration").is_empty());
    metrics.configuration(true, 1_700_000_000);
    metrics.configuration(false, 1_700_000_060);
    metrics.lookups.count(true);
    assert_eq!(
        lines(&metrics, "stunner_configuration"),
        [
            r#"stunner_configurations_total{result="applied"} 1"#,
            r#"stunner_configurations_total{result="refused"} 1"#,
            "stunner_configuration_applied_timestamp_seconds 1700000000",
        ]
    );
    assert_eq!(lines(&metrics, "stunner_dns"), [r#"stunner_dns_lookups_total{result="answered"} 1"#]);
}
