use std::time::Duration;

use super::*;

fn start() -> Instant {
    crate::clock::now()
}

fn keeper(connections: usize, burst: u32) -> Doorkeeper {
    Doorkeeper::new(Limits {
        connections_per_address: connections,
        queries_per_address: Rate { burst, per_second: 1 },
        ..Limits::default()
    })
}

#[test]
fn w17_connections_are_counted_per_address() {
    let (a, b): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    let mut door = keeper(2, 1);
    assert!(door.enter(a, start()) && door.enter(a, start()));
    assert!(!door.enter(a, start()));
    assert!(
        !door.enter("::ffff:192.0.2.1".parse().unwrap(), start()),
        "the mapped spelling is the same visitor"
    );
    assert!(door.enter(b, start()));
    door.left(a);
    assert!(door.enter(a, start()));
}

#[test]
fn w17_an_ipv6_visitor_is_a_whole_64() {
    let mut door = keeper(1, 1);
    assert!(door.enter("2001:db8::1".parse().unwrap(), start()));
    assert!(!door.enter("2001:db8::ffff:1".parse().unwrap(), start()));
    assert!(door.enter("2001:db8:0:1::1".parse().unwrap(), start()));
}

#[test]
fn w17_questions_come_back_with_time() {
    let a: IpAddr = "192.0.2.1".parse().unwrap();
    let (mut door, t) = (keeper(1, 2), start());
    assert!(door.may_query(a, t) && door.may_query(a, t) && !door.may_query(a, t));
    assert!(door.may_query(a, t + Duration::from_secs(1)));
    assert!(!door.may_query(a, t + Duration::from_secs(1)));
    let later = t + Duration::from_secs(1000);
    assert!(door.may_query(a, later) && door.may_query(a, later) && !door.may_query(a, later));
}

#[test]
fn a_flood_of_addresses_is_forgotten() {
    let (mut door, t) = (keeper(1, 1), start());
    for n in 0..3 * FORGET_ABOVE {
        let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(u32::try_from(n).unwrap()));
        assert!(door.enter(address, t));
        door.left(address);
    }
    assert!(door.visitors.len() <= FORGET_ABOVE);
}
