//! The Azure clients against a server that gives recorded answers, and nonsense.
//!
//! Whole conversations are tested with the stand-in (`tests/azure_client.rs`); here is every odd answer by itself.

mod arm;
mod desired;
mod extension_types;
mod identity;
mod ingest;
mod registry;
mod vault;

use crate::clock::Clock;
use crate::core::{Outcome, Reason};
use crate::http::{Client, Options, Roots};

/// An HTML page as captive portals give it.
const PORTAL: &str =
    "<!DOCTYPE html>\n<html><head><title>Guest Wi-Fi</title></head><body>Sign in</body></html>";

fn client() -> Client {
    Client::new(Options::new(Roots::WebPki { extra_pem: None }, Clock::new())).unwrap()
}

fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::TooLarge(_) => "too-large",
        Outcome::BadRecord(_) => "bad-record",
        Outcome::Refused(_) => "refused",
        Outcome::Unauthorized { .. } => "unauthorized",
        Outcome::Throttled { .. } => "throttled",
        Outcome::Unreachable(_) => "unreachable",
    }
}

fn reason(outcome: &Outcome) -> &Reason {
    outcome.reason().unwrap()
}

#[test]
fn a_guid_is_a_version_4_uuid_and_another_each_time() {
    let (one, two) = (super::guid().unwrap(), super::guid().unwrap());
    assert_ne!(one, two);
    let bytes = one.as_bytes();
    assert_eq!((bytes.len(), bytes[8], bytes[14]), (36, b'-', b'4'));
    assert!(b"89ab".contains(&bytes[19]), "{one}");
}
