//! arclet's own Azure clients in whole conversations with the strict stand-in, which Microsoft's own clients have judged
//! (`tests/clients`). Every odd answer by itself is in `src/azure/tests`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test: it fails by panicking

use arclet::azure::arm::Arm;
use arclet::azure::desired::{Resources, listing};
use arclet::azure::identity::{ArcServer, Certificate, ClientSecret, FederatedToken};
use arclet::azure::ingest::{Ingest, encode};
use arclet::azure::lro::Progress;
use arclet::azure::resources::{ClusterChange, NewCluster, TagOperation};
use arclet::azure::token_cache::account;
use arclet::azure::{Cloud, Credential, Identity, ResourceId, TokenCache};
use arclet::clock::Clock;
use arclet::core::document::{Digest, Key, Kind, Kinds, Listing, Needs, Parent};
use arclet::core::{Outcome, Scope, Stream};
use arclet::http::{Client, Options, Roots};
use arclet::scenario::columns;
use azure_standin::{
    Azure, DEVICE, Endpoint, Fault, GROUP, OPERATOR, Principal, RULE, Role, SUBSCRIPTION, Shape, TENANT,
    Upset, cluster_id, rule_id,
};
use base64::Engine as _;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The vault as the device sees it, in whole conversations: roles, versions, and answers that are not the vault's.
#[test]
fn a_secret_is_read_by_who_may_and_a_link_that_lies_is_told_from_a_secret_that_is_missing() {
    use arclet::azure::vault::{Vault, code};
    let rig = Rig::new();
    let vault = Vault::new(&rig.azure.vault_url(), rig.client.clone(), rig.clock.clone());
    let device = token(&rig.device(), Scope::Vault);
    let own = |token: &str| {
        vault.get("a-b", token).unwrap().map(|secret| (secret.value.to_string(), secret.version))
    };
    assert_eq!(own(&device).unwrap_err().code, code::MISSING);
    let version = rig.azure.put_secret("a-b", "x\n\"\u{e9}");
    assert_eq!(own(&device), Ok(("x\n\"\u{e9}".to_owned(), version)));
    assert!(rig.azure.change_secret("a-b", &json!({"attributes": {"enabled": false}})));
    assert_eq!(own(&device).unwrap_err().code, code::DISABLED);
    for (fault, expected) in [
        (Fault::Html(200), "CaptivePortal"),
        (Fault::Html(404), "CaptivePortal"),
        (Fault::Error(401, "Unauthorized".into()), "Unauthorized"),
        (Fault::Throttled(7), ""),
        (Fault::Error(500, "InternalError".into()), "InternalError"),
        (Fault::Reset, "ConnectionReset"),
    ] {
        rig.azure.set_fault(Endpoint::Vault, fault.clone(), Some(1));
        let outcome = vault.get("a-b", &device).map(|_| ()).unwrap_err();
        let reason = outcome.reason().unwrap();
        match fault {
            Fault::Throttled(_) => assert!(
                matches!(&outcome, Outcome::Throttled { retry_after: Some(wait), .. } if wait.as_secs() == 7)
            ),
            _ => assert_eq!(reason.code, expected, "{fault:?}: {outcome:?}"),
        }
    }
    let arm = token(&rig.device(), Scope::Arm);
    assert!(matches!(vault.get("a-b", &arm), Err(Outcome::Unauthorized { .. })), "a token for somebody else");
}

