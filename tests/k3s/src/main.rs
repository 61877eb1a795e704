//! The in-memory API server by itself: writes a kubeconfig, serves until its input ends.
#![allow(clippy::expect_used)] // a test rig: it fails by panicking

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: k3s-standin [--flux] [--helm] KUBECONFIG [PORT [NODES [CPUS]]]   (ends when its standard \
                     input does; with Flux's kinds of v1, with the HelmCharts of k3s)";

fn main() -> ExitCode {
    let (switches, arguments): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let number = |at: usize, usual: u32| arguments.get(at).map_or(usual, |n| n.parse().expect("a number"));
    let unknown = switches.iter().any(|switch| !["--flux", "--helm"].contains(&switch.as_str()));
    let (Some(kubeconfig), false) = (arguments.first(), unknown) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let with = |switch: &str| switches.iter().any(|given| given == switch);
    let options = k3s_standin::Options {
        port: number(1, 0) as u16,
        nodes: number(2, 1) as usize,
        cpus: number(3, 4),
        flux: if with("--flux") { k3s_standin::Flux::Stable } else { k3s_standin::Flux::Absent },
        helm: with("--helm"),
        ..Default::default()
    };
    let server = k3s_standin::ApiServer::start(options).expect("the server starts");
    server.kubeconfig(Path::new(kubeconfig)).expect("the kubeconfig is written");
    println!("{}", server.url());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}
