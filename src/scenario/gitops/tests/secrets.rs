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
        assert!(reason.next_step.contains("localAuthRef"), "{reason}");
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
