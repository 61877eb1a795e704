//! The binary: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    arclet::cli::main(std::env::args_os().skip(1)).into()
}
