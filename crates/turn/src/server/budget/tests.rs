use std::time::Duration;

use super::ReplyBudget;
use crate::testing::START;

#[test]
fn source_gets_two_seconds_worth_at_once_and_then_its_rate() {
    let start = *START;
    let mut budget = ReplyBudget::new(10, start, 1);
    let source = "198.51.100.1".parse().unwrap();
    let spent = |budget: &mut ReplyBudget, at| (0..100).filter(|_| budget.spend(source, at)).count();
    assert_eq!(spent(&mut budget, start), 20);
    assert_eq!(spent(&mut budget, start + Duration::from_millis(99)), 0);
    assert_eq!(spent(&mut budget, start + Duration::from_millis(100)), 1);
    assert_eq!(spent(&mut budget, start + Duration::from_secs(1)), 9);
    assert_eq!(spent(&mut budget, start + Duration::from_secs(100)), 20);
}

#[test]
fn addresses_of_one_ipv6_network_share_a_budget() {
    let mut budget = ReplyBudget::new(1, *START, 1);
    assert!(budget.spend("2001:db8::1".parse().unwrap(), *START));
    assert!(budget.spend("2001:db8::2".parse().unwrap(), *START));
    assert!(!budget.spend("2001:db8::3".parse().unwrap(), *START));
}
