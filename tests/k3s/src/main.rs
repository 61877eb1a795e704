//! The in-memory API server by itself: writes a kubeconfig, serves until its input ends.
#![allow(clippy::expect_used)] // a test rig: it fails by panicking

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: u32| arguments.get(at).map_or(usual, |n| n.parse().expect("a number"));
    let Some(kubeconfig) = arguments.first() else {
        eprintln!(
            "usage: k3s-standin KUBECONFIG [PORT [NODES [CPUS]]]   (ends when its standard input does)"
        );
        return ExitCode::from(2);
    };
    let options = k3s_standin::Options {
        port: number(1, 0) as u16,
        nodes: number(2, 1) as usize,
        cpus: number(3, 4),
        ..Default::default()
    };
    let server = k3s_standin::ApiServer::start(options).expect("the server starts");
    server.kubeconfig(Path::new(kubeconfig)).expect("the kubeconfig is written");
    println!("{}", server.url());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}
