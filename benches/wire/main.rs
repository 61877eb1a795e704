//! Bytes on the wire: what each exchange costs, and what an hour and a day of them make.
//!
//!     cargo bench --bench wire -- [--check]
//!
//! A relay outside of agent and stand-in counts. Each exchange is measured alone; schedules are then added up with the
//! default intervals, because a day is too long to wait for. `--check` makes an exceeded budget exit code 1.

// A measurement waits until the wire is quiet.
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod pull;
mod relay;
#[path = "../../tests/ring/rig.rs"]
#[allow(dead_code)]
mod rig;

use azure_standin::Endpoint;
use relay::{Passed, Relay};
use rig::{Agent, Rig, Setup, eventually, report};
use rustix::process::Signal;
use std::process::ExitCode;
use std::time::Duration;

/// A default day of this half, and a metered one.
const DAY: u64 = 1_500_000;
const METERED_DAY: u64 = 33_000;

struct Bench {
    agent: Agent,
    rig: Rig,
    login: Relay,
    arm: Relay,
    ingest: Relay,
}

/// What one exchange cost, by endpoint.
#[derive(Clone, Copy, Default)]
struct Cost {
    login: Passed,
    arm: Passed,
    ingest: Passed,
}

impl Bench {
    fn start() -> Bench {
        let mut rig = Rig::new(Setup { report: report("1h", "1h", "24h"), ..Setup::default() });
        // Two names, as Azure's are: a ticket of one endpoint must not resume the handshake of another.
        let through = |url: &mut String, name: &str| {
            let target = url.trim_start_matches("https://").to_owned();
            let relay = Relay::to(target).expect("a relay");
            *url = format!("https://{name}:{}", relay.port());
            relay
        };
        let [login, arm, ingest] = &mut rig.urls;
        let (login, arm, ingest) =
            (through(login, "127.0.0.1"), through(arm, "localhost"), through(ingest, "localhost"));
        rig.configure(&rig.setup.report.clone());
        let agent = rig.start();
        Bench { rig, agent, login, arm, ingest }
    }

    fn passed(&self) -> Cost {
        Cost { login: self.login.passed(), arm: self.arm.passed(), ingest: self.ingest.passed() }
    }

    /// Counts what passes until `arrived` is true and the wire is quiet.
    fn cost(&self, before: Cost, what: &str, mut arrived: impl FnMut() -> bool) -> Cost {
        eventually(what, || arrived().then_some(()));
        let mut last = self.passed();
        loop {
            std::thread::sleep(Duration::from_millis(300));
            let now = self.passed();
            if now.ingest.bytes() + now.login.bytes() + now.arm.bytes()
                == last.ingest.bytes() + last.login.bytes() + last.arm.bytes()
            {
                break;
            }
            last = now;
        }
        Cost {
            login: last.login.since(before.login),
            arm: last.arm.since(before.arm),
            ingest: last.ingest.since(before.ingest),
        }
    }
}

impl Bench {
    /// A heartbeat of its own: from a quiet wire to a quiet wire.
    fn heartbeat(&self, hang_up: bool) -> Cost {
        self.settle();
        if hang_up {
            self.hang_up();
        }
        let (before, arrived) = (self.passed(), self.rig.arrived("heartbeat").len());
        self.cost(before, "a heartbeat", || self.rig.arrived("heartbeat").len() > arrived)
    }

    /// Waits for an arrival, so that the next one is as far away as can be.
    fn settle(&self) {
        let arrived = self.rig.azure.arrived().len();
        self.cost(self.passed(), "a quiet wire", || self.rig.azure.arrived().len() > arrived);
    }

    /// A token that is not accepted any more is fetched anew: what login costs then is what a renewal costs.
    fn new_token(&self) -> Cost {
        self.settle();
        let before = self.passed();
        self.rig.azure.revoke_tokens();
        eventually("a token", || (self.login.passed().down > before.login.down).then_some(()));
        let arrived = self.rig.arrived("heartbeat").len();
        self.cost(before, "the next heartbeat", || self.rig.arrived("heartbeat").len() > arrived)
    }

    /// A change of the cluster.
    fn delta(&self, nodes: usize) -> Cost {
        self.cost(self.passed(), "a quiet wire", || true);
        let (before, arrived) = (self.passed(), self.rig.arrived("delta").len());
        self.rig.k3s.set_nodes(nodes, 4);
        self.cost(before, "a delta", || self.rig.arrived("delta").len() > arrived)
    }

    fn hang_up(&self) {
        self.login.hang_up();
        self.arm.hang_up();
        self.ingest.hang_up();
    }

    fn reload(&self, report: &str) {
        self.rig.configure(report);
        self.agent.signal(Signal::HUP);
    }
}

