//! Which names Kubernetes takes. Checked before anything is written, so that the reason names the document's field and
//! not an object that nobody has seen.

use super::fields::{code, shown};
use crate::core::Reason;

/// A DNS label (RFC 1123): what namespaces are called, and also sources and kustomizations, because Flux puts their names
/// into labels of what they apply.
pub fn label(path: &str, name: &str) -> Result<(), Reason> {
    if name.len() <= 63 && is_label(name) {
        return Ok(());
    }
    let rule = "at most 63 lower-case letters, digits and '-', a letter or digit at both ends";
    Err(refused(path, name, rule))
}

/// A DNS subdomain (RFC 1123): what Secrets, ConfigMaps and service accounts are called.
pub fn subdomain(path: &str, name: &str) -> Result<(), Reason> {
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(());
    }
    let rule =
        "at most 253 lower-case letters, digits, '-' and '.', a letter or digit at both ends of each part";
    Err(refused(path, name, rule))
}

fn is_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = name.bytes().next().is_some_and(inner) && name.bytes().next_back().is_some_and(inner);
    ends && name.bytes().all(|b| inner(b) || b == b'-')
}

fn refused(path: &str, name: &str, rule: &str) -> Reason {
    let name = shown(name);
    Reason::new(code::BAD_NAME, format!("{path} gives the name {name}, which Kubernetes refuses"))
        .cure(format!("use {rule}"))
}