/// A chart, from the challenge to the blob behind a redirect; what is its own trouble and what is the link's.
#[test]
fn a_chart_is_fetched_without_any_login_and_nothing_wrong_is_taken_for_it() {
    use arclet::azure::registry::{Registry, Repository, code};
    let rig = Rig::new();
    let registry = Registry::new(rig.client.clone(), rig.clock.clone());
    rig.azure.push_chart("charts/app", "1.2.3", b"the archive");
    rig.azure.put_file("app.tgz", b"the archive");
    let digest = Digest::of(b"the archive");
    let location = format!("{}:1.2.3", rig.azure.repository("charts/app"));
    let fetch = || registry.chart(&location, &digest, 1 << 20);
    let file = format!("{}/files/app.tgz", rig.azure.registry_url());
    assert_eq!(registry.chart(&file, &digest, 1 << 20).unwrap().unwrap(), b"the archive");
    for _ in 0..2 {
        assert_eq!(fetch().unwrap().unwrap(), b"the archive");
    }
    let paths = rig.azure.seen().iter().filter(|seen| seen.path == "/token").count();
    assert_eq!(paths, 1, "a token is kept");
    // An empty verdict is the chart's own.
    for (fault, link, own) in [
        (Fault::Throttled(7), "throttled", ""),
        (Fault::Error(500, "UNKNOWN".into()), "unreachable", ""),
        (Fault::Error(403, "DENIED".into()), "", "Forbidden"),
        (Fault::Error(404, "NAME_UNKNOWN".into()), "", code::MISSING),
        (Fault::Html(200), "refused", ""),
        (Fault::Html(502), "unreachable", ""),
        (Fault::Truncated, "unreachable", ""),
        (Fault::Reset, "unreachable", ""),
        (Fault::ResetAfter, "unreachable", ""),
        (Fault::Huge(2 << 20), "", code::TOO_LARGE),
        (Fault::HugeHeader(128 << 10), "", code::TOO_LARGE),
        (Fault::Deep(100_000), "", code::UNUSABLE),
    ] {
        rig.azure.set_fault(Endpoint::Registry, fault.clone(), None);
        match fetch() {
            Err(outcome) => assert_eq!(verdict(&outcome).0, link, "{fault:?}: {outcome:?}"),
            Ok(judged) => assert_eq!(judged.unwrap_err().code, own, "{fault:?}"),
        }
        rig.azure.clear_fault(Endpoint::Registry);
    }
    assert!(fetch().unwrap().is_ok());
    assert!(rig.azure.corrupt_blob("charts/app", &format!("sha256:{digest}"), b"another archive"));
    assert_eq!(fetch().unwrap().unwrap_err().code, code::WRONG_DIGEST);
    rig.azure.make_private("charts/app", true);
    let fresh = Registry::new(rig.client.clone(), rig.clock.clone());
    assert_eq!(fresh.chart(&location, &digest, 1 << 20).unwrap().unwrap_err().code, "Forbidden");
    rig.azure.make_private("charts/app", false);
    rig.azure.page_size(1);
    rig.azure.push_chart("charts/app", "1.10.0", b"the archive");
    let repository = Repository::parse(&rig.azure.repository("charts/app")).unwrap();
    assert_eq!(fresh.tags(&repository).unwrap().unwrap(), ["1.10.0", "1.2.3"]);
}

const APP: &str = "33334444-dddd-5555-eeee-6666ffff7777";
const APP_PEM: &[u8] = include_bytes!("../src/azure/testdata/app.pem");

/// A device beside the stand-in.
struct Rig {
    azure: Azure,
    client: Client,
    clock: Clock,
    directory: tempfile::TempDir,
}

impl Rig {
    fn new() -> Rig {
        let directory = tempfile::tempdir().unwrap();
        let himds = Some(directory.path().to_owned());
        let azure = Azure::start(azure_standin::Options { himds, ..Default::default() }).unwrap();
        let clock = Clock::new();
        let extra_pem = Some(azure.ca_pem().as_bytes().to_vec());
        let client = Client::new(Options::new(Roots::WebPki { extra_pem }, clock.clone())).unwrap();
        Rig { azure, client, clock, directory }
    }

    fn cloud(&self) -> Cloud {
        let scopes = ("https://management.azure.com/.default", "https://monitor.azure.com/.default");
        Cloud::custom(&self.azure.login_url(), &self.azure.arm_url(), scopes.0, scopes.1)
    }

    fn identity(&self, credential: Credential) -> Identity {
        Identity::new(credential, TENANT, self.cloud(), self.client.clone(), self.clock.clone())
    }

    fn device(&self) -> Identity {
        self.identity(Credential::ClientSecret(ClientSecret::new(DEVICE.0, DEVICE.1)))
    }

    fn operator(&self) -> String {
        let secret = ClientSecret::new(OPERATOR.0, OPERATOR.1);
        token(&self.identity(Credential::ClientSecret(secret)), Scope::Arm)
    }

    fn arm(&self) -> Arm {
        Arm::new(&self.azure.arm_url(), self.client.clone())
    }

    fn ingest(&self) -> Ingest {
        Ingest::new(&self.azure.ingest_url(), RULE, self.client.clone())
    }

    /// The same application with another proof.
    fn register(&self, certificate: Option<Vec<u8>>, federated: Option<&str>) {
        let roles = vec![Role::device(&cluster_id("k3s-1"))];
        let federated = federated.map(str::to_owned);
        let app =
            Principal { secret: None, certificate, federated, ..Principal::with_secret(APP, "", roles) };
        self.azure.set_principal(app);
    }
}

fn token(identity: &Identity, scope: Scope) -> String {
    identity.token(scope, None).unwrap_or_else(|outcome| panic!("{outcome:?}")).secret.to_string()
}

fn refusal<T>(result: Result<T, Outcome>) -> (&'static str, String) {
    verdict(&result.err().expect("a refusal"))
}

