//! Resource Manager's conventions: versions, rights, throttling, challenges, and the small reads.

use crate::rig::{ARM, PATIENCE, Rig, VERSION, new_cluster};
use azure_standin::{DEVICE, GROUP, OPERATOR, RULE, Role, SUBSCRIPTION, Shape, cluster_id, rule_id};
use serde_json::{Value, json};

fn group(suffix: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}{suffix}?api-version=2025-04-01")
}

#[test]
fn an_api_version_is_demanded_and_has_to_be_one() {
    let rig = Rig::new();
    rig.azure.seed_arc_cluster(&cluster_id("k3s-1"));
    let id = cluster_id("k3s-1");
    assert_eq!(rig.get(&id).refusal(), (400, "MissingApiVersionParameter".to_owned()));
    let bad = format!("{id}?api-version=2020-02-02");
    assert_eq!(rig.get(&bad).refusal(), (400, "InvalidApiVersionParameter".to_owned()));
    // Anywhere in the query.
    assert_eq!(rig.get(&format!("{id}?%24expand=x&api-version=2026-05-01")).status, 200);
}

#[test]
fn every_answer_has_the_numbers_that_support_asks_for() {
    let rig = Rig::new();
    let url = format!("{}{}", rig.azure.arm_url(), group(""));
    let token = format!("Bearer {}", rig.token(OPERATOR, ARM));
    let authorization = ("authorization", token.as_str());
    let reply = rig.plain(&url, &[authorization]);
    for name in ["x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id"] {
        assert!(reply.header(name).is_some(), "{name}");
    }
    let id = ("x-ms-client-request-id", "11111111-2222-3333-4444-555555555555");
    assert_eq!(rig.plain(&url, &[authorization, id]).header(id.0), None);
    let reply = rig.plain(&url, &[authorization, id, ("x-ms-return-client-request-id", "true")]);
    assert_eq!(reply.header(id.0), Some(id.1));
}

#[test]
fn the_device_may_do_what_the_template_gives_it_and_nothing_else() {
    let rig = Rig::new();
    rig.azure.operations(Shape::Sync, 0, 0);
    for name in ["k3s-1", "k3s-2"] {
        rig.azure.seed_arc_cluster(&cluster_id(name));
    }
    let tags = |name: &str| {
        format!("{}/providers/Microsoft.Resources/tags/default?api-version=2025-04-01", cluster_id(name))
    };
    let merge = json!({ "operation": "Merge", "properties": { "tags": { "a": "b" } } });
    let at = |name: &str| format!("{}{VERSION}", cluster_id(name));
    for (method, path, body, status) in [
        ("GET", at("k3s-1"), Value::Null, 200),
        ("PATCH", tags("k3s-1"), merge.clone(), 200),
        ("GET", at("k3s-2"), Value::Null, 403),
        ("PATCH", tags("k3s-2"), merge, 403),
        ("PATCH", at("k3s-1"), json!({ "tags": {} }), 403),
        ("PUT", at("k3s-1"), new_cluster(), 403),
        ("DELETE", at("k3s-1"), Value::Null, 403),
        ("GET", group(""), Value::Null, 403),
    ] {
        let reply = rig.arm_as(DEVICE, method, &path, body);
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        if status == 403 {
            assert_eq!(reply.refusal().1, "AuthorizationFailed");
        }
    }
}

#[test]
fn the_onboarding_role_makes_a_cluster_and_cannot_remove_it() {
    let rig = Rig::new();
    rig.azure.operations(Shape::Sync, 0, 0);
    rig.azure
        .set_roles(OPERATOR.0, vec![Role::onboarding(&group("").replace("?api-version=2025-04-01", ""))]);
    let at = format!("{}{VERSION}", cluster_id("k3s-1"));
    assert_eq!(rig.arm("PUT", &at, new_cluster()).status, 200);
    assert_eq!(rig.get(&at).status, 200);
    assert_eq!(rig.arm("DELETE", &at, Value::Null).refusal(), (403, "AuthorizationFailed".to_owned()));
}

#[test]
fn permissions_are_those_of_the_roles_that_hold_there() {
    let rig = Rig::new();
    let at =
        |scope: &str| format!("{scope}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01");
    let mine = cluster_id("k3s-1").to_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions");
    let sets = rig.arm_as(DEVICE, "GET", &at(&mine), Value::Null).json();
    let sets = sets["value"].as_array().unwrap();
    assert_eq!(sets.len(), 1);
    assert!(sets[0]["actions"].to_string().contains("Microsoft.Resources/tags/write"), "{sets:?}");
    assert!(sets[0]["dataActions"].as_array().unwrap().is_empty());
    // To see one's own rights is a right, too.
    for elsewhere in [cluster_id("k3s-2"), rule_id()] {
        let refused = rig.arm_as(DEVICE, "GET", &at(&elsewhere), Value::Null).refusal();
        assert_eq!(refused, (403, "AuthorizationFailed".to_owned()));
    }
}

#[test]
fn the_devices_role_is_the_one_that_the_template_defines() {
    let template: Value = serde_json::from_str(include_str!("../../../../config/azure/arclet.json")).unwrap();
    let resources = template["resources"].as_array().unwrap();
    let role = resources.iter().find(|r| r["type"] == "Microsoft.Authorization/roleDefinitions").unwrap();
    let permissions = &role["properties"]["permissions"][0];
    let given = Role::device(&cluster_id("k3s-1"));
    assert_eq!(permissions["actions"], json!(given.actions));
    assert_eq!(permissions["dataActions"], json!(given.data_actions));
    // Monitoring Metrics Publisher, by the id that it has in every tenant.
    let publisher = template["variables"]["publisher"].as_str().unwrap();
    assert!(publisher.contains("3913510d-42f4-4e42-8a64-420c390055eb"));
}

