//! What the program understands on its standard input: one JSON object a line, answered by one. Only for programs that
//! cannot link the library, as the official clients; a Rust test calls [`azure_standin::Azure`] itself.

use azure_standin::{Azure, Endpoint, Fault, Principal, Role, Shape, cluster_id};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The media type of a configuration that says nothing.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A command: exactly one member.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Command {
    /// The endpoint's next `times` requests get this fault.
    Fault { endpoint: On, kind: Kind, times: u32 },
    /// A service principal with these credentials and roles; replaces one with the same id.
    Principal {
        client: String,
        secret: Option<String>,
        certificate: Option<String>,
        federated: Option<String>,
        #[serde(default)]
        roles: Vec<Given>,
    },
    /// Clusters `NAME-1` to `NAME-count`, made by somebody else.
    Seed { name: String, count: usize },
    /// Entries per page of listings.
    Page(usize),
    /// How long-running operations are answered.
    Operations { shape: Form, polls: u32, retry_after: u32 },
    /// Moves on the clock by which documents grow old, by so many hours.
    Advance(u32),
    /// A version of an extension type.
    ExtensionVersion { name: String, train: String, version: String },
    /// An artefact of one layer in the registry; `content` is base64. Answered with the digests of both.
    Artefact { repository: String, tag: String, media_type: String, content: String },
    /// A file of the registry's host, behind `/files/NAME`; `content` is base64.
    File { name: String, content: String },
    /// What HIMDS says as realm; null: its key file.
    Realm(Option<String>),
    /// Tokens must have been asked with these claims; null: any.
    Challenge(Option<String>),
    /// The rows that arrived in this stream, `Custom-…`, oldest first.
    Rows(String),
    /// What happened so far.
    Report {},
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum On {
    Login,
    Arm,
    Ingest,
    Vault,
    Registry,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// 429 with this `Retry-After`.
    Throttled(u64),
    /// This status.
    Status(u16),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Form {
    Async,
    Body,
    Sync,
    Failed,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Given {
    Contributor(String),
    Onboarding(String),
    Device(String),
    Publisher(String),
    SecretsUser(String),
}

/// Does what a line says, and the answer to it.
pub fn obey(azure: &Azure, line: &str) -> Value {
    let command = match serde_json::from_str(line) {
        Ok(command) => command,
        Err(e) => return json!({ "error": e.to_string() }),
    };
    match command {
        Command::Fault { endpoint, kind, times } => {
            let endpoint = match endpoint {
                On::Login => Endpoint::Login,
                On::Arm => Endpoint::Arm,
                On::Ingest => Endpoint::Ingest,
                On::Vault => Endpoint::Vault,
                On::Registry => Endpoint::Registry,
            };
            let fault = match kind {
                Kind::Throttled(seconds) => Fault::Throttled(seconds),
                Kind::Status(status) => Fault::Error(status, "ServerError".to_owned()),
            };
            azure.set_fault(endpoint, fault, Some(times));
        }
        Command::Principal { client, secret, certificate, federated, roles } => {
            let certificate = match certificate.map(|text| STANDARD.decode(text)).transpose() {
                Ok(certificate) => certificate,
                Err(e) => return json!({ "error": format!("the certificate is no base64: {e}") }),
            };
            let roles = roles
                .iter()
                .map(|given| match given {
                    Given::Contributor(scope) => Role::contributor(scope),
                    Given::Onboarding(scope) => Role::onboarding(scope),
                    Given::Device(scope) => Role::device(scope),
                    Given::Publisher(scope) => Role::publisher(scope),
                    Given::SecretsUser(scope) => Role::secrets_user(scope),
                })
                .collect();
            let mut principal = Principal::with_secret(&client, "", roles);
            (principal.secret, principal.certificate, principal.federated) = (secret, certificate, federated);
            azure.set_principal(principal);
        }
        Command::Seed { name, count } => {
            (1..=count).for_each(|n| azure.seed_arc_cluster(&cluster_id(&format!("{name}-{n}"))));
        }
        Command::Page(size) => azure.page_size(size),
        Command::Operations { shape, polls, retry_after } => {
            let shape = match shape {
                Form::Async => Shape::Async,
                Form::Body => Shape::Body,
                Form::Sync => Shape::Sync,
                Form::Failed => Shape::Failed,
            };
            azure.operations(shape, polls, retry_after);
        }
        Command::Advance(hours) => azure.advance(Duration::from_secs(3600 * u64::from(hours))),
        Command::ExtensionVersion { name, train, version } => {
            let properties = json!({ "supportedClusterTypes": ["connectedClusters"], "unsupportedKubernetesVersions": { "connectedCluster": [{ "distributions": ["k3s"], "unsupportedVersions": ["1.18..1.21"] }] } });
            azure.put_extension_version(&name, &train, &version, properties);
        }
        Command::Artefact { repository, tag, media_type, content } => {
            let content = match STANDARD.decode(content) {
                Ok(content) => content,
                Err(e) => return json!({ "error": format!("the content is no base64: {e}") }),
            };
            let layers = [(media_type.as_str(), content.as_slice())];
            let manifest = azure.push(&repository, &tag, EMPTY, &layers, Value::Null);
            return json!({ "ok": true, "manifest": manifest, "layer": azure_standin::digest(&content) });
        }
        Command::File { name, content } => match STANDARD.decode(content) {
            Ok(content) => azure.put_file(&name, &content),
            Err(e) => return json!({ "error": format!("the content is no base64: {e}") }),
        },
        Command::Realm(realm) => azure.himds_realm(realm.as_deref()),
        Command::Challenge(claims) => azure.challenge(claims.as_deref()),
        Command::Rows(stream) => {
            let rows = azure.arrived().into_iter().filter(|row| row.stream == stream).map(|row| row.row);
            return json!({ "rows": rows.collect::<Vec<_>>() });
        }
        Command::Report {} => return report(azure),
    }
    json!({ "ok": true })
}

/// Rows by stream, requests by endpoint, and the last requests.
pub fn report(azure: &Azure) -> Value {
    let mut streams: BTreeMap<String, usize> = BTreeMap::new();
    for row in azure.arrived() {
        *streams.entry(row.stream).or_default() += 1;
    }
    let seen = azure.seen();
    let last: Vec<Value> = seen
        .iter()
        .rev()
        .take(20)
        .rev()
        .map(|s| json!([format!("{:?}", s.endpoint), s.method, s.path, s.status]))
        .collect();
    json!({
        "arrived": azure.arrived_count(), "streams": streams, "violations": azure.violations(), "requests": seen.len(),
        "himds": azure.himds_requests(), "last": last,
    })
}
