//! How a document of the desired state fares, as a row for Azure: what the cluster's resource there would show if
//! somebody wrote its status. ARM lets nobody but Microsoft's agents do that.
//!
//! Only what is said is in here; that it is said once per change is decided by `core::desired`.

use super::flux::{self, Controller, Installation};
use super::heartbeat::cut;
use crate::core::Reason;
use crate::core::document::{Compliance, Digest, Key, ObjectStatus, Picture};
use serde::Serialize;

/// The columns of `columns::CONFIG`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    kind: &'static str,
    name: &'a str,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compliance: Option<Compliance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_revision: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statuses: Option<Vec<ObjectStatus>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<usize>,
}

/// The body of a report on one document: where it is in its life, and what the cluster makes of it.
pub fn body(
    key: &Key,
    digest: Digest,
    state: &str,
    reason: Option<&Reason>,
    picture: Option<&Picture>,
) -> Vec<u8> {
    let row = Row {
        kind: key.kind.name(),
        name: &key.name,
        state,
        digest: digest.shown(),
        compliance: picture.map(|picture| picture.compliance),
        source_revision: picture.and_then(|picture| picture.source_revision.as_deref()).map(cut),
        reason: reason.map(|reason| cut(&reason.code)),
        detail: reason.map(|reason| cut(&reason.message)),
        statuses: picture.map(|picture| listed(&picture.statuses)),
        objects: picture.map(|picture| picture.statuses.len()),
    };
    // Text, numbers and lists of them: there is nothing in here that could fail to serialise.
    serde_json::to_vec(&row).unwrap_or_default()
}

/// The columns of a report on Flux itself.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FluxRow<'a> {
    kind: &'static str,
    name: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    controllers: &'a [Controller],
    served_apis: &'a [String],
}

/// The body of a report on the installation of Flux.
pub fn installation(installation: &Installation) -> Vec<u8> {
    let trouble = installation.trouble();
    let row = FluxRow {
        kind: flux::KIND,
        name: "flux",
        state: installation.state(),
        reason: trouble.as_ref().map(|reason| cut(&reason.code)),
        detail: trouble.as_ref().map(|reason| cut(&reason.message)),
        controllers: &installation.controllers,
        served_apis: &installation.served,
    };
    // As above: nothing that could fail.
    serde_json::to_vec(&row).unwrap_or_default()
}

/// As many objects as a column holds, in their order, each with its text cut. `Objects` says how many there are.
fn listed(statuses: &[ObjectStatus]) -> Vec<ObjectStatus> {
    let shorten = |status: &ObjectStatus| ObjectStatus {
        ready: status.ready.as_ref().map(|ready| Reason::new(cut(&ready.code), cut(&ready.message))),
        ..status.clone()
    };
    let mut room = STATUSES_MOST;
    let mut fits = |status: &ObjectStatus| {
        let bytes = serde_json::to_vec(status).map_or(usize::MAX, |text| text.len() + 1);
        let left = room.checked_sub(bytes);
        room = left.unwrap_or(0);
        left.is_some()
    };
    statuses.iter().map(shorten).take_while(|status| fits(status)).collect()
}

/// A field holds 64 KB in Azure; escapes are counted already.
const STATUSES_MOST: usize = 48 << 10;

#[cfg(test)]
mod tests {
    use super::super::columns::CONFIG;
    use super::*;
    use crate::core::document::Kind;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn status(n: usize, message: &str) -> ObjectStatus {
        ObjectStatus {
            kind: "Kustomization".into(),
            namespace: "flux-system".into(),
            name: format!("apps-{n}"),
            compliance: Compliance::NonCompliant,
            ready: Some(Reason::new("BuildFailed", message)),
            applied_by: None,
            helm_release_properties: None,
        }
    }

    fn written(statuses: Vec<ObjectStatus>) -> Value {
        let picture = Picture {
            compliance: Compliance::NonCompliant,
            source_revision: Some("main@sha1:ab".into()),
            statuses,
        };
        let reason = Reason::new("Refused", "x".repeat(9_000));
        let key = Key::new(Kind::Flux, "Cluster-Config");
        let body = body(&key, Digest([7; 32]), "applied", Some(&reason), Some(&picture));
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn a_report_has_columns_that_the_table_has_and_azures_words() {
        let row = written(vec![status(0, "no such path")]);
        // The three sorts of rows together have them all; those of upgrades are tested where they are made.
        let flux: Value = serde_json::from_slice(&installation(&Installation::default())).unwrap();
        let rows = [&row, &flux].into_iter().flat_map(|row| row.as_object().unwrap().keys());
        let names: BTreeSet<&str> = rows.map(String::as_str).chain(["Version", "AgentVersion"]).collect();
        assert_eq!(names, CONFIG.iter().map(|(name, _)| *name).collect());
        assert_eq!((&flux["Kind"], &flux["State"]), (&"flux-installation".into(), &"absent".into()));
        assert_eq!((&row["Kind"], &row["Name"]), (&"flux".into(), &"cluster-config".into()));
        assert_eq!((&row["Compliance"], &row["State"]), (&"Non-Compliant".into(), &"applied".into()));
        assert_eq!(row["Statuses"][0]["ready"]["code"], "BuildFailed");
        assert_eq!(row["Objects"], 1);
    }

    #[test]
    fn a_report_on_flux_fits_into_its_columns_whatever_its_controllers_are_called() {
        let long = || "\"\u{1}".repeat(1_000);
        let deployment = serde_json::json!({"metadata": {"name": long(), "namespace": long(),
                "labels": {"app.kubernetes.io/version": long()}},
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": long(), "message": long()}]}});
        let controllers = flux::controllers(&vec![deployment; 200], false);
        let row = installation(&Installation::new(&Default::default(), Ok(controllers)));
        let row: Value = serde_json::from_slice(&row).unwrap();
        let size = row["Controllers"].to_string().len();
        assert!(size > 1_000 && size <= 64 << 10, "{size}");
    }

    #[test]
    fn a_report_fits_into_its_columns_however_many_objects_there_are_and_whatever_they_say() {
        let row = written((0..5_000).map(|n| status(n, &"\"\u{1}".repeat(4_000))).collect());
        let statuses = row["Statuses"].as_array().unwrap();
        assert!(!statuses.is_empty() && row["Statuses"].to_string().len() <= 64 << 10);
        assert_eq!((row["Objects"].as_u64(), row["Detail"].as_str().unwrap().len()), (Some(5_000), 1_024));
    }
}