/// An outcome's kind and its code.
fn verdict(outcome: &Outcome) -> (&'static str, String) {
    let kind = match outcome {
        Outcome::Success => "success",
        Outcome::TooLarge(_) => "too large",
        Outcome::BadRecord(_) => "bad record",
        Outcome::Refused(_) => "refused",
        Outcome::Unauthorized { .. } => "unauthorized",
        Outcome::Throttled { .. } => "throttled",
        Outcome::Unreachable(_) => "unreachable",
    };
    (kind, outcome.reason().map(|r| r.code.clone()).unwrap_or_default())
}

fn id(name: &str) -> ResourceId {
    ResourceId::parse(&cluster_id(name)).unwrap()
}

fn new_cluster() -> NewCluster {
    // PKCS#1 of a key that is registered nowhere: the stand-in looks at its shape only.
    let mut der = vec![0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];
    der.extend([0xa5; 256]);
    der.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
    NewCluster {
        location: "eastus".into(),
        tags: BTreeMap::from([("site".into(), "store-17".into())]),
        public_key: base64::prelude::BASE64_STANDARD.encode(der),
        distribution: "k3s".into(),
        distribution_version: "v1.31.2+k3s1".into(),
        infrastructure: "generic".into(),
    }
}

const ROW: &[u8] =
    br#"{"TimeGenerated":"2026-11-22T15:10:02.123Z","EventTime":"2026-11-22T15:10:02.123Z","Seq":1}"#;

#[test]
fn every_credential_gets_a_token_that_resource_manager_takes() {
    let rig = Rig::new();
    rig.azure.seed_arc_cluster(&cluster_id("k3s-1"));
    let federated = rig.directory.path().join("sa.jwt");
    std::fs::write(&federated, "eyJhbGciOiJSUzI1NiJ9.SA.TOKEN").unwrap();
    let himds = rig.azure.himds_url().unwrap();
    let certificate = {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        CertificateDer::from_pem_slice(APP_PEM).unwrap().to_vec()
    };
    rig.register(Some(certificate), Some("eyJhbGciOiJSUzI1NiJ9.SA.TOKEN"));
    for credential in [
        Credential::ClientSecret(ClientSecret::new(DEVICE.0, DEVICE.1)),
        Credential::Certificate(Box::new(Certificate::from_pem(APP, APP_PEM).unwrap())),
        Credential::FederatedToken(FederatedToken::new(APP, &federated)),
        Credential::ArcServer(ArcServer::with_directory(&himds, rig.directory.path()).unwrap()),
    ] {
        let name = format!("{credential:?}");
        let identity = rig.identity(credential);
        // Twice: an assertion and a challenge file count once.
        for _ in 0..2 {
            let token = token(&identity, Scope::Arm);
            assert!(rig.arm().get_cluster(&id("k3s-1"), &token).unwrap().is_some(), "{name}");
        }
    }
}

#[test]
fn a_wrong_credential_is_refused_by_its_number() {
    let rig = Rig::new();
    rig.register(None, Some("the registered one"));
    let secret = |client: &str| Credential::ClientSecret(ClientSecret::new(client, "wrong"));
    let file = rig.directory.path().join("other.jwt");
    std::fs::write(&file, "eyJhbGciOiJSUzI1NiJ9.SA.OTHER").unwrap();
    for (credential, code) in [
        (secret(DEVICE.0), "AADSTS7000215"),
        (secret("99990000-0000-0000-0000-000000000000"), "AADSTS700016"),
        (Credential::FederatedToken(FederatedToken::new(APP, file)), "AADSTS70021"),
        // Another certificate is registered, or none.
        (Credential::Certificate(Box::new(Certificate::from_pem(APP, APP_PEM).unwrap())), "AADSTS70021"),
    ] {
        let refused = refusal(rig.identity(credential).token(Scope::Arm, None));
        assert_eq!(refused, ("refused", code.to_owned()));
    }
    let stranger = Identity::new(
        Credential::ClientSecret(ClientSecret::new(DEVICE.0, DEVICE.1)),
        "00000000-0000-0000-0000-000000000000",
        rig.cloud(),
        rig.client.clone(),
        rig.clock.clone(),
    );
    assert_eq!(refusal(stranger.token(Scope::Arm, None)), ("refused", "AADSTS90002".to_owned()));
}

#[test]
fn a_challenge_of_himds_that_names_a_foreign_file_gets_no_second_request() {
    let rig = Rig::new();
    rig.azure.himds_realm(Some("/etc/passwd"));
    let server = ArcServer::with_directory(&rig.azure.himds_url().unwrap(), rig.directory.path()).unwrap();
    assert_eq!(refusal(rig.identity(Credential::ArcServer(server)).token(Scope::Arm, None)).0, "refused");
    assert_eq!(rig.azure.himds_requests(), 1);
}

