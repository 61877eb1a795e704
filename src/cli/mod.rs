//! The commands, one file each; what they share: arguments, words for times and sizes, and how a command ends.
//!
//! Commands talk to people (`-o json`: to programs), the running agent talks to Azure: nothing in here opens the store.

mod args;
mod ask;
mod checks;
mod connect;
mod desired;
mod disconnect;
mod doctor;
mod files;
mod operator;
mod outbox;
mod reach;
mod run;
mod status;
mod text;

use args::{Args, Usage};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// How a command ends; the numbers are part of the interface (`arclet --help`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, and nothing to act on.
    Ok = 0,
    /// It could not be done; the reason and the next step are on standard error.
    Failed = 1,
    /// Done, and there is something to act on: `status`, `outbox`, `desired` and `doctor` found a problem.
    Attention = 2,
    /// The command line is wrong (EX_USAGE of sysexits.h).
    Usage = 64,
    /// The configuration is wrong (EX_CONFIG).
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

const HELP: &str = "\
arclet: what the Azure Arc agents do for a cluster, as one small service beside k3s

Usage: arclet COMMAND [OPTIONS]

Commands:
  connect      connect this cluster to Azure and set the service up (as root, once)
  run          be the service; systemd calls this
  status       links, backlog, losses and clock of the running service
  outbox       what waits for delivery, and what Azure refused for ever
  desired      what Azure wants of this cluster, and how far it is enforced
  doctor       try each hop from here to Azure; name the one that fails and the cure
  disconnect   undo connect

  arclet COMMAND --help says more; arclet --version prints the version.

Exit codes:
   0  done, nothing to act on
   1  could not be done; reason and next step are on standard error
   2  done, and there is something to act on (status, outbox, desired, doctor)
  64  the command line is wrong
  78  the configuration is wrong
";

/// Runs the command of these arguments, the program's name not among them.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let mut args = Args::new(arguments);
    match dispatch(&mut args) {
        Ok(exit) => exit,
        Err(Usage(what)) => {
            complain(&format!("{what}\narclet --help lists commands and options"));
            Exit::Usage
        }
    }
}

fn dispatch(args: &mut Args) -> Result<Exit, Usage> {
    let command = match args.next()? {
        Some(args::Arg::Value(command)) => command,
        Some(args::Arg::Option(option)) if option == "version" || option == "V" => {
            say(&format!("arclet {}\n", env!("CARGO_PKG_VERSION")));
            return Ok(Exit::Ok);
        }
        Some(args::Arg::Option(option)) if args::is_help(&option) => {
            say(HELP);
            return Ok(Exit::Ok);
        }
        Some(args::Arg::Option(option)) => return Err(args.unknown(&option)),
        None => return Err(Usage("a command is missing".to_owned())),
    };
    match command.as_str() {
        "connect" => connect::main(args),
        "disconnect" => disconnect::main(args),
        "doctor" => doctor::main(args),
        "run" => run::main(args),
        "status" => status::main(args),
        "outbox" => outbox::main(args),
        "desired" => desired::main(args),
        "help" => {
            say(HELP);
            Ok(Exit::Ok)
        }
        _ => {
            let known = ["connect", "run", "status", "outbox", "desired", "doctor", "disconnect", "help"];
            let near = crate::config::units::nearest(&command, &known);
            let hint = near.map(|near| format!(": did you mean {near}?")).unwrap_or_default();
            Err(Usage(format!("no such command: {command}{hint}")))
        }
    }
}

/// Writes to standard output. Who closed the pipe wants no more: that is no failure of the command.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Waits for something that takes a moment.
#[allow(clippy::disallowed_methods)] // A command has nothing else to do meanwhile, and Ctrl-C ends it.
fn pause(time: std::time::Duration) {
    std::thread::sleep(time);
}

/// Writes to standard error.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "arclet: {text}");
}
