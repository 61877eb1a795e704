//! Each fault on each endpoint: what the client gets, and whether the request was carried out.

use crate::rig::{ARM, MONITOR, PATIENCE, Reply, Rig, VAULT, VERSION, encode, new_cluster, secret_form};
use azure_standin::{DEVICE, Endpoint, Fault, OPERATOR, Shape, TENANT, cluster_id};
use std::time::{Duration, Instant};

const STREAM: &str = "Custom-ArcletHeartbeat";
const ROWS: &[u8] = br#"[{"TimeGenerated": "2026-11-22T15:10:02.123Z"}]"#;

/// A request to each endpoint that is right, and that leaves a trace where it was carried out.
struct Bench {
    rig: Rig,
    arm: String,
    monitor: String,
    vault: String,
}

impl Bench {
    fn new() -> Bench {
        let rig = Rig::new();
        rig.azure.operations(Shape::Sync, 0, 0);
        rig.azure.put_file("x", b"a file");
        let bearer = |who, scope| format!("Bearer {}", rig.token(who, scope));
        let (arm, monitor, vault) = (bearer(OPERATOR, ARM), bearer(DEVICE, MONITOR), bearer(OPERATOR, VAULT));
        Bench { arm, monitor, vault, rig }
    }

    fn send(&self, endpoint: Endpoint, patience: Duration) -> Result<Reply, ureq::Error> {
        let azure = &self.rig.azure;
        let json = ("content-type", "application/json");
        match endpoint {
            Endpoint::Login => self.rig.send(
                "POST",
                &format!("{}/{TENANT}/oauth2/v2.0/token", azure.login_url()),
                &[("content-type", "application/x-www-form-urlencoded")],
                encode(&secret_form(DEVICE, ARM)).as_bytes(),
                patience,
            ),
            Endpoint::Arm => self.rig.send(
                "PUT",
                &format!("{}{}{VERSION}", azure.arm_url(), cluster_id("k3s-1")),
                &[json, ("authorization", self.arm.as_str())],
                new_cluster().to_string().as_bytes(),
                patience,
            ),
            Endpoint::Ingest => self.rig.send(
                "POST",
                &format!("{}{}", azure.ingest_url(), self.rig.ingest_path(STREAM)),
                &[json, ("authorization", self.monitor.as_str())],
                ROWS,
                patience,
            ),
            Endpoint::Vault => self.rig.send(
                "PUT",
                &format!("{}/secrets/git?api-version=7.4", azure.vault_url()),
                &[json, ("authorization", self.vault.as_str())],
                br#"{"value": "v"}"#,
                patience,
            ),
            Endpoint::Registry => {
                self.rig.send("GET", &format!("{}/files/x", azure.registry_url()), &[], b"", patience)
            }
        }
    }

    fn call(&self, endpoint: Endpoint) -> Result<Reply, ureq::Error> {
        self.send(endpoint, PATIENCE)
    }

    fn carried_out(&self, endpoint: Endpoint) -> bool {
        match endpoint {
            // A token that was given out leaves no trace that a test can see, nor does what was only read.
            Endpoint::Login | Endpoint::Registry => true,
            Endpoint::Arm => !self.rig.azure.clusters().is_empty(),
            Endpoint::Ingest => self.rig.azure.arrived_count() > 0,
            Endpoint::Vault => self.rig.azure.secret_versions("git") > 0,
        }
    }

    fn is_well(&self, endpoint: Endpoint) -> bool {
        self.call(endpoint).is_ok_and(|reply| matches!(reply.status, 200 | 204))
    }
}

/// Whether a request to it that was carried out looks as one that was not.
fn traceless(endpoint: Endpoint) -> bool {
    matches!(endpoint, Endpoint::Login | Endpoint::Registry)
}

fn on_each(test: impl Fn(Bench, Endpoint)) {
    Endpoint::ALL.into_iter().for_each(|endpoint| test(Bench::new(), endpoint));
}

#[test]
fn without_a_fault_all_is_well() {
    on_each(|bench, endpoint| {
        assert!(!bench.carried_out(endpoint) || traceless(endpoint));
        assert!(bench.is_well(endpoint) && bench.carried_out(endpoint), "{endpoint:?}");
    });
}

#[test]
fn a_fault_ends_after_as_many_requests_as_were_asked_for_and_is_on_one_endpoint_only() {
    on_each(|bench, endpoint| {
        bench.rig.azure.set_fault(endpoint, Fault::Error(503, "ServiceUnavailable".into()), Some(2));
        let statuses: Vec<u16> = (0..3).map(|_| bench.call(endpoint).unwrap().status).collect();
        assert_eq!(&statuses[..2], [503, 503]);
        assert!(statuses[2] < 300);
        bench.rig.azure.set_fault(endpoint, Fault::Reset, None);
        for other in Endpoint::ALL.into_iter().filter(|e| *e != endpoint) {
            assert!(bench.is_well(other), "{other:?}");
        }
        assert!(bench.call(endpoint).is_err());
        bench.rig.azure.clear_fault(endpoint);
        assert!(bench.is_well(endpoint));
    });
}

