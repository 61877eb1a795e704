//! `arclet status` and `outbox`, the real binary: asked of an agent, of its last word, and of nobody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

use arclet::core::{Endpoint, Reason};
use arclet::status::{
    ClockStatus, LaneStatus, LinkStatus, Outbox, QuarantinedRecord, STATUS_VERSION, Status,
};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn status() -> Status {
    Status {
        version: STATUS_VERSION,
        agent_version: "0.1.0".into(),
        time: "2026-11-23T02:00:00Z".into(),
        started: "2026-11-23T01:00:00Z".into(),
        pid: 42,
        cluster: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/k3s-1"
            .into(),
        clock: ClockStatus { state: "synced".into(), offset_seconds: Some(0) },
        links: vec![LinkStatus {
            endpoint: Endpoint::Ingest,
            host: "ingest.example".into(),
            state: "up".into(),
            since: Some("2026-11-23T01:00:00Z".into()),
            reason: None,
            next_try_seconds: None,
            attempts: 0,
        }],
        lanes: vec![lane(0)],
        last_delivery: None,
        delivered: 0,
        conditions: Vec::new(),
        cluster_facts: None,
        flux: None,
        upgrade: None,
        lease: Default::default(),
        desired: None,
        store_notes: Vec::new(),
    }
}

fn lane(quarantined: u64) -> LaneStatus {
    LaneStatus {
        lane: "report".into(),
        records: 2,
        bytes: 600,
        allocated_bytes: 4096,
        quota_bytes: 1 << 20,
        oldest_age_seconds: Some(60),
        lost_by_quota: 0,
        lost_by_damage: 0,
        quarantined,
    }
}

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let bench = Bench { dir: tempfile::tempdir().unwrap() };
        let minimal = r#"
[cluster]
id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/k3s-1"
[identity]
kind = "arc-server"
[ingest]
endpoint = "https://ingest.example"
dcr = "dcr-1"
"#;
        let control = format!(
            "[control]\nsocket = \"{}\"\nstatus-file = \"{}\"\n",
            bench.path("sock").display(),
            bench.path("status.json").display()
        );
        std::fs::write(bench.path("arclet.toml"), format!("{minimal}{control}")).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn arclet(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_arclet"));
        command.args(words).arg("--config").arg(self.path("arclet.toml")).env_clear().output().unwrap()
    }

    /// Answers one question with this, and gives the question back.
    fn agent(&self, answer: String) -> std::thread::JoinHandle<String> {
        let listener = UnixListener::bind(self.path("sock")).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = String::new();
            BufReader::new(&stream).read_line(&mut question).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            question
        })
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap() + "\n"
}

#[test]
fn a_running_agent_is_asked_and_all_is_well() {
    let bench = Bench::new();
    let agent = bench.agent(json(&status()));
    let ran = bench.arclet(&["status"]);
    assert_eq!(agent.join().unwrap(), "{\"get\":\"status\"}\n");
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    assert!(text(&ran.stdout).contains("ingest     up for 60 min, ingest.example"), "{}", text(&ran.stdout));
    assert!(text(&ran.stdout).contains("report     2 records, 600 B, oldest 60 s"), "{}", text(&ran.stdout));
}

#[test]
fn the_machine_form_has_the_documents_fields_and_who_answered() {
    let bench = Bench::new();
    let agent = bench.agent(json(&status()));
    let ran = bench.arclet(&["status", "-o", "json"]);
    agent.join().unwrap();
    let printed: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(printed["answeredBy"], "agent");
    for (field, value) in serde_json::to_value(status()).unwrap().as_object().unwrap() {
        assert_eq!(&printed[field], value, "{field}");
    }
}

#[test]
fn a_link_that_is_down_is_an_exit_code_and_a_reason() {
    let bench = Bench::new();
    let mut down = status();
    down.links[0].state = "down".into();
    down.links[0].reason =
        Some(Reason::new("Dns", "ingest.example is not known").cure("check the name server"));
    down.links[0].next_try_seconds = Some(40);
    let agent = bench.agent(json(&down));
    let ran = bench.arclet(&["status"]);
    agent.join().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    for line in ["ingest.example is not known (Dns)", "next step: check the name server", "next try in 40 s"]
    {
        assert!(text(&ran.stdout).contains(line), "{}", text(&ran.stdout));
    }
}

#[test]
fn without_an_agent_its_last_word_is_shown_as_such() {
    let bench = Bench::new();
    std::fs::write(bench.path("status.json"), json(&status())).unwrap();
    let hour_ago = std::fs::metadata(bench.path("status.json")).unwrap().modified().unwrap()
        - std::time::Duration::from_secs(3_600);
    std::fs::File::options()
        .write(true)
        .open(bench.path("status.json"))
        .unwrap()
        .set_modified(hour_ago)
        .unwrap();
    let ran = bench.arclet(&["status"]);
    assert_eq!(ran.status.code(), Some(2));
    let shown = text(&ran.stdout);
    assert!(shown.starts_with("THE SERVICE DOES NOT ANSWER. This is its last word, 60 min old."), "{shown}");
    assert!(shown.contains("systemctl start arclet"), "{shown}");
    let printed: Value = serde_json::from_slice(&bench.arclet(&["status", "-o", "json"]).stdout).unwrap();
    assert_eq!(printed["answeredBy"], "file");
    assert_eq!(printed["whyNotAgent"]["code"], "NotRunning");
    assert!(printed["ageSeconds"].as_u64().unwrap() >= 3_600);
}

