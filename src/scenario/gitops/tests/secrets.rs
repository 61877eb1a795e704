//! What needs a secret and does not get one, and what needs none.

use super::*;

#[test]
fn a_secret_that_arm_does_not_give_back_is_asked_for_and_never_guessed() {
    let blob = |field: &str, value: Value| {
        let mut blob = json!({"url": "https://a.blob.core.windows.net", "containerName": "c"});
        blob[field] = value;
        json!({"sourceKind": "AzureBlob", "azureBlob": blob})
    };
    let bucket = json!({"url": "https://s3.example", "bucketName": "b", "accessKey": "hunter2"});
    let oci = |tls: Value| json!({"sourceKind": "OCIRepository", "ociRepository": {"url": "oci://a/b", "tlsConfig": tls}});
    let withheld = [
        (git(json!({"url": "ssh://git@a/b"})), "properties.gitRepository.url"),
        (git(json!({"url": "git@a:b/c"})), "properties.gitRepository.url"),
        (git(json!({"url": "ssh://git@a/b", "sshKnownHosts": "aG9zdA=="})), "properties.gitRepository.url"),
        (git(json!({"url": "https://a/b", "httpsUser": "hunter2"})), "properties.gitRepository.httpsUser"),
        (git(json!({"url": "https://a/b", "provider": "GitHub"})), "properties.gitRepository.provider"),
        (
            json!({"configurationProtectedSettings": {"httpsKey": "hunter2"}}),
            "configurationProtectedSettings",
        ),
        (json!({"configurationProtectedSettings": {"httpsKey": ""}}), "configurationProtectedSettings"),
        (json!({"sourceKind": "Bucket", "bucket": bucket}), "properties.bucket.accessKey"),
        (blob("accountKey", json!("hunter2")), "properties.azureBlob.accountKey"),
        (blob("sasToken", json!("hunter2")), "properties.azureBlob.sasToken"),
        (blob("servicePrincipal", json!({"clientId": "x"})), "properties.azureBlob.servicePrincipal"),
        (oci(json!({"privateKey": "hunter2"})), "properties.ociRepository.tlsConfig.privateKey"),
        (
            oci(json!({"clientCertificate": "hunter2"})),
            "properties.ociRepository.tlsConfig.clientCertificate",
        ),
    ];
    for (changes, field) in withheld {
        let reason = refusal(changes);
        assert!(!reason.to_string().contains("hunter2"), "{reason}");
        assert!(
            reason.next_step.contains("localAuthRef") && reason.next_step.contains("key-vault"),
            "{reason}"
        );
        names_the_field(reason, code::SECRET_NEEDS_KEY_VAULT, field);
    }
}

#[test]
fn with_an_operators_secret_nothing_is_missing() {
    let protected = json!({"httpsKey": ""});
    let own = json!({"url": "https://a/b", "localAuthRef": "login"});
    let objects =
        rendered(&document(json!({"gitRepository": own, "configurationProtectedSettings": protected})))
            .unwrap();
    assert_eq!(objects[1]["spec"]["secretRef"], json!({"name": "login"}));
    assert!(objects.iter().all(|o| o["kind"] != "Secret"), "{objects:?}");
}

#[test]
fn a_second_secret_beside_the_operators_is_a_conflict() {
    for field in ["httpsUser", "httpsCACert", "sshKnownHosts"] {
        let mut source = json!({"url": "https://a/b", "localAuthRef": "login"});
        source[field] = json!("aGk=");
        names_the_field(
            refusal(git(source)),
            code::CONFLICTING_AUTH,
            &format!("properties.gitRepository.{field}"),
        );
    }
}

#[test]
fn a_public_key_that_was_withheld_is_not_taken_for_no_check() {
    let oci = json!({"url": "oci://a/b", "verify": {"provider": "cosign", "verificationConfig": {"cosign.pub": ""}}});
    let reason = refusal(json!({"sourceKind": "OCIRepository", "ociRepository": oci}));
    names_the_field(reason, code::BAD_VALUE, "properties.ociRepository.verify.verificationConfig.cosign.pub");
}