#[test]
fn errors_and_throttling_come_in_the_words_of_the_api_and_nothing_is_carried_out() {
    on_each(|bench, endpoint| {
        bench.rig.azure.set_fault(endpoint, Fault::Error(500, "server_error".into()), Some(1));
        let reply = bench.call(endpoint).unwrap();
        let body = reply.json();
        let code = match endpoint {
            Endpoint::Login => &body["error"],
            Endpoint::Registry => &body["errors"][0]["code"],
            _ => &body["error"]["code"],
        };
        assert_eq!((reply.status, code.as_str()), (500, Some("server_error")));
        bench.rig.azure.set_fault(endpoint, Fault::Throttled(17), Some(1));
        let reply = bench.call(endpoint).unwrap();
        assert_eq!((reply.status, reply.header("retry-after")), (429, Some("17")));
        assert!(!bench.carried_out(endpoint) || traceless(endpoint));
    });
}

#[test]
fn pages_redirects_and_monsters_are_no_answers_of_the_api_and_nothing_is_carried_out() {
    on_each(|bench, endpoint| {
        let under = |fault| {
            bench.rig.azure.set_fault(endpoint, fault, Some(1));
            bench.call(endpoint).unwrap()
        };
        for status in [200, 502] {
            let page = under(Fault::Html(status));
            assert_eq!((page.status, page.header("content-type")), (status, Some("text/html")));
        }
        let away = under(Fault::Redirect);
        assert_eq!((away.status, away.header("location")), (302, Some("https://192.0.2.1/login")));
        assert_eq!(under(Fault::Huge(5 << 20)).body.len(), 5 << 20);
        assert_eq!(under(Fault::HugeHeader(200_000)).header("x-huge").unwrap().len(), 200_000);
        let deep = under(Fault::Deep(10_000));
        assert_eq!((deep.status, deep.body.len()), (200, 20_000));
        assert!(serde_json::from_slice::<serde_json::Value>(&deep.body).is_err());
        assert!(!bench.carried_out(endpoint) || traceless(endpoint));
    });
}

#[test]
fn what_is_cut_off_is_an_error_and_was_carried_out_unless_it_was_reset_before() {
    on_each(|bench, endpoint| {
        let under = |fault| {
            bench.rig.azure.set_fault(endpoint, fault, Some(1));
            bench.call(endpoint)
        };
        assert!(under(Fault::Reset).is_err());
        assert!(!bench.carried_out(endpoint) || traceless(endpoint));
        assert!(under(Fault::ResetAfter).is_err());
        assert!(bench.carried_out(endpoint));
        assert!(under(Fault::Truncated).is_err());
        assert!(bench.is_well(endpoint));
    });
}

#[test]
fn a_stalled_endpoint_never_answers_and_answers_again_when_the_fault_ends() {
    on_each(|bench, endpoint| {
        bench.rig.azure.set_fault(endpoint, Fault::Stall, None);
        // However long one waits; a test does not wait long.
        assert!(matches!(bench.send(endpoint, Duration::from_millis(200)), Err(ureq::Error::Timeout(_))));
        assert!(!bench.carried_out(endpoint) || traceless(endpoint));
        bench.rig.azure.clear_fault(endpoint);
        assert!(bench.is_well(endpoint));
    });
}

#[test]
fn a_slow_answer_is_the_right_one_and_not_earlier_than_that() {
    on_each(|bench, endpoint| {
        bench.rig.azure.set_fault(endpoint, Fault::Slow(Duration::from_millis(150)), Some(1));
        let start = Instant::now();
        assert!(bench.is_well(endpoint));
        assert!(start.elapsed() >= Duration::from_millis(150));
    });
}

#[test]
fn a_body_that_trickles_comes_whole_to_who_waits_for_it() {
    on_each(|bench, endpoint| {
        bench.rig.azure.set_fault(endpoint, Fault::Trickle(16, Duration::from_millis(1)), Some(1));
        assert!(bench.is_well(endpoint) && bench.carried_out(endpoint));
        if endpoint == Endpoint::Ingest {
            return; // its answer has no body
        }
        // At a byte a minute nobody waits; a test waits for less.
        bench.rig.azure.set_fault(endpoint, Fault::Trickle(1, Duration::from_secs(60)), None);
        let impatient = bench.send(endpoint, Duration::from_millis(200));
        assert!(impatient.is_err(), "{endpoint:?} {impatient:?}");
        bench.rig.azure.clear_fault(endpoint);
        assert!(bench.is_well(endpoint));
    });
}

#[test]
fn a_cut_link_refuses_connections_ends_open_ones_and_comes_back_on_its_port() {
    on_each(|bench, endpoint| {
        assert!(bench.is_well(endpoint));
        let before = bench.rig.azure.stats(endpoint);
        bench.rig.azure.cut(endpoint);
        assert!(bench.call(endpoint).is_err());
        assert_eq!(bench.rig.azure.stats(endpoint).requests, before.requests);
        for other in Endpoint::ALL.into_iter().filter(|e| *e != endpoint) {
            assert!(bench.is_well(other), "{other:?}");
        }
        bench.rig.azure.restore(endpoint);
        assert!(bench.is_well(endpoint));
        let after = bench.rig.azure.stats(endpoint);
        // The client had a ticket: the second handshake is short.
        assert_eq!(after.full_handshakes + after.resumed_handshakes, after.connections);
        assert!(
            after.connections > before.connections && after.resumed_handshakes > before.resumed_handshakes
        );
        assert!(after.bytes_in > before.bytes_in && after.bytes_out > before.bytes_out);
    });
}
