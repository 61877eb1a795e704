use super::*;
use crate::core::Endpoint;
use crate::scenario::flux::Controller;
use crate::status::{ClockStatus, ClusterStatus, Condition, LeaseStatus, STATUS_VERSION};

fn lane(name: &str, records: u64) -> LaneStatus {
    LaneStatus {
        lane: name.into(),
        records,
        bytes: records * 300,
        allocated_bytes: 1 << 20,
        quota_bytes: 128 << 20,
        oldest_age_seconds: (records > 0).then_some(7_200),
        lost_by_quota: 0,
        lost_by_damage: 0,
        quarantined: 0,
    }
}

fn link(endpoint: Endpoint, host: &str) -> LinkStatus {
    LinkStatus {
        endpoint,
        host: host.into(),
        state: "up".into(),
        since: Some("2026-11-23T00:00:00Z".into()),
        reason: None,
        next_try_seconds: None,
        attempts: 0,
    }
}

fn well() -> Shown {
    let status = Status {
        version: STATUS_VERSION,
        agent_version: "0.1.0".into(),
        time: "2026-11-23T02:00:00Z".into(),
        started: "2026-11-22T23:00:00Z".into(),
        pid: 123,
        cluster: "/subscriptions/1bfbb5d0-917e-4346-9026-1d3b344417f5/resourceGroups/edge-rg/providers/Microsoft.Kubernetes/connectedClusters/k3s-1".into(),
        clock: ClockStatus { state: "synced".into(), offset_seconds: Some(0) },
        links: vec![link(Endpoint::Kubernetes, "127.0.0.1:6443"), link(Endpoint::Ingest, "x.ingest.monitor.azure.com")],
        lanes: vec![lane("state", 0), lane("report", 0)],
        last_delivery: Some("2026-11-23T01:58:00Z".into()),
        delivered: 1_234,
        conditions: Vec::new(),
        flux: None,
        upgrade: None,
        lease: Default::default(),
        cluster_facts: Some(ClusterStatus {
            kubernetes_version: "v1.36.3+k3s1".into(),
            node_count: 1,
            vcpu_count: 4,
            observed: "2026-11-23T01:57:00Z".into(),
        }),
        desired: None,
        store_notes: Vec::new(),
    };
    Shown { answered_by: "agent", age_seconds: None, why_not_agent: None, status }
}

#[test]
fn a_quiet_day_fits_on_a_quiet_screen() {
    let shown = well();
    assert!(!shown.needs_attention());
    assert_eq!(
        screen(&shown),
        "\
arclet 0.1.0, process 123, started 3 h ago
Cluster    k3s-1 in resource group edge-rg, subscription 1bfbb5d0-917e-4346-9026-1d3b344417f5
           Kubernetes v1.36.3+k3s1, 1 node, 4 vCPUs, seen 3 min ago

Links
  kubernetes up for 2 h, 127.0.0.1:6443
  ingest     up for 2 h, x.ingest.monitor.azure.com

Backlog
  empty: everything was delivered

Delivered  1,234 records since the start, the last 2 min ago
Losses     none
Clock      right
"
    );
}

#[test]
fn an_outage_shows_reason_next_try_backlog_losses_and_clock() {
    let mut shown = well();
    let down = &mut shown.status.links[1];
    down.state = "down".into();
    down.reason =
        Some(Reason::new("Dns", "x.ingest.monitor.azure.com is not known here").cure("check the DNS server"));
    down.next_try_seconds = Some(40);
    down.attempts = 12;
    shown.status.lanes[1] = lane("report", 1_500);
    shown.status.lanes[1].lost_by_quota = 3;
    shown.status.lanes[1].quarantined = 1;
    shown.status.clock = ClockStatus { state: "wrong".into(), offset_seconds: Some(1_795_000_000) };
    shown.status.conditions.push(Condition {
        since: "2026-11-23T01:00:00Z".into(),
        about: "login".into(),
        reason: Reason::new("AADSTS7000222", "the client secret has expired").cure("make a new one\u{1b}[2J"),
    });
    assert!(shown.needs_attention());
    let text = screen(&shown);
    for line in [
        "  ingest     down for 2 h, x.ingest.monitor.azure.com",
        "             x.ingest.monitor.azure.com is not known here (Dns)",
        "             next step: check the DNS server",
        "             next try in 40 s, after 12 tries in vain",
        "  report     1,500 records, 439 KiB, oldest 2 h; 1.0 MiB of 128 MiB on disk",
        "Losses     report: 3 dropped because the quota was full; report: 1 refused by Azure (arclet outbox shows them)",
        "Clock      wrong: 20,775 days slow; reported times are corrected, set the clock (timedatectl)",
        "ATTENTION  login, since 60 min ago",
        "  next step: make a new one\\u{1b}[2J",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n---\n{text}");
    }
}

