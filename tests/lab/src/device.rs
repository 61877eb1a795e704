//! The device: the real arclet binary as a process of its own, with a directory of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;

/// The agent's answer on its socket is one line of at most this many bytes.
const STATUS_MAX: u64 = 1 << 20;

/// A device's files and, while it runs, its agent.
pub struct Device {
    arclet: PathBuf,
    directory: PathBuf,
    child: Option<Child>,
}

impl Device {
    /// A device that is switched off.
    pub fn new(arclet: PathBuf, directory: PathBuf) -> Self {
        Device { arclet, directory, child: None }
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.directory.join("etc/arclet.toml")
    }

    /// The agent's control socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("arclet.sock")
    }

    /// Runs one of arclet's commands to its end and gives what it printed.
    pub async fn command(
        &self,
        arguments: &[String],
        environment: &[(&str, &str)],
    ) -> Result<String, String> {
        let output = Command::new(&self.arclet)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|e| format!("cannot start {}: {e}", self.arclet.display()))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        Err(format!(
            "arclet {} ended with {}\n{printed}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ))
    }

    /// Switches the agent on. Its ack log is its standard output: every MessageId in it is durable; each goes to `acks`.
    pub fn start(&mut self, acks: UnboundedSender<String>) -> Result<u32, String> {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.directory.join("arclet.log"));
        let log =
            log.map_err(|e| format!("cannot write the agent's log in {}: {e}", self.directory.display()))?;
        let mut child = Command::new(&self.arclet)
            .args(["run", "--config"])
            .arg(self.config())
            .args(["--ack-log", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", self.arclet.display()))?;
        let pid = child.id().unwrap_or_default();
        if let Some(stdout) = child.stdout.take() {
            tokio::task::spawn_local(async move {
                let mut lines = BufReader::new(stdout).lines();
                // A line that a kill cut in two has no newline at its end and a whole id is never mistaken for it:
                // lines() would still give it, so an id that is too short to be one is dropped by the ledger's caller.
                while let Ok(Some(line)) = lines.next_line().await {
                    if acks.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        self.child = Some(child);
        Ok(pid)
    }

    /// SIGKILL, and the end of the process seen.
    pub async fn kill(&mut self) -> Result<(), String> {
        match self.child.take() {
            Some(mut child) => child.kill().await.map_err(|e| format!("cannot kill the agent: {e}")),
            None => Ok(()),
        }
    }

    /// SIGTERM, and the exit status.
    pub async fn stop(&mut self) -> Result<std::process::ExitStatus, String> {
        let mut child = self.child.take().ok_or("the agent does not run")?;
        if let Some(pid) = child.id().and_then(|p| rustix::process::Pid::from_raw(p as i32)) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
                .map_err(|e| format!("cannot stop the agent: {e}"))?;
        }
        child.wait().await.map_err(|e| format!("cannot see the agent end: {e}"))
    }

    /// Whether the agent ended by itself, and how.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// The last lines of the agent's log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.directory.join("arclet.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// The agent's own view: `status` or `desired`, as the commands of that name get it with `-o json`.
pub async fn ask(socket: &Path, what: &str) -> Option<serde_json::Value> {
    let mut stream = UnixStream::connect(socket).await.ok()?;
    stream.write_all(format!("{{\"get\":\"{what}\"}}\n").as_bytes()).await.ok()?;
    let mut line = String::new();
    BufReader::new(tokio::io::AsyncReadExt::take(stream, STATUS_MAX)).read_line(&mut line).await.ok()?;
    serde_json::from_str(&line).ok()
}
