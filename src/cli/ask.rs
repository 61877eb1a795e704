//! Asks the running agent over its socket; says in words why it does not answer.

use crate::agent::control::{Refusal, Request};
use crate::config::{CONTROL_SOCKET, Config, Control, STATUS_FILE};
use crate::core::Reason;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// What a busy device adds to the time that the agent gives itself.
const SPARE: Duration = Duration::from_secs(3);
/// A status has a few KB, an outbox with its quarantine some hundred.
const LONGEST_ANSWER: u64 = 16 << 20;

/// Where the agent is asked: as configured, or at the usual place when the configuration cannot say.
pub(super) fn control(config: &Path) -> Control {
    match Config::load(config) {
        Ok(config) => config.control,
        Err(_) => Control { socket: CONTROL_SOCKET.into(), status_file: STATUS_FILE.into() },
    }
}

/// Asks, and gives back the one line of the answer.
pub(super) fn ask(socket: &Path, request: Request) -> Result<String, Reason> {
    let patience = request.patience() + SPARE;
    let failed = |error: std::io::Error| {
        let place = socket.display();
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                Reason::new("NotRunning", format!("no agent answers at {place}"))
                    .cure("systemctl start arclet; journalctl -u arclet says why it stopped")
            }
            ErrorKind::PermissionDenied => {
                Reason::new("NotAllowed", format!("you may not ask the agent at {place}"))
                    .cure("use sudo, or join the group: usermod -aG arclet YOU, then log in again")
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Reason::new(
                "NoAnswer",
                format!("the agent at {place} did not answer within {} s", patience.as_secs()),
            )
            .cure("journalctl -u arclet; systemd restarts an agent that hangs"),
            _ => Reason::new("NoAnswer", format!("cannot ask the agent at {place}: {error}")),
        }
    };
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.set_read_timeout(Some(patience)).map_err(failed)?;
    stream.set_write_timeout(Some(patience)).map_err(failed)?;
    let mut line = serde_json::to_string(&request)
        .map_err(|error| Reason::new("Request", format!("the question cannot be written: {error}")))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.take(LONGEST_ANSWER).read_to_string(&mut answer).map_err(failed)?;
    match serde_json::from_str::<Refusal>(&answer) {
        Ok(refusal) => Err(refusal.error),
        Err(_) => Ok(answer),
    }
}

/// An answer that is not what was asked for: another version of arclet is running.
pub(super) fn not_understood(error: &serde_json::Error) -> Reason {
    Reason::new("NotUnderstood", format!("the agent's answer is not understood: {error}"))
        .cure("another version may be running: systemctl restart arclet")
}
