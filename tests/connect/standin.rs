//! Against the strict stand-in, which Microsoft's own clients have checked: least roles, headers, versions, long-running
//! operations of every shape. The device's whole life: dry run, connect, doctor, disconnect.

use crate::rig::{Ran, Rig};
use azure_standin::{
    Azure, DEVICE, GROUP, OPERATOR, Options, RULE, Role, SUBSCRIPTION, TENANT, cluster_id, rule_id,
};

struct Strict {
    azure: Azure,
    /// Its cluster, directories and files; its scripted Azure is not used.
    rig: Rig,
}

impl Strict {
    fn new() -> Strict {
        let strict = Strict { azure: Azure::start(Options::default()).unwrap(), rig: Rig::new() };
        strict.rig.secret("device-secret", DEVICE.1);
        strict.rig.secret("operator-secret", OPERATOR.1);
        std::fs::write(strict.rig.path("ca.pem"), strict.azure.ca_pem()).unwrap();
        strict
    }

    fn connect(&self, more: &[&str]) -> Ran {
        let path = |name: &str| self.rig.path(name).display().to_string();
        let args = [
            ("cluster-id", cluster_id("k3s-1")),
            ("tenant", TENANT.to_owned()),
            ("client-id", DEVICE.0.to_owned()),
            ("client-secret-file", path("device-secret")),
            ("operator-client-id", OPERATOR.0.to_owned()),
            ("operator-client-secret-file", path("operator-secret")),
            ("login-endpoint", self.azure.login_url()),
            ("arm-endpoint", self.azure.arm_url()),
            ("kubeconfig", path("admin.yaml")),
            ("ca-file", path("ca.pem")),
            ("config-dir", path("etc")),
            ("state-dir", path("state")),
        ]
        .map(|(name, value)| format!("--{name}={value}"));
        let ran = self.rig.run("connect", &args, more);
        assert!(![DEVICE.1, OPERATOR.1].iter().any(|secret| ran.all().contains(secret)));
        ran
    }

    fn rule(&self) -> [String; 2] {
        [format!("--dcr-endpoint={}", self.azure.ingest_url()), format!("--dcr-id={RULE}")]
    }

    fn disconnect(&self) -> Ran {
        let path = |name: &str| self.rig.path(name).display().to_string();
        let args = [
            format!("--operator-client-id={}", OPERATOR.0),
            format!("--operator-client-secret-file={}", path("operator-secret")),
            format!("--kubeconfig={}", path("admin.yaml")),
            format!("--config-dir={}", path("etc")),
            "--yes".to_owned(),
        ];
        self.rig.run("disconnect", &args, &[])
    }
}

#[test]
fn a_devices_life_from_dry_run_to_disconnect() {
    let strict = Strict::new();
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}");
    // The least role that the documentation names is enough to connect.
    strict.azure.set_roles(OPERATOR.0, vec![Role::onboarding(&group)]);
    strict.azure.operations(azure_standin::Shape::Async, 2, 0);
    let [endpoint, rule] = strict.rule();
    strict.connect(&[&endpoint, &rule, "--dry-run"]).ok();
    assert!(strict.azure.clusters().is_empty());

    let ran = strict.connect(&[&endpoint, &rule, "--tag=site=store-17"]).ok();
    assert!(!ran.out.contains("FAILED"), "{}", ran.out);
    let cluster = strict.azure.cluster(&cluster_id("k3s-1")).unwrap();
    assert_eq!(cluster["tags"]["site"], "store-17");
    assert_eq!(cluster["properties"]["distribution"], "k3s");
    assert!(strict.rig.agent_works());

    let config = format!("--config={}", strict.rig.path("etc/arclet.toml").display());
    let ran = strict.rig.run("doctor", &[config], &[]);
    // Every hop of this machine is fine; the one thing that is missing is the service.
    assert_eq!(ran.code, Some(2), "{}", ran.all());
    assert!(ran.out.contains("The first to fail: service."), "{}", ran.out);

    strict.azure.set_roles(OPERATOR.0, vec![Role::contributor(&group)]);
    strict.disconnect().ok();
    assert!(strict.azure.clusters().is_empty());
    assert!(strict.rig.objects().is_empty());
    assert_eq!(strict.azure.violations(), Vec::<String>::new());
}