#[test]
fn tls_of_a_bucket_is_what_the_document_says_and_else_what_its_url_says() {
    let insecure = |fields: Value| {
        let mut bucket = json!({"bucketName": "b"});
        fields.as_object().unwrap().iter().for_each(|(field, value)| bucket[field] = value.clone());
        let objects = rendered(&document(json!({"sourceKind": "Bucket", "bucket": bucket}))).unwrap();
        objects[1]["spec"]["insecure"].clone()
    };
    assert_eq!(insecure(json!({"url": "https://s3.example"})), false);
    assert_eq!(insecure(json!({"url": "http://s3.example"})), true);
    assert_eq!(insecure(json!({"url": "s3.example"})), true);
    assert_eq!(insecure(json!({"url": "https://s3.example", "insecure": true})), true);
    assert_eq!(insecure(json!({"url": "http://s3.example", "insecure": false})), false);
}

/// A vault that has these, and is configured.
fn vault(secrets: &[(&str, &str)]) -> Supplies {
    let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into()));
    Supplies { naming: Some(naming()), secrets: secrets.collect(), ..Supplies::default() }
}

fn naming() -> Naming {
    Naming { prefix: String::new() }
}

fn with(changes: &Value, supplies: &Supplies) -> Result<Vec<Value>, Reason> {
    render(document(changes.clone()).to_string().as_bytes(), &flux(), supplies)
}

fn blob(more: Value) -> Value {
    let mut blob = json!({"url": "https://a.blob.core.windows.net", "containerName": "c"});
    more.as_object().unwrap().iter().for_each(|(field, value)| blob[field] = value.clone());
    json!({"sourceKind": "AzureBlob", "azureBlob": blob})
}

fn oci(more: Value) -> Value {
    let mut oci = json!({"url": "oci://a/b"});
    more.as_object().unwrap().iter().for_each(|(field, value)| oci[field] = value.clone());
    json!({"sourceKind": "OCIRepository", "ociRepository": oci})
}

const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\n";

#[test]
fn what_is_fetched_is_what_is_rendered_and_until_then_the_document_waits() {
    let principal = json!({"servicePrincipal": {"clientId": "c", "tenantId": "t"}});
    let shown = json!({"servicePrincipal": {"clientId": "c", "tenantId": "t", "clientCertificate": "***"}});
    let bucket = json!({"url": "https://s3.example", "bucketName": "b", "accessKey": "me"});
    let ssh = git(json!({"url": "git@a:b/c", "sshKnownHosts": "aG9zdA=="}));
    let user = git(json!({"url": "https://a/b", "httpsUser": "me"}));
    let app = git(json!({"url": "https://a/b", "provider": "GitHub"}));
    let bearer = json!({"configurationProtectedSettings": {"httpsKey": ""}});
    let config = r#"{"auths": {"a": {}}}"#;
    for (changes, needed, optional, value) in [
        (ssh, &["sshPrivateKey"][..], &[][..], KEY),
        (user, &["httpsKey"], &[], "hunter2\n"),
        (bearer, &["httpsKey"], &[], "hunter2"),
        (app, &["githubAppID", "githubAppInstallationID", "githubAppPrivateKey"], &[], KEY),
        (json!({"sourceKind": "Bucket", "bucket": bucket}), &["bucketSecretKey"], &[], "hunter2"),
        (blob(json!({"accountKey": "***"})), &["accountKey"], &[], "hunter2"),
        (blob(json!({"sasToken": "***"})), &["sasToken"], &[], "hunter2"),
        (blob(json!({})), &[], &["accountKey", "sasToken"], "hunter2"),
        (blob(principal), &[], &["clientSecret", "clientCertificate", "clientCertificatePassword"], KEY),
        (blob(shown), &["clientCertificate"], &["clientCertificatePassword"], KEY),
        (oci(json!({})), &[], &["dockerconfigjson"], config),
    ] {
        let wanted = needs(document(changes.clone()).to_string().as_bytes(), &naming());
        let fields =
            |optional| wanted.iter().filter(|w| w.optional == optional).map(|w| w.field).collect::<Vec<_>>();
        assert_eq!((fields(false), fields(true)), (needed.to_vec(), optional.to_vec()), "{changes}");
        let names: Vec<(&str, &str)> = wanted.iter().map(|w| (w.vault_name.as_str(), value)).collect();
        assert!(names.iter().all(|(name, _)| name.starts_with("flux-fleet-")), "{names:?}");
        if !needed.is_empty() {
            for lacking in 0..needed.len() {
                let mut some = names.clone();
                some.remove(lacking);
                let reason = with(&changes, &vault(&some)).unwrap_err();
                assert_eq!(reason.code, crate::core::document::SECRET_NOT_FETCHED, "{reason}");
                assert!(reason.message.contains(names[lacking].0), "{reason}");
            }
        }
        let objects = with(&changes, &vault(&names)).unwrap_or_else(|r| panic!("{changes}: {r}"));
        let secret = objects.iter().find(|object| object["kind"] == "Secret").unwrap();
        let source = objects.iter().find(|object| !object["spec"]["secretRef"].is_null()).unwrap();
        assert_eq!(source["spec"]["secretRef"]["name"], secret["metadata"]["name"], "{changes}");
    }
}