fn main() -> ExitCode {
    let check = std::env::args().any(|argument| argument == "--check");
    let mut bench = Bench::start();
    let first = bench.cost(Cost::default(), "the first rows", || {
        !bench.rig.arrived("heartbeat").is_empty() && !bench.rig.arrived("whole").is_empty()
    });
    bench.reload(&report("3s", "1h", "24h"));
    let kept = bench.heartbeat(false).ingest;
    let resumed = bench.heartbeat(true).ingest;

    // A reload makes new connections, so what is to be resumed has to be done twice.
    bench.new_token();
    bench.hang_up();
    let token = bench.new_token().login;

    // Metadata that changed, on a connection of its own.
    bench.reload(&report("1h", "200ms", "24h"));
    bench.delta(4);
    bench.hang_up();
    let delta = bench.delta(5).ingest;

    // Tags: another scope, another endpoint.
    bench.hang_up();
    let before = bench.passed();
    bench
        .reload(&report("1h", "200ms", "24h").replace("tags = false", "tags = true\ntags-interval = \"1h\""));
    let tags = bench.cost(before, "a tag update", || bench.arm.passed().down > before.arm.down);

    // A new process has its sealed token and no ticket; without the cluster there is nothing but the heartbeat.
    bench.rig.k3s.cut();
    bench.rig.configure(&report("1h", "1h", "24h"));
    bench.cost(bench.passed(), "a quiet wire", || true);
    let (before, arrived) = (bench.passed(), bench.rig.arrived("heartbeat").len());
    bench.agent = bench.rig.restart(bench.agent);
    let full_heartbeat =
        bench.cost(before, "a heartbeat", || bench.rig.arrived("heartbeat").len() > arrived).ingest;

    let row = |name: &str, p: Passed| {
        println!("{name:<44}{:>8}{:>8}{:>8}{:>10}", p.up, p.down, p.bytes(), p.on_the_link());
    };
    println!("{:<44}{:>8}{:>8}{:>8}{:>10}", "exchange, bytes", "up", "down", "in TCP", "on link*");
    row("first token, full handshake", first.login);
    row("first delivery (two tables), full handshake", first.ingest);
    row("heartbeat, full handshake", full_heartbeat);
    row("token, resumed handshake", token);
    row("heartbeat, connection kept", kept);
    row("heartbeat, resumed handshake", resumed);
    row("changed metadata, resumed handshake", delta);
    row("tags, full handshake", tags.arm);
    row("  and their token", tags.login);
    let pulls = pull::measure();
    println!("a look at {} configurations that have not changed", pull::CONFIGURATIONS);
    row("  full handshake, with the cluster's resource", pulls.full);
    row("  connection kept", pulls.kept);
    row("  resumed handshake", pulls.resumed);
    for endpoint in Endpoint::ALL {
        let stats = bench.rig.azure.stats(endpoint);
        println!(
            "  handshakes at {endpoint:?}: {} full, {} resumed",
            stats.full_handshakes, stats.resumed_handshakes
        );
    }

    let link = Passed::on_the_link;
    let full = |p: Passed| link(p) + AZURE_CHAIN;
    let parts = [
        ("288 heartbeats, each on a new connection", 288 * link(resumed)),
        ("27 tokens of an hour", 27 * link(token)),
        ("4 changes of metadata", 4 * link(delta)),
        ("1 tag update", full(tags.arm) + link(tags.login)),
        ("1 start", full(first.login) + full(first.ingest)),
    ];
    println!("\na default day");
    for (name, bytes) in parts {
        println!("{name:<44}{bytes:>34}");
    }
    let day: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
    let hour = 12 * link(resumed) + link(token) * 27 / 24;
    // Twice a day everything anew: after twelve hours neither ticket nor token is worth anything.
    let metered = 2 * (full(first.login) + full(full_heartbeat));
    println!("{:<44}{hour:>34}", "an idle hour");
    println!("{:<44}{day:>34}   budget {DAY}", "a default day");
    println!("{:<44}{metered:>34}   budget {METERED_DAY}", "a metered day: 2 contacts, nothing kept");
    // Desired state has a token of its own: another scope. After six hours ticket and token are worth nothing.
    let every_5_min = 288 * link(pulls.resumed) + 27 * link(token);
    let every_6_h = 4 * (full(pulls.full) + full(first.login));
    println!(
        "\nand {} configurations that do not change{:>21}{:>13}",
        pull::CONFIGURATIONS,
        "as it is",
        "gzip**"
    );
    for (name, bytes, times) in
        [("a day of looks every 5 minutes", every_5_min, 288), ("a day of looks every 6 hours", every_6_h, 4)]
    {
        println!("{name:<44}{bytes:>21}{:>13}", bytes - times * pulls.saved);
    }
    println!("** computed: the stand-in does not compress");
    println!(
        "* estimated: 52 bytes of headers a segment, an acknowledgement for each, 7 segments a connection;"
    );
    println!(
        "  full handshakes of days with {AZURE_CHAIN} bytes more for the length of Azure's certificate chains"
    );
    let kept = day <= DAY && metered <= METERED_DAY;
    println!("budgets {}", if kept { "kept" } else { "EXCEEDED" });
    if check && !kept { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A leaf with the names of a whole region and its intermediate, both RSA, take about 4 KB; the stand-in's single one takes
/// 0.6 KB. Not measured: nobody here has asked Azure.
const AZURE_CHAIN: u64 = 3_400;