#[test]
fn a_cluster_of_microsofts_agents_is_refused() {
    let strict = Strict::new();
    strict.azure.seed_arc_cluster(&cluster_id("k3s-1"));
    let before = strict.azure.clusters();
    let [endpoint, rule] = strict.rule();
    let ran = strict.connect(&[&endpoint, &rule, "--adopt"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("OwnedByArcAgents"), "{}", ran.out);
    assert_eq!(strict.azure.clusters(), before);
}

#[test]
fn the_rule_is_looked_up() {
    let strict = Strict::new();
    strict.azure.operations(azure_standin::Shape::Async, 1, 0);
    strict.connect(&["--dcr-resource-id", &rule_id(), "--dry-run"]).ok();
}

#[test]
fn doctor_names_the_hop_that_fails() {
    let strict = Strict::new();
    strict.azure.operations(azure_standin::Shape::Async, 1, 0);
    let [endpoint, rule] = strict.rule();
    strict.connect(&[&endpoint, &rule]).ok();
    let doctor = || {
        let config = format!("--config={}", strict.rig.path("etc/arclet.toml").display());
        strict.rig.run("doctor", &[config], &[]).out
    };
    strict.rig.kube.cut();
    assert!(doctor().contains("The first to fail: API server."), "{}", doctor());
    strict.rig.kube.restore();
    let host = |url: String| url.trim_start_matches("https://").to_owned();
    strict.azure.cut(azure_standin::Endpoint::Ingest);
    let first = format!("The first to fail: {}.", host(strict.azure.ingest_url()));
    assert!(doctor().contains(&first), "{}", doctor());
    strict.azure.restore(azure_standin::Endpoint::Ingest);
    strict.rig.secret("etc/credentials/client-secret", "expired");
    assert!(doctor().contains("The first to fail: login."), "{}", doctor());
    std::fs::remove_file(strict.rig.path("etc/credentials/client-secret")).unwrap();
    assert!(doctor().contains("The first to fail: credential."), "{}", doctor());
}

#[test]
fn an_operation_that_azure_ends_as_failed_is_told_and_the_next_run_makes_it_good() {
    let strict = Strict::new();
    let [endpoint, rule] = strict.rule();
    strict.azure.operations(azure_standin::Shape::Failed, 1, 0);
    let ran = strict.connect(&[&endpoint, &rule]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("the operation ended as Failed") && ran.err.contains("run the same command again"),
        "{}",
        ran.err
    );
    assert!(strict.rig.file("etc/arclet.toml").is_none(), "without a configuration the unit does not start");
    strict.azure.operations(azure_standin::Shape::Body, 1, 0);
    strict.connect(&[&endpoint, &rule]).ok();
    let cluster = strict.azure.cluster(&cluster_id("k3s-1")).unwrap();
    assert_eq!(cluster["properties"]["provisioningState"], "Succeeded");
}

#[test]
fn what_connect_wrote_is_what_the_service_runs_on() {
    let strict = Strict::new();
    let [endpoint, rule] = strict.rule();
    strict.azure.operations(azure_standin::Shape::Sync, 0, 0);
    strict.connect(&[&endpoint, &rule]).ok();
    // Where the service is asked; every other key is as connect wrote it.
    let path = |name: &str| strict.rig.path(name).display().to_string();
    let control =
        format!("\n[control]\nsocket = \"{}\"\nstatus-file = \"{}\"\n", path("sock"), path("status.json"));
    let config = strict.rig.file("etc/arclet.toml").unwrap() + &control;
    std::fs::write(strict.rig.path("etc/arclet.toml"), config).unwrap();
    let config = [format!("--config={}", path("etc/arclet.toml"))];
    let mut service = strict.rig.spawn("run", &config);

    // Each look is a process of its own; the service's end would show as a failure of the last one.
    while strict.azure.arrived_count() == 0 {
        assert_eq!(service.try_wait().unwrap(), None, "the service runs");
        strict.rig.run("status", &config, &[]);
    }
    let mut status = strict.rig.run("status", &config, &[]);
    // A heartbeat may arrive before the cluster was looked at for the first time.
    while status.code != Some(0) || !status.out.contains("Kubernetes v1.36.3+k3s1, 1 node, 4 vCPUs") {
        assert_eq!(service.try_wait().unwrap(), None, "the service runs");
        status = strict.rig.run("status", &config, &[]);
    }
    let doctor = strict.rig.run("doctor", &config, &[]).ok();
    assert!(doctor.out.contains("Every hop is fine."), "{}", doctor.out);
    strict.rig.run("outbox", &config, &[]).ok();

    let refused = strict.disconnect();
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("systemctl disable --now arclet"), "{}", refused.err);
    assert_eq!(strict.azure.clusters().len(), 1);

    rustix::process::kill_process(
        rustix::process::Pid::from_raw(service.id() as i32).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert_eq!(service.wait().unwrap().code(), Some(0));
    let last_word = strict.rig.run("status", &config, &[]);
    assert_eq!(last_word.code, Some(2));
    assert!(last_word.out.starts_with("THE SERVICE DOES NOT ANSWER."), "{}", last_word.out);
    strict.disconnect().ok();
    assert_eq!(strict.azure.violations(), Vec::<String>::new());
}
