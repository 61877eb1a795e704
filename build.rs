//! Gives the code the date of the build: no time before it can be the right one (`src/clock.rs`).

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    // Reproducible builds set the date themselves: https://reproducible-builds.org/specs/source-date-epoch/
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=build.rs");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.trim().parse::<u64>().ok());
    #[allow(clippy::disallowed_methods)] // the one place whose clock is the builder's
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_secs()).unwrap_or(0);
    println!("cargo::rustc-env=ARCLET_BUILD_EPOCH={}", given.unwrap_or(now));
}
