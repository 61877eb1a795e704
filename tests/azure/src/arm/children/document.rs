//! What is stored and shown of a document: what Azure fills in, and what it never gives back.

use super::kind::Kind;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The sources that a fluxConfiguration may have, and the member that describes each.
pub const SOURCES: [(&str, &str); 4] = [
    ("GitRepository", "gitRepository"),
    ("Bucket", "bucket"),
    ("AzureBlob", "azureBlob"),
    ("OCIRepository", "ociRepository"),
];

/// Members of a source that are taken and never shown again: those that the specification (2025-04-01) marks
/// `x-ms-secret`, as it does the protected settings. No real answer was seen. A bucket's `accessKey` and a git
/// repository's `httpsCACert` are not among them.
const SECRETS: [&str; 8] = [
    "/azureBlob/accountKey",
    "/azureBlob/sasToken",
    "/azureBlob/servicePrincipal/clientSecret",
    "/azureBlob/servicePrincipal/clientCertificate",
    "/azureBlob/servicePrincipal/clientCertificatePassword",
    "/ociRepository/tlsConfig/clientCertificate",
    "/ociRepository/tlsConfig/privateKey",
    "/ociRepository/tlsConfig/caCertificate",
];

/// The properties of a document that was just made and of which nothing is known: what Azure fills in.
pub fn fresh(kind: Kind, name: &str) -> Value {
    match kind {
        Kind::Flux => json!({
            "scope": "cluster", "namespace": "default", "sourceKind": "GitRepository", "suspend": false,
            "gitRepository": null, "bucket": null, "azureBlob": null, "ociRepository": null, "kustomizations": {},
            "configurationProtectedSettings": {}, "statuses": [], "repositoryPublicKey": "", "sourceSyncedCommitId": null,
            "sourceUpdatedAt": null, "statusUpdatedAt": null, "complianceState": "Pending", "errorMessage": "",
            "provisioningState": "Creating",
        }),
        Kind::Extension => json!({
            "extensionType": "", "autoUpgradeMinorVersion": true, "releaseTrain": "Stable", "version": null,
            "currentVersion": null, "scope": { "cluster": { "releaseNamespace": name } }, "configurationSettings": {},
            "configurationProtectedSettings": {}, "statuses": [], "aksAssignedIdentity": null, "isSystemExtension": false,
            "errorInfo": null, "provisioningState": "Creating",
        }),
    }
}

/// Puts each member of `given` over what is in `shown`, and takes out what is never shown.
pub fn overlay(shown: &mut Value, given: Value) {
    let Value::Object(given) = given else { return };
    for (name, value) in given {
        shown[name.as_str()] = value;
    }
    name_kustomizations(shown);
    hide(shown);
}

/// What Azure shows though a client did not write it: the references that a git repository does not have are null (the
/// specification's own examples), so that absent and null are the same to a careful reader.
pub fn fill(shown: &mut Value) {
    if let Some(Value::Object(reference)) = shown.pointer_mut("/gitRepository/repositoryRef") {
        for name in ["branch", "tag", "semver", "commit"] {
            reference.entry(name).or_insert(Value::Null);
        }
    }
}

/// Each kustomization says its own name.
fn name_kustomizations(properties: &mut Value) {
    let Some(all) = properties.get_mut("kustomizations").and_then(Value::as_object_mut) else { return };
    for (name, one) in all.iter_mut() {
        if let Some(one) = one.as_object_mut() {
            one.insert("name".into(), name.as_str().into());
        }
    }
}

/// Takes out secrets.
fn hide(properties: &mut Value) {
    properties["configurationProtectedSettings"] = json!({});
    for pointer in SECRETS {
        let Some((path, member)) = pointer.rsplit_once('/') else { continue };
        if let Some(Value::Object(object)) = properties.pointer_mut(path) {
            object.remove(member);
        }
    }
}

/// Merges what a PATCH has into what is shown, and takes out what is never shown.
pub fn patch(shown: &mut Value, patch: &Value) {
    merge(shown, patch);
    name_kustomizations(shown);
    hide(shown);
}

/// RFC 7396: `null` removes, an object is merged, anything else replaces.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(object) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            object.remove(name);
        } else {
            merge(object.entry(name.as_str()).or_insert(Value::Null), value);
        }
    }
}

/// Who made it and changed it, and when.
pub fn system_data(who: &str, created: Option<Value>, now: Timestamp) -> Value {
    let now = now.to_string();
    json!({
        "createdBy": who, "createdByType": "Application", "createdAt": created.unwrap_or_else(|| now.clone().into()),
        "lastModifiedBy": who, "lastModifiedByType": "Application", "lastModifiedAt": now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_merges_objects_and_its_null_removes() {
        let mut properties = json!({"kustomizations": {"infra": {"path": "./i", "prune": true}, "apps": {"path": "./a"}}, "suspend": false});
        patch(&mut properties, &json!({"kustomizations": {"infra": {"prune": false}, "apps": null}}));
        let expected = json!({"infra": {"path": "./i", "prune": false, "name": "infra"}});
        assert_eq!((&properties["kustomizations"], &properties["suspend"]), (&expected, &json!(false)));
    }

    #[test]
    fn no_secret_of_any_source_is_shown() {
        let mut shown = fresh(Kind::Flux, "c");
        overlay(
            &mut shown,
            json!({"azureBlob": {"url": "u", "accountKey": "s", "sasToken": "s", "servicePrincipal": {"clientId": "i", "clientSecret": "s"}},
                   "ociRepository": {"url": "u", "tlsConfig": {"privateKey": "s", "caCertificate": "s", "clientCertificate": "s"}}, "configurationProtectedSettings": {"httpsKey": "s"}}),
        );
        assert!(!shown.to_string().contains("\"s\""), "{shown}");
        assert_eq!(shown["azureBlob"]["servicePrincipal"]["clientId"], "i");
    }
}