#[test]
fn a_cached_token_survives_a_restart_and_is_taken_by_azure() {
    let rig = Rig::new();
    let account = account(&rig.cloud(), TENANT, DEVICE.0);
    let mut cache = TokenCache::new();
    cache.put(Scope::Monitor, rig.device().token(Scope::Monitor, None).unwrap(), rig.clock.now().mono);
    let bytes = cache.to_bytes(&account, &rig.clock);
    let restored = TokenCache::from_bytes(&bytes, &account, &rig.clock);
    let token = restored.get(Scope::Monitor, rig.clock.now().mono).unwrap();
    assert!(!restored.needs_refresh(Scope::Monitor, rig.clock.now().mono));
    let (body, _) = encode([ROW]).unwrap();
    assert_eq!(rig.ingest().post(Stream::Heartbeat, &body, token).0, Outcome::Success);
}

#[test]
fn a_cluster_is_made_changed_and_deleted_through_every_shape_of_operation() {
    for shape in [Shape::Async, Shape::Body, Shape::Sync] {
        let rig = Rig::new();
        rig.azure.operations(shape, 2, 3);
        let (arm, token, id) = (rig.arm(), rig.operator(), id("k3s-1"));
        let mut pauses = Vec::new();
        let mut finish = |mut operation| {
            // Stored between two looks, as by an agent that was restarted.
            if arm.poll(&mut operation, &token).unwrap() != Progress::Succeeded {
                let stored = serde_json::to_vec(&operation).unwrap();
                operation = serde_json::from_slice(&stored).unwrap();
                arm.wait(&mut operation, &token, |pause| pauses.push(pause)).unwrap();
            }
        };
        assert!(arm.get_cluster(&id, &token).unwrap().is_none());
        finish(arm.put_cluster(&id, &new_cluster(), &token).unwrap());
        let made = arm.get_cluster(&id, &token).unwrap().unwrap();
        assert_eq!(made.properties.provisioning_state.as_deref(), Some("Succeeded"), "{shape:?}");
        assert_eq!(made.tags["site"], "store-17");
        // Nothing but Microsoft's own agents makes it Connected, and arclet reads what is there.
        assert_eq!(made.properties.connectivity_status.as_deref(), Some("Connecting"));
        let change =
            ClusterChange { distribution_version: Some("v1.31.3+k3s1".into()), ..ClusterChange::default() };
        finish(arm.patch_cluster(&id, &change, &token).unwrap());
        let changed = arm.get_cluster(&id, &token).unwrap().unwrap();
        assert_eq!(changed.properties.distribution_version.as_deref(), Some("v1.31.3+k3s1"));
        assert_eq!(changed.tags["site"], "store-17");
        finish(arm.delete_cluster(&id, &token).unwrap());
        assert!(arm.get_cluster(&id, &token).unwrap().is_none());
        finish(arm.delete_cluster(&id, &token).unwrap());
        if shape == Shape::Async {
            assert!(!pauses.is_empty() && pauses.iter().all(|p| *p == Duration::from_secs(3)), "{pauses:?}");
        }
    }
}

#[test]
fn an_operation_that_failed_is_refused_with_its_own_code() {
    let rig = Rig::new();
    rig.azure.operations(Shape::Failed, 1, 0);
    let (arm, token) = (rig.arm(), rig.operator());
    let mut operation = arm.put_cluster(&id("k3s-1"), &new_cluster(), &token).unwrap();
    let end = refusal(arm.wait(&mut operation, &token, |_| ()));
    assert_eq!(end, ("refused", "ClusterAlreadyOnboarded".to_owned()));
}