#[test]
fn with_nobody_to_ask_there_is_a_reason_and_a_next_step() {
    for command in ["status", "outbox"] {
        let ran = Bench::new().arclet(&[command]);
        assert_eq!(ran.status.code(), Some(1));
        assert!(text(&ran.stderr).contains("no agent answers at"), "{}", text(&ran.stderr));
        assert!(text(&ran.stderr).contains("journalctl -u arclet"), "{}", text(&ran.stderr));
    }
}

#[test]
fn an_agents_nonsense_is_no_panic() {
    for nonsense in
        ["", "\n", "{}", "[1,2", "{\"error\":{\"code\":\"Stopping\",\"message\":\"m\",\"next_step\":\"\"}}"]
    {
        let bench = Bench::new();
        let agent = bench.agent(nonsense.to_owned());
        let ran = bench.arclet(&["status"]);
        agent.join().unwrap();
        assert_eq!(ran.status.code(), Some(1), "{nonsense}: {}", text(&ran.stderr));
    }
}

#[test]
fn refused_records_are_listed_and_shown() {
    let outbox = Outbox {
        version: STATUS_VERSION,
        time: "2026-11-23T02:00:00Z".into(),
        lanes: vec![lane(1)],
        quarantined: vec![QuarantinedRecord {
            id: "00ff-report-7".into(),
            table: "ArcletHeartbeat_CL".into(),
            at: "2026-11-23T01:00:00Z".into(),
            reason: "InvalidRecord: \u{1b}[31mbad".into(),
            body: "{\"Kind\":\"Heartbeat\"}".into(),
        }],
    };
    let bench = Bench::new();
    let agent = bench.agent(json(&outbox));
    let ran = bench.arclet(&["outbox"]);
    assert_eq!(agent.join().unwrap(), "{\"get\":\"outbox\"}\n");
    assert_eq!(ran.status.code(), Some(2), "somebody has to look");
    let shown = text(&ran.stdout);
    assert!(shown.contains("00ff-report-7") && shown.contains("InvalidRecord: \\u{1b}[31mbad"), "{shown}");

    for (id, code) in [("report-7", 0), ("report-8", 1)] {
        std::fs::remove_file(bench.path("sock")).unwrap();
        let agent = bench.agent(json(&outbox));
        let ran = bench.arclet(&["outbox", "show", id]);
        agent.join().unwrap();
        assert_eq!(ran.status.code(), Some(code), "{}", text(&ran.stderr));
        assert_eq!(text(&ran.stdout).contains("Heartbeat"), code == 0);
    }
}

#[test]
fn neither_command_touches_the_store() {
    let bench = Bench::new();
    let store = bench.path("store");
    let config = std::fs::read_to_string(bench.path("arclet.toml")).unwrap();
    std::fs::write(
        bench.path("arclet.toml"),
        format!("{config}[store]\ndirectory = \"{}\"\n", store.display()),
    )
    .unwrap();
    bench.arclet(&["status"]);
    bench.arclet(&["outbox"]);
    assert!(!store.exists());
}

#[test]
fn help_and_version_are_there_and_say_the_exit_codes() {
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_arclet")).args(words).output().unwrap();
        (output.status.code(), text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
    };
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for command in ["connect", "status", "outbox", "doctor", "disconnect"] {
        assert!(help.contains(command));
        let (code, own, _) = run(&[command, "--help"]);
        assert_eq!(code, Some(0));
        assert!(own.contains(&format!("Usage: arclet {command}")) && own.contains("Exit code"), "{own}");
    }
    assert_eq!(
        run(&["--version"]),
        (Some(0), format!("arclet {}\n", env!("CARGO_PKG_VERSION")), String::new())
    );
    for wrong in [vec![], vec!["statsu"], vec!["--frob"], vec!["status", "--frob"], vec!["outbox", "show"]] {
        let (code, _, said) = run(&wrong);
        assert_eq!(code, Some(64), "{wrong:?}");
        assert!(said.contains("arclet --help"), "{said}");
    }
    assert!(run(&["statsu"]).2.contains("did you mean status?"));
}

#[test]
fn doctor_names_every_mistake_of_the_configuration() {
    let bench = Bench::new();
    std::fs::write(bench.path("arclet.toml"), "[cluster]\nname = \"x\"\n[reprot]\n").unwrap();
    let ran = bench.arclet(&["doctor"]);
    assert_eq!(ran.status.code(), Some(78));
    let shown = text(&ran.stdout);
    for part in ["did you mean report?", "cluster.id", "ingest.dcr", "The first to fail: configuration"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    assert!(Path::new(&bench.path("arclet.toml")).exists());
}
