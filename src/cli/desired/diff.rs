//! `arclet desired diff`: what Azure wants against what the cluster has, and why they differ.
//!
//! One question per document: the agent answers one at a time, and a thousand documents need no more memory than one.

use super::super::text::{clean, reason};
use super::super::{Exit, complain, say};
use super::{Output, get, json, whole};
use crate::agent::control::Get;
use crate::core::Reason;
use crate::core::difference::{FieldDiff, ObjectDiff};
use crate::status::{Desired, DocumentDiff};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;

/// As `kubectl diff` and diff(1) end: 1 for a difference, more for trouble.
const DIFFERENCE: Exit = Exit::Failed;
const TROUBLE: Exit = Exit::Attention;

/// What is printed with `-o json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    same: bool,
    documents: Vec<DocumentDiff>,
}

pub(super) fn main(socket: &Path, output: Output, name: Option<&str>) -> Exit {
    let mut shown = Shown { same: true, documents: Vec::new() };
    let mut exit = Exit::Ok;
    let each = |document: DocumentDiff| {
        shown.same &= document.same;
        exit = worse(exit, of(&document));
        match output {
            Output::Text => say(&text(&document)),
            Output::Json => shown.documents.push(document),
        }
    };
    if let Err(why) = compare(socket, name, each) {
        complain(&why.to_string());
        return TROUBLE;
    }
    if output == Output::Json {
        json(&shown);
    }
    exit
}

fn compare(socket: &Path, name: Option<&str>, mut each: impl FnMut(DocumentDiff)) -> Result<(), Reason> {
    let names = match name {
        Some(name) => vec![whole(socket, name)?],
        None => {
            let desired: Desired = get(socket, Get::Desired)?;
            if !desired.on {
                return Err(Reason::new(
                    "Off",
                    "nothing is pulled: [desired] gitops and extensions are false",
                )
                .cure("arclet connect --gitops, --extensions set them"));
            }
            desired.documents.into_iter().map(|document| document.document).collect()
        }
    };
    for asked in names {
        match get(socket, Get::Diff(asked)) {
            Ok(document) => each(document),
            // It went while the others were compared.
            Err(why) if why.code == "NoSuchDocument" && name.is_none() => {}
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

fn of(document: &DocumentDiff) -> Exit {
    let refused = |object: &ObjectDiff| object.difference == crate::core::difference::Difference::Refused;
    if document.reason.is_some() || document.objects.iter().any(refused) {
        TROUBLE
    } else if document.same {
        Exit::Ok
    } else {
        DIFFERENCE
    }
}

fn worse(a: Exit, b: Exit) -> Exit {
    if (a as u8) < (b as u8) { b } else { a }
}

fn text(document: &DocumentDiff) -> String {
    let verdict = match (&document.reason, document.same) {
        (Some(_), _) => "cannot be compared",
        (None, true) => "is as it is wanted",
        (None, false) => "differs",
    };
    let mut text = format!("{} ({}) {verdict}\n", clean(&document.document), clean(&document.state));
    if let Some(why) = &document.reason {
        text.push_str(&reason(why, "    "));
    }
    for diff in &document.objects {
        let object = &diff.object;
        let namespace = object.namespace.as_deref().map(|n| format!("{n}/")).unwrap_or_default();
        let _ = writeln!(
            text,
            "  {} {}{} {}",
            clean(&object.kind),
            clean(&namespace),
            clean(&object.name),
            diff.difference.words()
        );
        if let Some(why) = &diff.reason {
            text.push_str(&reason(why, "      "));
        }
        for field in &diff.fields {
            text.push_str(&line(field));
        }
        if diff.more_fields > 0 {
            let _ = writeln!(text, "      and {} fields more", diff.more_fields);
        }
    }
    text
}

fn line(field: &FieldDiff) -> String {
    let path = clean(&field.path);
    let said = |value: &Option<Value>| match value {
        Some(Value::String(text)) => clean(text),
        Some(value) => clean(&value.to_string()),
        None => "nothing".to_owned(),
    };
    let owner = field.owner.as_ref().map(|who| format!(" (set by {})", clean(who))).unwrap_or_default();
    match field.secret {
        true => format!("      {path}: (secret, differs){owner}\n"),
        false => format!("      {path}: wanted {}, has {}{owner}\n", said(&field.wanted), said(&field.has)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::difference::Difference;
    use crate::core::document::ObjectRef;
    use serde_json::json;

    fn object(difference: Difference, fields: Vec<FieldDiff>) -> ObjectDiff {
        let object = ObjectRef {
            api_version: "v1".into(),
            kind: "Secret".into(),
            namespace: Some("apps".into()),
            name: "fleet".into(),
            uid: None,
        };
        ObjectDiff { object, difference, reason: None, fields, more_fields: 0 }
    }

    fn document(objects: Vec<ObjectDiff>) -> DocumentDiff {
        let same = !objects.iter().any(ObjectDiff::counts);
        DocumentDiff { document: "flux/fleet".into(), state: "verified".into(), same, reason: None, objects }
    }

    #[test]
    fn fields_are_told_with_both_values_and_secrets_without_any() {
        let interval = FieldDiff {
            path: "spec.interval".into(),
            wanted: Some(json!("10m")),
            has: Some(json!("\u{1b}[2J5m")),
            owner: Some("kubectl-edit".into()),
            secret: false,
        };
        let data = FieldDiff { path: "data.key".into(), wanted: None, has: None, owner: None, secret: true };
        let gone = FieldDiff {
            has: None,
            owner: None,
            path: "spec.wait".into(),
            wanted: Some(json!(true)),
            secret: false,
        };
        let shown = text(&document(vec![object(Difference::Differs, vec![interval, data, gone])]));
        assert_eq!(
            shown,
            "flux/fleet (verified) differs\n  Secret apps/fleet differs\n      \
             spec.interval: wanted 10m, has \\u{1b}[2J5m (set by kubectl-edit)\n      data.key: (secret, differs)\n      \
             spec.wait: wanted true, has nothing\n"
        );
    }

    #[test]
    fn it_ends_as_kubectl_diff_does() {
        let code = |objects| of(&document(objects)) as u8;
        assert_eq!(code(vec![]), 0);
        assert_eq!(
            code(vec![object(Difference::Foreign, vec![])]),
            0,
            "somebody else's, and as it is wanted"
        );
        assert_eq!(code(vec![object(Difference::Missing, vec![])]), 1);
        assert_eq!(code(vec![object(Difference::LeftOver, vec![]), object(Difference::Refused, vec![])]), 2);
        let unread = DocumentDiff {
            reason: Some(Reason::new("UnknownValue", "sourceKind is odd")),
            same: false,
            ..document(vec![])
        };
        assert_eq!(of(&unread) as u8, 2);
        assert_eq!(worse(DIFFERENCE, Exit::Ok), DIFFERENCE);
    }
}