#[test]
fn the_device_writes_its_clusters_tags_and_may_do_nothing_else_to_it() {
    let rig = Rig::new();
    for name in ["k3s-1", "k3s-2"] {
        rig.azure.seed_arc_cluster(&cluster_id(name));
    }
    let (arm, token) = (rig.arm(), token(&rig.device(), Scope::Arm));
    let tags = BTreeMap::from([("arclet-version".to_owned(), "0.1".to_owned())]);
    assert_eq!(arm.patch_tags(&id("k3s-1"), TagOperation::Merge, &tags, &token), Outcome::Success);
    assert_eq!(rig.azure.cluster(&cluster_id("k3s-1")).unwrap()["tags"]["arclet-version"], "0.1");
    assert_eq!(arm.patch_tags(&id("k3s-1"), TagOperation::Delete, &tags, &token), Outcome::Success);
    assert_eq!(rig.azure.cluster(&cluster_id("k3s-1")).unwrap()["tags"], serde_json::json!({}));
    let refused = ("refused", "AuthorizationFailed".to_owned());
    assert_eq!(verdict(&arm.patch_tags(&id("k3s-2"), TagOperation::Merge, &tags, &token)), refused);
    assert_eq!(refusal(arm.get_cluster(&id("k3s-2"), &token)), refused);
    assert_eq!(refusal(arm.put_cluster(&id("k3s-1"), &new_cluster(), &token)), refused);
    assert_eq!(refusal(arm.delete_cluster(&id("k3s-1"), &token)), refused);
    // And its permissions say so beforehand.
    let permissions = arm.permissions(&cluster_id("k3s-1"), &token).unwrap();
    assert!(permissions.allow("Microsoft.Resources/tags/write"));
    assert!(!permissions.allow("Microsoft.Kubernetes/connectedClusters/write"));
    assert_eq!(refusal(arm.permissions(&cluster_id("k3s-2"), &token)), refused);
}

#[test]
fn the_group_the_provider_and_the_rule_are_found() {
    let rig = Rig::new();
    let (arm, token) = (rig.arm(), rig.operator());
    assert_eq!(arm.get_resource_group(SUBSCRIPTION, GROUP, &token).unwrap().unwrap().location, "eastus");
    assert_eq!(arm.provider_state(SUBSCRIPTION, "Microsoft.Kubernetes", &token).unwrap(), "Registered");
    rig.azure.set_provider("Microsoft.Kubernetes", "NotRegistered");
    assert_eq!(arm.provider_state(SUBSCRIPTION, "Microsoft.Kubernetes", &token).unwrap(), "NotRegistered");
    let refused = refusal(arm.put_cluster(&id("k3s-1"), &new_cluster(), &token));
    assert_eq!(refused, ("refused", "MissingSubscriptionRegistration".to_owned()));
    let rule = arm.get_dcr(&ResourceId::parse(&rule_id()).unwrap(), &token).unwrap();
    assert_eq!((rule.immutable_id.as_str(), rule.logs_ingestion), (RULE, Some(rig.azure.ingest_url())));
    let mut streams = Stream::ALL.map(|s| s.dcr_stream());
    streams.sort_unstable();
    assert_eq!(rule.streams, streams);
    rig.azure.remove_group();
    assert!(arm.get_resource_group(SUBSCRIPTION, GROUP, &token).unwrap().is_none());
}

#[test]
fn rows_arrive_as_they_were_and_once() {
    let rig = Rig::new();
    let (ingest, token) = (rig.ingest(), token(&rig.device(), Scope::Monitor));
    let (body, _) = encode([ROW, ROW]).unwrap();
    let (outcome, date) = ingest.post(Stream::Heartbeat, &body, &token);
    assert_eq!(outcome, Outcome::Success);
    assert!(date.is_some());
    let row: serde_json::Value = serde_json::from_slice(ROW).unwrap();
    let arrived: Vec<_> = rig.azure.arrived().into_iter().map(|a| (a.stream, a.row)).collect();
    assert_eq!(arrived, vec![("Custom-ArcletHeartbeat".to_owned(), row); 2]);
    assert_eq!(rig.azure.violations(), Vec::<String>::new());
}

