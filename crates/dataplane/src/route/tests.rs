use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn rules(cluster: u16, endpoints: &[&str]) -> Vec<Rule> {
    let endpoints: Vec<config::Endpoint> = endpoints.iter().map(|text| text.parse().unwrap()).collect();
    static_rules(ClusterId(cluster), PeerProtocol::Udp, &endpoints).collect()
}

fn table(rules: Vec<Vec<Rule>>, own: &[&str]) -> Routes {
    let own = own.iter().map(|text| ip(text)).collect();
    let guard = Guard::new(own, vec![Ports { first: 32_768, last: 60_999 }]);
    Routes::new(rules.concat(), Arc::new(guard))
}

fn udp(routes: &Routes, peer: &str, port: u16) -> Option<u16> {
    routes.grant(ip(peer)).cluster(PeerProtocol::Udp, port).map(|cluster| cluster.0)
}

#[test]
fn p01_peers_are_admitted_by_any_address_range_or_any_of_several_routes() {
    assert_eq!(udp(&table(vec![rules(0, &["0.0.0.0/0"])], &[]), "203.0.113.9", 5), Some(0));
    assert_eq!(udp(&table(vec![rules(0, &["10.0.0.1"])], &[]), "10.0.0.1", 5), Some(0));
    assert_eq!(udp(&table(vec![rules(0, &["10.0.0.1", "10.0.0.2"])], &[]), "10.0.0.2", 5), Some(0));
    let two = table(vec![rules(0, &["10.0.0.1"]), rules(1, &["10.0.0.2"])], &[]);
    assert_eq!(udp(&two, "10.0.0.2", 5), Some(1));
}

#[test]
fn p02_peers_outside_every_routed_cluster_are_refused() {
    let two = table(vec![rules(0, &["10.0.0.1", "10.0.0.3"]), rules(1, &["10.1.0.0/16"])], &[]);
    for peer in ["10.0.0.2", "10.2.0.1", "::1", "2001:db8::1"] {
        assert!(two.grant(ip(peer)).is_refused(), "{peer}");
    }
    assert!(table(vec![], &[]).grant(ip("10.0.0.1")).is_refused());
}

#[test]
fn p06_the_first_full_match_in_route_order_wins_and_ports_do_not_shadow() {
    let routes = table(
        vec![rules(0, &["10.0.0.0/8:<1-10>"]), rules(1, &["10.0.0.1:<5-20>"]), rules(2, &["0.0.0.0/0"])],
        &[],
    );
    assert_eq!(udp(&routes, "10.0.0.1", 7), Some(0), "the first of those that match, not the narrowest");
    assert_eq!(udp(&routes, "10.0.0.1", 15), Some(1), "another cluster's ports do not hide this one's");
    assert_eq!(udp(&routes, "10.0.0.1", 99), Some(2));
    assert_eq!(udp(&routes, "10.0.0.2", 15), Some(2));
}

#[test]
fn p06_routes_are_scoped_by_protocol() {
    let endpoint = ["10.0.0.1".parse().unwrap()];
    let routes = Routes::new(
        static_rules(ClusterId(4), PeerProtocol::Tcp, &endpoint)
            .chain(resolved_rules(ClusterId(5), PeerProtocol::Udp, [ip("10.0.0.1")]))
            .collect(),
        Arc::new(Guard::new(Vec::new(), vec![Ports::ALL])),
    );
    let grant = routes.grant(ip("10.0.0.1"));
    assert_eq!(grant.cluster(PeerProtocol::Tcp, 9), Some(ClusterId(4)));
    assert_eq!(grant.cluster(PeerProtocol::Udp, 9), Some(ClusterId(5)));
}

#[test]
fn an_inverted_port_range_admits_nothing() {
    assert!(table(vec![rules(0, &["10.0.0.1:<9-5>"])], &[]).grant(ip("10.0.0.1")).is_refused());
}

#[test]
fn any_wildcard_cluster_opens_link_local_metadata_service_loopback_own_pod() {
    let special = [
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
    ];
    let open = table(vec![rules(0, &["0.0.0.0/0", "::/0", "126.0.0.0/7"])], &["10.9.9.9", "fd00::9"]);
    for peer in special {
        assert!(open.grant(ip(peer)).is_refused(), "{peer}");
    }
    for peer in ["10.1.2.3", "192.168.0.1", "100.64.0.1", "8.8.8.8", "fd00::1", "2001:db8::1"] {
        assert_eq!(udp(&open, peer, 1), Some(0), "{peer}");
    }
    for own in ["10.9.9.9", "fd00::9"] {
        assert_eq!(udp(&open, own, 3478), None, "{own}");
        assert_eq!(udp(&open, own, 40_000), Some(0), "{own}: relays of this gateway can be reached");
    }
}

#[test]
fn an_endpoint_inside_a_special_range_opens_it() {
    let named = table(
        vec![rules(0, &["127.0.0.0/8", "169.254.169.254", "::1", "10.9.9.9"])],
        &["10.9.9.9", "127.0.0.1"],
    );
    for peer in ["127.0.0.1", "127.3.2.1", "169.254.169.254", "::1", "10.9.9.9"] {
        assert_eq!(udp(&named, peer, 53), Some(0), "{peer}");
    }
    assert_eq!(udp(&named, "169.254.169.253", 53), None);
}

/// The table against the obvious way to do it, on prefixes of every length around the same few addresses.
#[test]
fn ipv6_ranges_compared_byte_by_byte_so_that_they_match_too_little() {
    let bases = ["2001:db8:ffff:8000:1:2:3:4", "2001:db8:7fff::", "10.200.3.4", "10.201.3.4"];
    let nets: Vec<IpNet> = bases
        .iter()
        .flat_map(|base| {
            let base = ip(base);
            (0..=if base.is_ipv4() { 32 } else { 128 }).map(move |len| IpNet::new(base, len).unwrap().trunc())
        })
        .collect();
    for net in &nets {
        let endpoint = config::Endpoint::from(*net);
        let routes = Routes::new(
            static_rules(ClusterId(0), PeerProtocol::Udp, &[endpoint]).collect(),
            Arc::new(Guard { special: Vec::new(), own: Vec::new(), relay_ports: vec![Ports::ALL] }),
        );
        for peer in nets.iter().flat_map(|net| [net.network(), net.broadcast()]) {
            assert_eq!(!routes.grant(peer).is_refused(), net.contains(&peer), "{net} {peer}");
        }
    }
}
