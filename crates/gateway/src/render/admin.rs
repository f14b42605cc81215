//! What a GatewayConfig says about dataplane processes as a whole.

use config::{Admin, Limits};

use super::world::problem;
use crate::{Finding, Problem, api::GatewayConfig};

pub(super) fn admin(config: &GatewayConfig, name: String, problems: &mut Vec<Problem>) -> Admin {
    let quota = config.spec.user_quota.unwrap_or_default().clamp(0, u32::MAX.into());
    Admin {
        name,
        loglevel: config.spec.log_level.clone().unwrap_or_default(),
        user_quota: u32::try_from(quota).unwrap_or_default(),
        limits: limits(config, problems),
        ..Admin::default()
    }
}

/// One that cannot be is the default.
fn limits(config: &GatewayConfig, problems: &mut Vec<Problem>) -> Limits {
    let given = config.spec.limits.unwrap_or_default();
    let mut limit = |name, given: Option<i64>| {
        let given = given.unwrap_or_default();
        u16::try_from(given).unwrap_or_else(|_| {
            let known = "give a number from 0 to 65535";
            let finding = Finding::UnknownValue { value: given.to_string(), instead: "the default", known };
            problems.push(problem(config, format!("spec.limits.{name}"), finding));
            0
        })
    };
    Limits {
        permissions: limit("permissions", given.permissions),
        channels: limit("channels", given.channels),
        connections: limit("connections", given.connections),
        allocations_per_address: limit("allocationsPerAddress", given.allocations_per_address),
        handshakes: limit("handshakes", given.handshakes),
        handshakes_per_address: limit("handshakesPerAddress", given.handshakes_per_address),
    }
}
