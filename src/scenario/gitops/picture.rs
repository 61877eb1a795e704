//! What Flux says of a configuration's objects, in ARM's words.
//!
//! ARM shows the source and the kustomizations, each with its own compliance, and one for the whole. The real service was
//! recorded with every `Ready: False` as `Non-Compliant`, those that wait for a dependency or try again included.

use super::document::Document;
use super::releases::{self, Release, Seen};
use super::versions::is_flux;
use crate::core::Reason;
use crate::core::document::{Compliance, ObjectStatus, Picture};
use crate::scenario::live::{LONGEST_MESSAGE, LONGEST_REASON, condition, cut, is_leaving, text};
use crate::scenario::mask;
use serde_json::Value;

pub(super) fn picture(content: &[u8], live: &[Value], releases: &[(Release, Seen)]) -> Picture {
    let Ok((document, expected)) = expected(content) else {
        return Picture { compliance: Compliance::Unknown, source_revision: None, statuses: Vec::new() };
    };
    let mut found: Vec<(Named, Option<&Value>)> = expected.into_iter().map(|named| (named, None)).collect();
    for object in live.iter().filter(|o| text(o, "/apiVersion").is_some_and(is_flux)) {
        let here = text(object, "/metadata/namespace") == Some(document.namespace.as_str());
        let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
        let wanted = |named: &Named| kind == Some(named.kind) && name == Some(named.name.as_str());
        if let Some((_, slot)) = found.iter_mut().find(|(named, _)| here && wanted(named)) {
            *slot = Some(object);
        }
    }

    let source_revision = found.first().and_then(|(_, source)| *source);
    let source_revision =
        source_revision.and_then(|s| text(s, "/status/artifact/revision")).map(|r| cut(r, LONGEST_REVISION));
    let own = found.into_iter().map(|(named, object)| ObjectStatus {
        kind: named.kind.to_owned(),
        namespace: document.namespace.clone(),
        name: named.name,
        compliance: object.map_or(Compliance::Pending, compliance),
        ready: object.and_then(ready),
        applied_by: None,
        helm_release_properties: None,
    });
    let releases = releases.iter().map(|(release, seen)| releases::status(release, seen));
    let statuses: Vec<ObjectStatus> = own.chain(releases).collect();
    let compliance = if document.suspend {
        Compliance::Suspended
    } else {
        WORST_FIRST
            .into_iter()
            .find(|c| statuses.iter().any(|s| s.compliance == *c))
            .unwrap_or(Compliance::Unknown)
    };
    Picture { compliance, source_revision, statuses }
}

struct Named {
    kind: &'static str,
    name: String,
}

/// What the document's objects are called: the source first, kustomizations by name.
fn expected(content: &[u8]) -> Result<(Document, Vec<Named>), Reason> {
    let document = Document::read(content)?;
    let mut expected = vec![Named { kind: document.source.kind(), name: document.name.clone() }];
    for (name, fields) in document.properties()?.objects("kustomizations")? {
        expected.push(Named { kind: "Kustomization", name: document.kustomization(name, fields.place())? });
    }
    Ok((document, expected))
}

/// One object's compliance. `Ready` counts only if it is about what the object now wants.
pub(super) fn compliance(object: &Value) -> Compliance {
    if object.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true) {
        return Compliance::Suspended;
    }
    if is_leaving(object) {
        return Compliance::Pending;
    }
    let Some(ready) = condition(object, "Ready") else {
        // The first thing that a controller of Flux does with an object is to put its finalizer on it.
        let taken_up =
            object.pointer("/metadata/finalizers").and_then(Value::as_array).is_some_and(|f| !f.is_empty());
        return if taken_up { Compliance::Pending } else { Compliance::Unknown };
    };
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let seen = ready.get("observedGeneration").or_else(|| object.pointer("/status/observedGeneration"));
    if seen.and_then(Value::as_i64) < generation {
        return Compliance::Pending;
    }
    match ready.get("status").and_then(Value::as_str) {
        Some("True") => Compliance::Compliant,
        Some("False") => Compliance::NonCompliant,
        _ => Compliance::Pending,
    }
}

/// Reason and message of `Ready`. No next step: what Flux says is the object's own affair.
pub(super) fn ready(object: &Value) -> Option<Reason> {
    let ready = condition(object, "Ready")?;
    let text = |field: &str| ready.get(field).and_then(Value::as_str).unwrap_or_default();
    Some(Reason::new(cut(text("reason"), LONGEST_REASON), cut(&mask::text(text("message")), LONGEST_MESSAGE)))
}

/// The first that any object has is the compliance of the whole.
const WORST_FIRST: [Compliance; 5] = [
    Compliance::NonCompliant,
    Compliance::Unknown,
    Compliance::Pending,
    Compliance::Suspended,
    Compliance::Compliant,
];

/// Characters.
const LONGEST_REVISION: usize = 200;
