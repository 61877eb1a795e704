//! A list of 5,000 nodes takes the memory of a list of 100: at most 1 MiB more (docs/decisions/0003-polling.md).
//!
//! The client runs in a process of its own, this program called again, so that the kernel's high-water mark is the client's and
//! not the server's.
#![allow(clippy::unwrap_used)] // a test without the harness, which would share the process with other tests

use arclet::clock::Clock;
use arclet::k3s::{Client, kubeconfig};
use k3s_standin::{ApiServer, Options};
use std::path::Path;
use std::process::Command;

const CLIENT: &str = "--as-client";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|a| a == CLIENT).and_then(|at| arguments.get(at + 1)) {
        Some(path) => client(Path::new(path)),
        None => compare(),
    }
}

/// Lists the nodes and says how many there were and what the most memory was, in KiB.
fn client(path: &Path) {
    let client = Client::new(kubeconfig::load(path).unwrap(), Clock::new()).unwrap();
    let nodes = client.nodes().unwrap().nodes;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{nodes} {}", most.trim().trim_end_matches(" kB"));
}

fn compare() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let server = ApiServer::start(Options::default()).unwrap();
    server.kubeconfig(&path).unwrap();
    let most = |nodes: usize| -> i64 {
        server.set_nodes(nodes, 4);
        let output = Command::new(std::env::current_exe().unwrap()).arg(CLIENT).arg(&path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (seen, kib) = text.trim().split_once(' ').unwrap();
        assert_eq!(seen, nodes.to_string());
        kib.parse().unwrap()
    };
    let (few, many) = (most(100), most(5000));
    println!("100 nodes: {few} KiB, 5,000 nodes: {many} KiB");
    assert!(many - few <= 1024, "5,000 nodes take {} KiB more than 100", many - few);
}