#[test]
fn a_dead_agents_last_word_is_marked_as_such() {
    let mut shown = well();
    shown.why_not_agent = Some(Reason::new("NotRunning", "no agent answers").cure("systemctl start arclet"));
    shown.age_seconds = Some(600);
    assert!(shown.needs_attention());
    let text = screen(&shown);
    assert!(text.starts_with("THE SERVICE DOES NOT ANSWER. This is its last word, 10 min old.\n"), "{text}");
    assert!(!text.contains("process 123"), "a dead process has no id");
}

#[test]
fn desired_state_has_a_line_and_a_failure_of_it_is_something_to_act_on() {
    let mut shown = well();
    let desired = DesiredSummary {
        last_pull: Some("2026-11-23T01:57:00Z".into()),
        documents: 3,
        enforced: 3,
        failed: 0,
    };
    shown.status.desired = Some(desired.clone());
    assert!(!shown.needs_attention());
    let line = "Desired    3 documents, 3 enforced; Azure was last listed 3 min ago";
    assert!(screen(&shown).lines().any(|l| l == line), "{}", screen(&shown));
    shown.status.desired = Some(DesiredSummary { last_pull: None, enforced: 2, failed: 1, ..desired });
    assert!(shown.needs_attention());
    let line = "Desired    3 documents, 2 enforced, 1 failed (arclet desired says why); Azure was not listed since the start";
    assert!(screen(&shown).lines().any(|l| l == line), "{}", screen(&shown));
}

#[test]
fn flux_has_a_line_with_its_controllers_and_says_what_is_wrong_with_them() {
    let mut shown = well();
    let controller = |name: &str, available| Controller {
        namespace: "flux-system".into(),
        name: name.into(),
        version: Some("v2.7.3".into()),
        available,
        reason: None,
    };
    let controllers = vec![controller("kustomize-controller", true), controller("source-controller", true)];
    let flux = FluxStatus {
        state: "available".into(),
        trouble: None,
        controllers,
        served: vec!["source.toolkit.fluxcd.io/v1".into()],
        observed: "2026-11-23T01:57:00Z".into(),
    };
    shown.status.flux = Some(flux.clone());
    let line = "Flux       available: kustomize-controller v2.7.3, source-controller v2.7.3; seen 3 min ago";
    assert!(screen(&shown).lines().any(|l| l == line), "{}", screen(&shown));
    let trouble = Reason::new("Forbidden", "GET /apis/apps/v1/deployments: forbidden (403)").cure("the role");
    shown.status.flux =
        Some(FluxStatus { state: "unknown".into(), trouble: Some(trouble), controllers: Vec::new(), ..flux });
    let text = screen(&shown);
    assert!(text.lines().any(|l| l == "Flux       unknown; seen 3 min ago"), "{text}");
    assert!(text.contains("Forbidden") && text.contains("the role"), "{text}");
}

#[test]
fn a_newer_release_has_a_line_with_its_train_and_since_when_and_is_nothing_to_act_on() {
    let mut shown = well();
    let line = |shown: &Shown| -> String {
        let screen = screen(shown);
        screen.lines().find(|line| line.starts_with("Upgrade")).unwrap_or_default().to_owned()
    };
    assert_eq!(line(&shown), "", "nobody looks");
    let upgrade = UpgradeStatus {
        train: "stable".into(),
        available: Some("0.2.0".into()),
        since: Some("2026-11-22T10:00:00.000Z".into()),
        released: None,
        last_look: Some("2026-11-23T01:57:00Z".into()),
    };
    shown.status.upgrade = Some(upgrade.clone());
    assert_eq!(
        line(&shown),
        "Upgrade    0.2.0 is available (stable, signed, since 2026-11-22T10:00:00.000Z); looked 3 min ago"
    );
    assert!(!shown.needs_attention());
    shown.status.upgrade = Some(UpgradeStatus { available: None, since: None, ..upgrade.clone() });
    let version = &shown.status.agent_version;
    assert_eq!(
        line(&shown),
        format!("Upgrade    none: stable has nothing newer than {version}; looked 3 min ago")
    );
    shown.status.upgrade = Some(UpgradeStatus { available: None, since: None, last_look: None, ..upgrade });
    assert_eq!(line(&shown), "Upgrade    nothing known of stable yet; not looked since the start");
}

#[test]
fn who_leads_has_a_line_only_where_there_is_somebody_else() {
    let line = |state: &str, holder: Option<&str>| {
        let mut shown = well();
        shown.status.lease =
            LeaseStatus { state: state.into(), me: "a_1".into(), holder: holder.map(str::to_owned) };
        assert!(!shown.needs_attention());
        screen(&shown).lines().find(|line| line.starts_with("Leads")).map(str::to_owned)
    };
    assert_eq!(line("alone", None), None);
    assert_eq!(line("unknown", None), None);
    assert_eq!(
        line("leader", Some("a_1")).as_deref(),
        Some("Leads      this device, for all nodes of the cluster")
    );
    assert_eq!(line("candidate", Some("b_2")).as_deref(), Some("Leads      b_2; this device stands by"));
    for none in [None, Some("a_1")] {
        let said = line("candidate", none);
        assert_eq!(said.as_deref(), Some("Leads      no device at present; this one stands by"));
    }
}
