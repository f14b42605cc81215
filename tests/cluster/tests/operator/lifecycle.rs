//! Start, stop, and everything that goes away in between.

use cluster::Operator;

use crate::fixture::{
    CLASS, DEPLOYMENT, ROUTE, ROUTE_AND_BACKEND, SERVICE, World, condition, endpoints, is_idle, listener,
    server,
};

#[test]
fn z01_with_the_finalizer_everything_goes() {
    let Some(mut world) = World::start("z01", &["--enable-finalizer"]) else { return };
    world.apply(ROUTE_AND_BACKEND);
    world.await_config("endpoints", |config| endpoints(config) == 5);
    let (deployment, service) = (world.at(DEPLOYMENT, "gateway-1"), world.at(SERVICE, "gateway-1"));
    world.api.await_object(&deployment, "there", |_| true);
    world.api.await_object(&service, "there", |_| true);
    world.api.await_object(&world.at(ROUTE, "udproute-ok"), "accepted", |route| {
        !route["status"]["parents"].is_null()
    });
    assert!(world.operator.take().unwrap().stop().success());
    assert!(world.api.find(&deployment).is_none() && world.api.find(&service).is_none());
    let class = world.api.get(&format!("{CLASS} z01"));
    assert_eq!(condition(&class["status"]["conditions"], "Accepted").0, "False");
    let gateway = world.api.get(&world.gateway());
    assert_eq!(condition(&gateway["status"]["conditions"], "Accepted").0, "False");
    assert_eq!(condition(&gateway["status"]["conditions"], "Programmed").0, "False");
    let conditions = &listener(&gateway["status"], crate::fixture::UDP)["conditions"];
    assert_eq!(condition(conditions, "Accepted").0, "Unknown");
    assert_eq!(condition(conditions, "ResolvedRefs").0, "True");
    assert_eq!(condition(conditions, "Conflicted").0, "False");
    let route = world.api.get(&world.at(ROUTE, "udproute-ok"));
    assert_eq!(condition(&route["status"]["parents"][0]["conditions"], "Accepted").0, "True");
    assert_eq!(condition(&route["status"]["parents"][0]["conditions"], "ResolvedRefs").0, "True");
}

#[test]
fn z02_without_it_everything_stays_and_o01_a_restart_writes_nothing() {
    let Some(mut world) = World::start("z02", &[]) else { return };
    world.apply(ROUTE_AND_BACKEND);
    world.await_config("endpoints", |config| endpoints(config) == 5);
    world.api.await_object(&world.at(ROUTE, "udproute-ok"), "accepted", |route| {
        !route["status"]["parents"].is_null()
    });
    world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "there", |_| true);
    world.api.await_object(&world.at(SERVICE, "gateway-1"), "there", |_| true);
    world.await_idle();
    let before = world.versions();
    let stopped = world.operator.take().unwrap().stop();
    assert!(stopped.success());
    assert_eq!(world.versions(), before);
    world.start_operator();
    world.await_config("endpoints", |config| endpoints(config) == 5);
    world.await_idle();
    assert_eq!(world.versions(), before);
}

impl World {
    /// Versions of everything that is written for the Gateway and the route of the fixture.
    pub(crate) fn versions(&self) -> Vec<serde_json::Value> {
        let class = format!("{CLASS} {}", self.name);
        let all = [
            self.at(DEPLOYMENT, "gateway-1"),
            self.at(SERVICE, "gateway-1"),
            self.gateway(),
            self.at(ROUTE, "udproute-ok"),
            class,
        ];
        all.iter().map(|reference| self.api.get(reference)["metadata"]["resourceVersion"].clone()).collect()
    }

    /// Waits until the operator has written everything that it has to.
    #[track_caller]
    pub(crate) fn await_idle(&self) {
        self.await_idle_of(self.operator());
    }

    /// The same for an operator that was started in another way.
    #[track_caller]
    pub(crate) fn await_idle_of(&self, operator: &Operator) {
        operator.await_ready();
        let deadline = kit::Deadline::default();
        let mut quiet = 0;
        // Between two looks there is time for a change to be noted and rendered.
        while quiet < 5 {
            quiet = if is_idle(&operator.metrics()) { quiet + 1 } else { 0 };
            assert!(deadline.left().is_some(), "{}", operator.metrics());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

#[test]
fn w13_only_the_leader_writes_and_the_others_serve() {
    let Some(world) =
        World::without_operator("w13", &["--leader-elect", "--leader-election-namespace=stunner-system"])
    else {
        return;
    };
    let server = server().unwrap();
    let first = Operator::start(server, &world.options);
    first.process().await_line("leading from now on");
    first.discovery().await_config("w13/gateway-1", "there", |_| true);
    let second = Operator::start(server, &world.options);
    second.discovery().await_config("w13/gateway-1", "there", |_| true);
    second.await_ready();
    assert_eq!(second.probe("/readyz").0, 200);
    assert!(second.metrics().contains("stunner_gateway_operator_leader 0"));
    assert!(!second.metrics().contains("resource_operations_total"), "it has written nothing");
    // A leader that ends lets go of the lease.
    assert!(first.stop().success());
    second.process().await_line("leading from now on");
    world.api.delete(&world.at(DEPLOYMENT, "gateway-1"));
    world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "made by the second", |_| true);
}

#[test]
fn w01_nothing_is_touched_before_everything_was_seen() {
    let Some(mut world) = World::start("w01", &[]) else { return };
    world.apply(ROUTE_AND_BACKEND);
    world.await_config("endpoints", |config| endpoints(config) == 5);
    world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "there", |_| true);
    drop(world.operator.take());
    // Killed and started again: the first configuration is the right one.
    world.start_operator();
    let first = world.await_config("the first one", |_| true);
    assert_eq!(endpoints(&first), 5);
    world.operator().await_ready();
    let (status, text) = world.operator().probe("/readyz");
    assert_eq!((status, text.as_str()), (200, "ok\n"));
}
