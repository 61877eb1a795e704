//! The Azure stand-in and the in-memory API server in one process, for a service that lives where no test can hold it.
//!
//!     peers STATE CONFIG
//!
//! Writes the service's `arclet.toml`, authority and credentials into CONFIG, as `arclet connect` would leave them on a
//! device, then makes the file STATE/ready and adds each `MessageId` that arrives, and arrives again, to STATE/arrived.
//! Runs until it is killed.

// A program that watches from outside looks again after a pause.
#![allow(clippy::disallowed_methods)]

use azure_standin::Azure;
use k3s_standin::ApiServer;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let [state, config] = std::env::args_os()
        .skip(1)
        .map(PathBuf::from)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "usage: peers STATE CONFIG")?;
    fs::create_dir_all(&state)?;
    let azure = Azure::start(azure_standin::Options::default())?;
    let k3s = ApiServer::start(k3s_standin::Options::default())?;
    k3s.set_nodes(3, 4);
    configure(&config, &azure, &k3s)?;

    let mut log = OpenOptions::new().create(true).append(true).open(state.join("arrived"))?;
    fs::write(state.join("ready"), "")?;
    let mut seen = 0;
    loop {
        let arrived = azure.arrived_since(seen);
        for record in &arrived {
            writeln!(log, "{}", record.row["MessageId"].as_str().unwrap_or("without an id"))?;
        }
        seen += arrived.len();
        thread::sleep(Duration::from_millis(50));
    }
}

/// The paths of the credentials are those of the defaults: the service reads them from where systemd puts them.
fn configure(folder: &Path, azure: &Azure, k3s: &ApiServer) -> Result<(), Box<dyn Error>> {
    let credentials = folder.join("credentials");
    fs::create_dir_all(&credentials)?;
    k3s.kubeconfig(&credentials.join("kubeconfig"))?;
    let mut secret = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(credentials.join("client-secret"))?;
    secret.write_all(azure_standin::DEVICE.1.as_bytes())?;
    fs::write(folder.join("extra-ca.pem"), azure.ca_pem())?;
    let text = format!(
        r#"
[cluster]
id = "{cluster}"
[cloud]
login = "{login}"
arm = "{arm}"
[identity]
tenant = "{tenant}"
client-id = "{client}"
[ingest]
endpoint = "{ingest}"
dcr = "{dcr}"
[report]
heartbeat-interval = "500ms"
metadata-interval = "500ms"
tags = false
[retry]
first = "100ms"
longest = "1s"
refused = "1s"
[tls]
extra-ca-file = "{ca}"
"#,
        cluster = azure_standin::cluster_id("k3s-1"),
        login = azure.login_url(),
        arm = azure.arm_url(),
        tenant = azure_standin::TENANT,
        client = azure_standin::DEVICE.0,
        ingest = azure.ingest_url(),
        dcr = azure_standin::RULE,
        ca = folder.join("extra-ca.pem").display(),
    );
    fs::write(folder.join("arclet.toml"), text)?;
    Ok(())
}
