//! The lab: arclet's main job, running. Both ends are embedded, the agent between them is the real release binary in a
//! process of its own. A script cuts the link three times and kills the agent once; a person may cut it by the switch.
//!
//! The lab judges by MessageIds alone: what the agent acknowledged as durable must arrive.

// The lab is a test: it looks at the clock itself, and prints.
#![allow(clippy::disallowed_methods)]

mod build;
mod cluster;
mod device;
mod ledger;
mod options;
mod page;
mod rows;
mod run;
mod script;
mod state;
mod wish;

use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("lab: {message}; see --help");
            return ExitCode::from(64);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("lab: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let lab = tokio::task::LocalSet::new();
    match lab.block_on(&runtime, run::run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("lab: {message}");
            ExitCode::FAILURE
        }
    }
}