#[test]
fn groups_providers_subscriptions_and_the_rule_are_read() {
    let rig = Rig::new();
    assert_eq!(rig.get(&group("")).json()["location"], "eastus");
    assert_eq!(rig.get(&group("").replace("edge-rg", "other-rg")).status, 403);
    let provider =
        format!("/subscriptions/{SUBSCRIPTION}/providers/microsoft.kubernetes?api-version=2025-04-01");
    let found = rig.get(&provider).json();
    assert_eq!(
        (&found["namespace"], &found["registrationState"]),
        (&json!("Microsoft.Kubernetes"), &json!("Registered"))
    );
    rig.azure.set_provider("Microsoft.Kubernetes", "NotRegistered");
    assert_eq!(rig.get(&provider).json()["registrationState"], "NotRegistered");
    let unknown = provider.replace("microsoft.kubernetes", "Contoso.Nothing");
    assert_eq!(rig.get(&unknown).refusal(), (404, "InvalidResourceNamespace".to_owned()));
    assert_eq!(
        rig.get("/subscriptions?api-version=2022-12-01").json()["value"][0]["subscriptionId"],
        SUBSCRIPTION
    );
    let foreign = rig.get("/subscriptions/00000000-0000-0000-0000-000000000000?api-version=2022-12-01");
    assert_eq!(foreign.refusal(), (404, "SubscriptionNotFound".to_owned()));
    let rule = rig.get(&format!("{}?api-version=2023-03-11", rule_id())).json();
    assert_eq!(rule["properties"]["immutableId"], RULE);
    assert_eq!(rule["properties"]["endpoints"]["logsIngestion"], rig.azure.ingest_url());
    assert!(rule["properties"]["streamDeclarations"]["Custom-ArcletHeartbeat"]["columns"].is_array());
    rig.azure.remove_group();
    assert_eq!(rig.get(&group("")).refusal(), (404, "ResourceGroupNotFound".to_owned()));
}

#[test]
fn the_endpoints_of_the_cloud_are_told_without_a_token() {
    let rig = Rig::new();
    let url = format!("{}/metadata/endpoints?api-version=2022-09-01", rig.azure.arm_url());
    let endpoints = rig.plain(&url, &[]).json();
    assert!(endpoints.is_object());
    assert_eq!(endpoints["resourceManager"], format!("{}/", rig.azure.arm_url()));
    assert_eq!(endpoints["authentication"]["loginEndpoint"], format!("{}/", rig.azure.login_url()));
}

#[test]
fn a_principal_that_writes_too_much_is_throttled_and_its_reads_and_other_principals_are_not() {
    let rig = Rig::new();
    rig.azure.operations(Shape::Sync, 0, 0);
    rig.azure.seed_arc_cluster(&cluster_id("k3s-1"));
    rig.azure.throttle(true);
    let token = format!("Bearer {}", rig.token(OPERATOR, ARM));
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    let url = format!("{}{}{VERSION}", rig.azure.arm_url(), cluster_id("k3s-1"));
    let write = || rig.send("PATCH", &url, &headers, b"{\"tags\": {}}", PATIENCE).unwrap();
    // 200 at once, and what flows in meanwhile: a machine that makes ten a second or fewer is never throttled, but no
    // machine needs 200 s for 2,000 calls on loopback.
    let refused =
        (0..2000).map(|_| write()).find(|reply| reply.status != 200).expect("the bucket has an end");
    assert_eq!(refused.refusal(), (429, "SubscriptionRequestsThrottled".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let writes = rig.azure.seen().iter().filter(|s| s.method == "PATCH" && s.status == 200).count();
    assert!(writes >= 200, "{writes}");
    assert_eq!(rig.plain(&url, &headers).status, 200);
    assert_eq!(
        rig.arm_as(DEVICE, "GET", &format!("{}{VERSION}", cluster_id("k3s-1")), Value::Null).status,
        200
    );
}

#[test]
fn a_challenge_lasts_until_a_token_was_asked_with_its_claims() {
    let rig = Rig::new();
    let claims = r#"{"access_token":{"nbf":{"essential":true,"value":"1"}}}"#;
    rig.azure.challenge(Some(claims));
    let refused = rig.get(&group(""));
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"insufficient_claims\""), "{challenge}");
    use base64::Engine as _;
    let encoded = challenge.split("claims=\"").nth(1).unwrap().trim_end_matches('"');
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap(), claims.as_bytes());
    // A client may announce what it understands beside what it was asked for.
    let presented = r#"{"access_token":{"xms_cc":{"values":["cp1"]},"nbf":{"essential":true,"value":"1"}}}"#;
    let form = [&crate::rig::secret_form(OPERATOR, ARM)[..], &[("claims", presented)]].concat();
    let token = format!("Bearer {}", rig.form(&form).json()["access_token"].as_str().unwrap());
    let url = format!("{}{}", rig.azure.arm_url(), group(""));
    assert_eq!(rig.plain(&url, &[("authorization", &token)]).status, 200);
    rig.azure.challenge(None);
    assert_eq!(rig.get(&group("")).status, 200);
}
