//! What desired state costs: memory while 200 configurations of 20 kB and one of 1 MB converge, and how long things take.
//!
//!     cargo bench --bench desired -- [PATH OF AN ARCLET] [--check | --documents N]
//!
//! The real binary between both stand-ins. `--check` makes an exceeded budget exit code 1: PSS at most 10 MB, and 20
//! configurations enforced within 5 s of the API server's first answer after a boot without a link. The budget of memory is
//! that of the static musl build: with glibc's allocator 2 to 3 MB more are normal. `--documents` looks at that many small
//! configurations instead, which come and go: how long that takes, and what is left.

// A measurement takes its time.
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

#[path = "../idle/figures.rs"]
#[allow(dead_code)]
mod figures;
#[path = "../../tests/ring/rig.rs"]
#[allow(dead_code)]
mod rig;

use azure_standin::cluster_id;
use figures::Watched;
use k3s_standin::Flux;
use rig::{Agent, Rig, Setup, eventually, report};
use rustix::process::Signal;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const SOURCE: (&str, &str) = ("source.toolkit.fluxcd.io/v1", "GitRepository");
const APPS: (&str, &str) = ("kustomize.toolkit.fluxcd.io/v1", "Kustomization");
const NAMESPACE: &str = "fleet";
/// KiB.
const PSS_MOST: u64 = 10 << 10;
const BOOT_MOST: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let mut setup = Setup {
        report: report("1h", "1h", "24h"),
        desired: "gitops = true\npull-interval = \"1s\"\nenforce-interval = \"5m\"",
        flux: Flux::Stable,
        ..Setup::default()
    };
    let mut check = false;
    let (mut many, mut arguments) = (None, std::env::args().skip(1));
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // What cargo itself passes.
            "--bench" => {}
            "--check" => check = true,
            "--documents" => {
                many = Some(arguments.next().and_then(|n| n.parse().ok()).expect("--documents N"))
            }
            path => setup.binary = path.into(),
        }
    }
    println!("desired state, {}\n", setup.binary.display());
    if let Some(count) = many {
        come_and_go(setup, count);
        return ExitCode::SUCCESS;
    }
    let large = measure(setup.clone(), 200, 20 << 10, 1 << 20);
    let small = measure(setup, 20, 2 << 10, 0);
    let row =
        |name: &str, a: String, b: String, budget: &str| println!("{name:<52}{a:>14}{b:>14}{budget:>10}");
    row("", "200 x 20 kB + 1 MB".into(), "20 x 2 kB".into(), "budget");
    row("PSS before, KiB", large.before.to_string(), small.before.to_string(), "-");
    row("PSS after, KiB", large.after.to_string(), small.after.to_string(), "10240");
    row("peak RSS, KiB", large.peak.to_string(), small.peak.to_string(), "-");
    let seconds = |time: Duration| format!("{:.2}", time.as_secs_f64());
    row(
        "from Azure's first answer to all applied, s",
        seconds(large.converged),
        seconds(small.converged),
        "-",
    );
    row(
        "a change in ARM in the cluster, interval 1 s, s",
        seconds(large.changed),
        seconds(small.changed),
        "-",
    );
    row(
        "boot without a link: API server's answer to all, s",
        seconds(large.booted),
        seconds(small.booted),
        "5 (20)",
    );
    row(
        "looks at the source, processor, percent",
        format!("{:.2}", large.cpu),
        format!("{:.2}", small.cpu),
        "-",
    );
    let kept = large.after <= PSS_MOST && small.booted <= BOOT_MOST;
    println!("budgets {}", if kept { "kept" } else { "EXCEEDED" });
    if check && !kept { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// All of them at once, and all of them away at once.
fn come_and_go(setup: Setup, count: usize) {
    // A look at so many takes longer than a second.
    let rig = Rig::new(Setup {
        desired: "gitops = true\npull-interval = \"10s\"\nenforce-interval = \"1h\"",
        ..setup
    });
    let mut agent = rig.start();
    agent.wait("its first look at Azure", |s| s.desired.as_ref().is_some_and(|d| d.last_pull.is_some()));
    let watched = Watched::new(agent.pid());
    let said = |what: &str, begin: Instant| {
        let (time, pss, peak) = (begin.elapsed(), watched.pss_kib(), watched.peak_kib());
        println!("{count} {what}: {:.0} s, PSS {pss} KiB, peak RSS {peak} KiB", time.as_secs_f64());
    };
    let wait = |what: &str, is: &dyn Fn(usize) -> bool| {
        let (mut last, mut since) = (usize::MAX, Instant::now());
        loop {
            let there = rig.k3s.objects(APPS.0, APPS.1).len();
            if is(there) {
                return;
            }
            if there != last {
                (last, since) = (there, Instant::now());
            }
            assert!(since.elapsed() < rig::HANG, "{what}: nothing happens any more at {there}");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    let names: Vec<String> = (0..count).map(|n| format!("config-{n:05}")).collect();
    let begin = Instant::now();
    names.iter().for_each(|name| put(&rig, name, 500, "main"));
    wait("coming", &|there| there >= count);
    said("in the cluster", begin);
    let begin = Instant::now();
    for name in &names {
        rig.azure.delete_flux(&cluster_id("k3s-1"), name);
    }
    wait("going", &|there| there == 0);
    said("out of the cluster", begin);
    let store = du(&rig.path("store"));
    println!("written by the process: {} MB; the store is {} kB", watched.written() >> 20, store >> 10);
}

fn du(directory: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("the store");
    let size = |path: std::path::PathBuf| match path.is_dir() {
        true => du(&path),
        false => path.metadata().map_or(0, |m| m.len()),
    };
    entries.map(|entry| size(entry.expect("an entry").path())).sum()
}

struct Figures {
    before: u64,
    after: u64,
    peak: u64,
    converged: Duration,
    changed: Duration,
    booted: Duration,
    /// While it looks at Azure once a second and finds nothing new.
    cpu: f64,
}

fn measure(setup: Setup, count: usize, size: usize, one_more: usize) -> Figures {
    let rig = Rig::new(setup);
    let mut agent = rig.start();
    agent.wait("its first look at Azure", |s| s.desired.as_ref().is_some_and(|d| d.last_pull.is_some()));
    let before = Watched::new(agent.pid()).pss_kib();
    let begin = Instant::now();
    let mut names: Vec<String> = (0..count).map(|n| format!("config-{n:03}")).collect();
    names.iter().for_each(|name| put(&rig, name, size, "main"));
    if one_more > 0 {
        put(&rig, "large", one_more, "main");
        names.push("large".to_owned());
    }
    all_there(&rig, &names);
    let converged = begin.elapsed();
    let begin = Instant::now();
    put(&rig, &names[0], size, "release");
    eventually("the change", || (branch(&rig, &names[0])? == "release").then_some(()));
    let changed = begin.elapsed();
    let watched = Watched::new(agent.pid());
    let sample = watched.sample();
    std::thread::sleep(Duration::from_secs(10));
    let cpu = sample.until(watched.sample()).cpu;
    let (after, peak) = (watched.pss_kib(), watched.peak_kib());
    let booted = boot(&rig, agent, &names);
    Figures { before, after, peak, converged, changed, booted, cpu }
}

/// The device comes up with no link and an API server that is later than it; everything was deleted by hand meanwhile.
fn boot(rig: &Rig, agent: Agent, names: &[String]) -> Duration {
    agent.signal(Signal::KILL);
    agent.end();
    rig.azure.cut_all();
    for name in names {
        rig.k3s.delete((SOURCE.0, SOURCE.1, NAMESPACE, name));
        rig.k3s.delete((APPS.0, APPS.1, NAMESPACE, &format!("{name}-apps")));
    }
    rig.k3s.cut();
    let mut agent = rig.start();
    agent.wait("an API server that is not there", |s| s.links.iter().any(|l| l.state == "down"));
    let asked = rig.k3s.stats().requests;
    rig.k3s.restore();
    eventually("the API server's first answer", || (rig.k3s.stats().requests > asked).then_some(()));
    let begin = Instant::now();
    all_there(rig, names);
    begin.elapsed()
}

fn all_there(rig: &Rig, names: &[String]) {
    eventually("every object", || {
        let there = |(version, kind): (&str, &str)| rig.k3s.objects(version, kind).len() >= names.len();
        (there(SOURCE) && there(APPS)).then_some(())
    });
}

fn branch(rig: &Rig, name: &str) -> Option<String> {
    let source = rig.k3s.object((SOURCE.0, SOURCE.1, NAMESPACE, name))?;
    Some(source["spec"]["ref"]["branch"].as_str()?.to_owned())
}

/// A configuration of about so many bytes: variables for its manifests.
fn put(rig: &Rig, name: &str, size: usize, branch: &str) {
    let line = "x".repeat(480);
    let substitute: Map<String, Value> =
        (0..size / 500).map(|n| (format!("variable_{n:05}"), json!(line))).collect();
    let properties = json!({
        "scope": "cluster", "namespace": NAMESPACE, "sourceKind": "GitRepository", "suspend": false,
        "gitRepository": {"url": "https://git.example/fleet", "repositoryRef": {"branch": branch}},
        "kustomizations": {"apps": {"path": "./apps", "prune": true, "postBuild": {"substitute": substitute}}},
    });
    rig.azure.put_flux(&cluster_id("k3s-1"), name, properties);
}