#[test]
fn a_source_that_nothing_says_is_private_is_read_openly_while_the_vault_has_nothing_for_it() {
    for changes in [blob(json!({})), oci(json!({})), oci(json!({"tlsConfig": {}}))] {
        let objects = with(&changes, &vault(&[])).unwrap();
        assert!(
            objects.iter().all(|o| o["kind"] != "Secret" && o["spec"]["secretRef"].is_null()),
            "{objects:?}"
        );
    }
}

#[test]
fn a_host_that_is_not_known_is_not_read_from_over_ssh() {
    let ssh = git(json!({"url": "ssh://git@a/b"}));
    let reason = with(&ssh, &vault(&[("flux-fleet-sshPrivateKey", KEY)])).unwrap_err();
    names_the_field(reason, code::MISSING_FIELD, "properties.gitRepository.sshKnownHosts");
}

#[test]
fn half_a_certificate_waits_for_its_other_half() {
    let tls = oci(json!({"tlsConfig": {}}));
    let whole = [("flux-fleet-clientCertificate", KEY), ("flux-fleet-privateKey", KEY)];
    for (_, half) in [(0, &whole[..1]), (1, &whole[1..])] {
        let reason = with(&tls, &vault(half)).unwrap_err();
        assert_eq!(reason.code, crate::core::document::SECRET_NOT_FETCHED, "{reason}");
    }
    let objects = with(&tls, &vault(&whole)).unwrap();
    assert_eq!(objects[2]["spec"]["certSecretRef"], json!({"name": "fleet-tls"}));
}

#[test]
fn a_value_that_cannot_be_what_it_is_to_be_is_refused_without_quoting_it() {
    let ssh = git(json!({"url": "ssh://git@a/b", "sshKnownHosts": "aG9zdA=="}));
    for (changes, name) in [
        (ssh, "flux-fleet-sshPrivateKey"),
        (oci(json!({})), "flux-fleet-dockerconfigjson"),
        (
            blob(json!({"servicePrincipal": {"clientId": "c", "tenantId": "t", "clientCertificate": "*"}})),
            "flux-fleet-clientCertificate",
        ),
    ] {
        for value in ["hunter2!", "aHVudGVyMg", "{\"hunter2\":"] {
            let reason = with(&changes, &vault(&[(name, value)])).unwrap_err();
            assert_eq!(reason.code, code::BAD_VALUE, "{reason}");
            assert!(reason.message.contains(name) && !reason.to_string().contains("unter2"), "{reason}");
        }
    }
}

#[test]
fn a_secret_of_the_operators_own_needs_nothing_of_the_vault() {
    let own = git(json!({"url": "ssh://git@a/b", "localAuthRef": "login"}));
    assert_eq!(needs(document(own).to_string().as_bytes(), &naming()), []);
    assert_eq!(needs(b"hunter2", &naming()), []);
}