#[test]
fn each_refusal_of_ingestion_has_its_own_consequence() {
    let rig = Rig::new();
    let (ingest, token) = (rig.ingest(), token(&rig.device(), Scope::Monitor));
    let (body, _) = encode([ROW]).unwrap();
    let post =
        |ingest: &Ingest, body: &[u8], token: &str| verdict(&ingest.post(Stream::Heartbeat, body, token).0);
    let large =
        format!(r#"{{"TimeGenerated":"2026-11-22T15:10:02.123Z","Detail":"{}"}}"#, "x".repeat(1 << 20));
    let (large, _) = encode([large.as_bytes()]).unwrap();
    assert_eq!(post(&ingest, &large, &token), ("too large", "ContentLengthLimitExceeded".to_owned()));
    rig.azure.poison("\"Seq\":1");
    assert_eq!(post(&ingest, &body, &token), ("bad record", "InvalidRecord".to_owned()));
    let (body, _) = encode([&br#"{"TimeGenerated":"2026-11-22T15:10:02.123Z","Seq":2}"#[..]]).unwrap();
    rig.azure.declare("Custom-ArcletHeartbeat", false);
    assert_eq!(post(&ingest, &body, &token), ("refused", "InvalidStream".to_owned()));
    rig.azure.declare("Custom-ArcletHeartbeat", true);
    let elsewhere =
        Ingest::new(&rig.azure.ingest_url(), "dcr-00000000000000000000000000000000", rig.client.clone());
    assert_eq!(post(&elsewhere, &body, &token), ("refused", "NotFound".to_owned()));
    assert_eq!(post(&ingest, &body, "made.up.token").0, "unauthorized");
    let arm_token = self::token(&rig.device(), Scope::Arm);
    assert_eq!(post(&ingest, &body, &arm_token).0, "unauthorized");
    rig.azure.set_roles(DEVICE.0, Vec::new());
    assert_eq!(post(&ingest, &body, &token), ("refused", "OperationFailed".to_owned()));
    assert_eq!(rig.azure.arrived_count(), 0);
}

#[test]
fn a_revoked_token_is_replaced_by_one_that_answers_the_challenge() {
    let rig = Rig::new();
    let (ingest, device) = (rig.ingest(), rig.device());
    let old = token(&device, Scope::Monitor);
    let wanted = r#"{"access_token":{"nbf":{"essential":true,"value":"1795361110"}}}"#;
    rig.azure.challenge(Some(wanted));
    let (body, _) = encode([ROW]).unwrap();
    let (outcome, _) = ingest.post(Stream::Heartbeat, &body, &old);
    let Outcome::Unauthorized { claims: Some(claims), .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(claims, wanted);
    let new = device.token(Scope::Monitor, Some(&claims)).unwrap();
    assert_eq!(ingest.post(Stream::Heartbeat, &body, &new.secret).0, Outcome::Success);
    // Any other token is still refused: the one that was asked for without the claims.
    let plain = token(&device, Scope::Monitor);
    assert_eq!(verdict(&ingest.post(Stream::Heartbeat, &body, &plain).0).0, "unauthorized");
}

#[test]
fn no_fault_of_an_endpoint_is_taken_for_success() {
    let rig = Rig::new();
    rig.azure.seed_arc_cluster(&cluster_id("k3s-1"));
    let (arm, ingest, device) = (rig.arm(), rig.ingest(), rig.device());
    let tokens = (token(&device, Scope::Arm), token(&device, Scope::Monitor));
    let (body, _) = encode([ROW]).unwrap();
    let error = |status, code: &str| Fault::Error(status, code.to_owned());
    for (fault, expected) in [
        (Fault::Throttled(7), "throttled"),
        (error(500, "InternalServerError"), "unreachable"),
        (error(503, "ServiceUnavailable"), "unreachable"),
        (error(403, "AuthorizationFailed"), "refused"),
        (Fault::Html(200), "refused"),
        (Fault::Html(403), "refused"),
        (Fault::Html(502), "unreachable"),
        (Fault::Redirect, "refused"),
        (Fault::Truncated, "unreachable"),
        (Fault::Reset, "unreachable"),
        (Fault::ResetAfter, "unreachable"),
        (Fault::Huge(20 << 20), "refused"),
        (Fault::HugeHeader(128 << 10), "refused"),
        (Fault::Deep(100_000), "refused"),
    ] {
        for endpoint in [Endpoint::Login, Endpoint::Arm, Endpoint::Ingest] {
            // A client may try once more by itself on a kept connection, so the fault stays.
            rig.azure.set_fault(endpoint, fault.clone(), None);
            let outcome = match endpoint {
                Endpoint::Login => device.token(Scope::Arm, None).err(),
                Endpoint::Arm => arm.get_cluster(&id("k3s-1"), &tokens.0).err(),
                Endpoint::Ingest => Some(ingest.post(Stream::Heartbeat, &body, &tokens.1).0),
                Endpoint::Vault | Endpoint::Registry => panic!("none of these clients talks to it"),
            };
            let outcome = outcome.unwrap_or_else(|| panic!("{endpoint:?} {fault:?} was a success"));
            assert_eq!(verdict(&outcome).0, expected, "{endpoint:?} {fault:?}: {outcome:?}");
            if let (Fault::Throttled(seconds), Outcome::Throttled { retry_after, .. }) = (&fault, &outcome) {
                assert_eq!(*retry_after, Some(Duration::from_secs(*seconds)));
            }
            rig.azure.clear_fault(endpoint);
        }
    }
    for endpoint in Endpoint::ALL {
        rig.azure.cut(endpoint);
    }
    assert_eq!(refusal(device.token(Scope::Arm, None)), ("unreachable", "ConnectFailed".to_owned()));
    assert_eq!(refusal(arm.get_cluster(&id("k3s-1"), &tokens.0)).0, "unreachable");
    assert_eq!(verdict(&ingest.post(Stream::Heartbeat, &body, &tokens.1).0).0, "unreachable");
    rig.azure.restore_all();
    assert_eq!(ingest.post(Stream::Heartbeat, &body, &tokens.1).0, Outcome::Success);
    assert!(arm.get_cluster(&id("k3s-1"), &tokens.0).unwrap().is_some());
}

/// In a rule's declarations Azure writes `datetime`, in a table's schema `dateTime`.
#[test]
fn the_template_declares_exactly_the_streams_and_tables_that_arclet_writes() {
    let template: serde_json::Value =
        serde_json::from_str(include_str!("../config/azure/arclet.json")).unwrap();
    type Columns = BTreeMap<String, Vec<(String, String)>>;
    let read = |columns: &serde_json::Value| -> Vec<(String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        columns.as_array().unwrap().iter().map(|c| (text(&c["name"]), text(&c["type"]))).collect()
    };
    let (mut rules, mut tables, mut flows) = (Columns::new(), Columns::new(), BTreeSet::new());
    for resource in template["resources"].as_array().unwrap() {
        let properties = &resource["properties"];
        if let Some(schema) = properties.get("schema") {
            tables.insert(schema["name"].as_str().unwrap().to_owned(), read(&schema["columns"]));
        }
        for (stream, declared) in properties["streamDeclarations"].as_object().into_iter().flatten() {
            rules.insert(stream.clone(), read(&declared["columns"]));
        }
        for flow in properties["dataFlows"].as_array().into_iter().flatten() {
            for stream in flow["streams"].as_array().unwrap() {
                let pair = (stream.as_str().unwrap(), flow["outputStream"].as_str().unwrap());
                flows.insert((pair.0.to_owned(), pair.1.to_owned()));
            }
        }
    }
    let ours = |datetime: &str, name: fn(Stream) -> String| -> Columns {
        let columns = |stream| {
            columns::all(stream)
                .map(|(name, kind)| (name.to_owned(), kind.name().replace("datetime", datetime)))
                .collect()
        };
        Stream::ALL.into_iter().map(|stream| (name(stream), columns(stream))).collect()
    };
    assert_eq!(rules, ours("datetime", |s| s.dcr_stream().to_owned()));
    assert_eq!(tables, ours("dateTime", |s| s.table().to_owned()));
    let expected = Stream::ALL.map(|s| (s.dcr_stream().to_owned(), format!("Custom-{}", s.table())));
    assert_eq!(flows, BTreeSet::from(expected));
}

/// A cluster with five configurations, two a page, as the device reads it.
struct Wanted {
    rig: Rig,
    token: String,
}

impl Wanted {
    fn new() -> Wanted {
        let rig = Rig::new();
        rig.azure.seed_arc_cluster(&cluster_id("k3s-1"));
        rig.azure.seed_arc_cluster(&cluster_id("k3s-10"));
        for name in ["a", "b", "c", "D", "e"] {
            rig.azure.put_flux(
                &cluster_id("k3s-1"),
                name,
                json!({"kustomizations": {"apps": {"path": "./apps"}}}),
            );
        }
        rig.azure.put_flux(&cluster_id("k3s-10"), "of-another", json!({}));
        rig.azure.page_size(2);
        let token = token(&rig.device(), Scope::Arm);
        Wanted { rig, token }
    }

    fn listing(&self) -> Result<Listing, Outcome> {
        let (arm, cluster) = (self.rig.arm(), id("k3s-1"));
        let source = Resources {
            arm: &arm,
            cluster: &cluster,
            kinds: Kinds::default().and(Kind::Flux),
            token: &self.token,
        };
        listing(&source, true, &mut |_, digest, content| {
            assert_eq!(digest, Digest::of(content));
            Ok(Needs::NONE)
        })
    }

    fn names(&self) -> String {
        self.listing().unwrap().heads.into_iter().map(|head| head.key.name).collect()
    }

    fn digest(&self, name: &str) -> Digest {
        self.listing().unwrap().heads.into_iter().find(|head| head.key.name == name).unwrap().digest
    }

    /// Whether a document is gone, and whether its cluster is.
    fn confirm(&self, name: &str) -> (bool, bool) {
        let key = Key::new(Kind::Flux, name);
        let confirmation = self.rig.arm().confirm(&id("k3s-1"), &key, &self.token).unwrap();
        (confirmation.gone, confirmation.parent == Parent::Gone)
    }
}

#[test]
fn what_is_wanted_is_listed_whatever_order_and_however_often_it_comes() {
    let wanted = Wanted::new();
    for upsets in [&[][..], &[Upset::Duplicates], &[Upset::Reversed], &[Upset::Duplicates, Upset::Reversed]] {
        wanted.rig.azure.upset(upsets);
        assert_eq!(wanted.names(), "abcde", "{upsets:?}");
    }
    assert!(matches!(wanted.listing().unwrap().parent, Some(Parent::There { .. })));
}

#[test]
fn a_status_is_no_change_and_a_wish_is_one() {
    let wanted = Wanted::new();
    let put = |properties| wanted.rig.azure.put_flux(&cluster_id("k3s-1"), "a", properties);
    let before = wanted.digest("a");
    put(json!({
        "kustomizations": {"apps": {"path": "./apps"}},
        "provisioningState": "Failed",
        "complianceState": "Non-Compliant",
        "statuses": [{"name": "a", "kind": "GitRepository", "complianceState": "Non-Compliant"}],
        "sourceSyncedCommitId": "main@sha1:0123",
        "errorMessage": "words",
    }));
    assert_eq!(wanted.digest("a"), before);
    put(json!({"kustomizations": {"apps": {"path": "./apps", "prune": true}}}));
    assert_ne!(wanted.digest("a"), before);
    put(json!({"provisioningState": "Deleting"}));
    let heads = wanted.listing().unwrap().heads;
    let leaving: Vec<_> = heads.iter().filter(|head| head.leaving).map(|head| head.key.to_string()).collect();
    assert_eq!(leaving, ["flux/a"]);
}

#[test]
fn no_answer_in_place_of_a_page_makes_a_listing() {
    let wanted = Wanted::new();
    let elsewhere = Upset::Elsewhere("https://192.0.2.1/next".into());
    for (upset, code) in [
        (Upset::Loop, "NotAListing"),
        (elsewhere, "ForeignUrl"),
        (Upset::WithoutValue, "NotTheApi"),
        (Upset::NullValue, "NotTheApi"),
    ] {
        wanted.rig.azure.upset(std::slice::from_ref(&upset));
        assert_eq!(refusal(wanted.listing()), ("refused", code.to_owned()), "{upset:?}");
    }
    wanted.rig.azure.upset(&[]);
    for page in ["fluxConfigurations", "$skipToken"] {
        for (fault, kind) in [
            (Fault::Error(401, "ExpiredAuthenticationToken".into()), "unauthorized"),
            (Fault::Error(403, "AuthorizationFailed".into()), "refused"),
            (Fault::Error(404, "ResourceNotFound".into()), "refused"),
            (Fault::Error(500, "InternalServerError".into()), "unreachable"),
            (Fault::Throttled(7), "throttled"),
            (Fault::Html(200), "refused"),
            (Fault::Html(404), "refused"),
            (Fault::Redirect, "refused"),
            (Fault::Truncated, "unreachable"),
            (Fault::Reset, "unreachable"),
            (Fault::Deep(10_000), "refused"),
            (Fault::Huge(17 << 20), "refused"),
        ] {
            wanted.rig.azure.set_fault_on(Endpoint::Arm, page, fault.clone(), None);
            assert_eq!(refusal(wanted.listing()).0, kind, "{page} {fault:?}");
            wanted.rig.azure.clear_fault(Endpoint::Arm);
        }
    }
    assert_eq!(wanted.names(), "abcde");
}

#[test]
fn a_listing_that_only_looks_complete_is_not_the_last_word() {
    let wanted = Wanted::new();
    wanted.rig.azure.upset(&[Upset::CutShort]);
    assert_eq!(wanted.names(), "ab");
    assert_eq!(wanted.confirm("d"), (false, false));
    // One that goes between two pages hides another.
    wanted.rig.azure.upset(&[Upset::Vanishes("a".into())]);
    assert_eq!(wanted.names(), "abde");
    assert_eq!(wanted.confirm("c"), (false, false));
    assert_eq!(wanted.confirm("a"), (true, false));
}

#[test]
fn a_cluster_that_is_gone_or_new_is_told_from_documents_that_are() {
    let wanted = Wanted::new();
    let before = wanted.listing().unwrap().parent;
    assert!(wanted.rig.azure.delete_flux(&cluster_id("k3s-1"), "b"));
    assert_eq!(wanted.confirm("b"), (true, false));
    assert!(wanted.rig.azure.remove_cluster(&cluster_id("k3s-1")));
    assert_eq!(refusal(wanted.listing()).0, "refused");
    assert_eq!(wanted.confirm("a"), (false, true));
    wanted.rig.azure.seed_arc_cluster(&cluster_id("k3s-1"));
    let after = wanted.listing().unwrap();
    assert!(after.heads.is_empty());
    assert!(after.parent.is_some() && after.parent != before, "{before:?}");
}
