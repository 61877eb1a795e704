//! `arclet run`: the service itself. Everything it does is in `agent`; here are its arguments and how it ends.

use super::args::{Arg, Args, Usage, is_help};
use super::{Exit, complain, say};
use crate::agent::{self, Failed, Options};
use crate::config::DEFAULT_PATH;

const HELP: &str = "\
Is the service: observes the cluster, keeps what is to be reported, and delivers it whenever there is a link.

Usage: arclet run [OPTIONS]

      --config FILE   where the configuration is [/etc/arclet/arclet.toml]
      --ack-log FD    write one line with its MessageId to this open descriptor whenever a record has become durable

SIGTERM and SIGINT end it within five seconds, with everything durable. SIGHUP reads the configuration again.

Exit code 0: ended by a signal. 78: the configuration is wrong. 1: it could not start; the reason is on standard error.
";

pub(super) fn main(args: &mut Args) -> Result<Exit, Usage> {
    let mut options = Options { config: DEFAULT_PATH.into(), ack_log: None };
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Option(option) => {
                match option.as_str() {
                    "config" => options.config = args.path()?,
                    "ack-log" => {
                        let text = args.value()?;
                        let number = text.parse().map_err(|_| {
                        Usage(format!("--ack-log {text}: the number of an open descriptor, as in --ack-log 3 3>>acks"))
                    });
                        options.ack_log = Some(number?);
                    }
                    _ if is_help(&option) => {
                        say(HELP);
                        return Ok(Exit::Ok);
                    }
                    _ => return Err(args.unknown(&option)),
                }
            }
            Arg::Value(value) => return Err(args.unexpected(&value)),
        }
    }
    Ok(match agent::run(&options) {
        Ok(()) => Exit::Ok,
        Err(failed) => {
            complain(&failed.reason().to_string());
            match failed {
                Failed::Config(_) => Exit::Config,
                Failed::Store(_) | Failed::Machine(_) => Exit::Failed,
            }
        }
    })
}
