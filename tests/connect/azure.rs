//! Entra and Resource Manager as a script: just enough for one device to connect, with every request written down.
//!
//! The real stand-in (`azure-standin`) is the strict one. This one can do what a kill test needs and a strict server has no
//! reason to: stop for ever at the n-th request, so that a process can be killed exactly there.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What the world is like; tests change it as they need.
pub struct World {
    pub provider: &'static str,
    pub group: bool,
    /// Actions that the operator may do.
    pub operator_actions: Vec<&'static str>,
    /// Actions that the device may do.
    pub device_actions: Vec<&'static str>,
    /// The one cluster, if it is there.
    pub cluster: Option<Value>,
    /// Seconds that the server's clock is ahead.
    pub ahead: i64,
    /// Polls that a running operation still needs.
    pub polls: u32,
    /// `METHOD path`, without the query, in order.
    pub requests: Vec<String>,
    /// From this request on nothing is answered.
    pub hold: Option<usize>,
}

struct Shared {
    world: Mutex<World>,
    changed: Condvar,
}

/// The running script.
pub struct Azure {
    shared: Arc<Shared>,
    port: u16,
    pub ca_pem: String,
}

pub const SUBSCRIPTION: &str = "1bfbb5d0-917e-4346-9026-1d3b344417f5";
pub const CLUSTER: &str = "/subscriptions/1bfbb5d0-917e-4346-9026-1d3b344417f5/resourceGroups/edge-rg/providers/Microsoft.Kubernetes/connectedClusters/k3s-1";
pub const RULE: &str = "/subscriptions/1bfbb5d0-917e-4346-9026-1d3b344417f5/resourceGroups/edge-rg/providers/Microsoft.Insights/dataCollectionRules/arclet";
pub const OPERATOR_TOKEN: &str = "OPERATOR.ARM.TOKEN";
pub const DEVICE_SECRET: &str = "s3cr~t&of=the device";
const DEVICE_TOKEN: &str = "DEVICE.TOKEN";

impl Azure {
    pub fn start() -> Azure {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
        let leaf_key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".into(), "localhost".into()];
        let leaf = rcgen::CertificateParams::new(names).unwrap().signed_by(&leaf_key, &authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = vec![CertificateDer::from(leaf.der().to_vec())];
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .unwrap();
        let world = World {
            provider: "Registered",
            group: true,
            operator_actions: vec!["Microsoft.Kubernetes/connectedClusters/*"],
            device_actions: vec!["Microsoft.Resources/tags/*"],
            cluster: None,
            ahead: 0,
            polls: 0,
            requests: Vec::new(),
            hold: None,
        };
        let shared = Arc::new(Shared { world: Mutex::new(world), changed: Condvar::new() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tls, serving) = (Arc::new(tls), Arc::clone(&shared));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, shared) = (Arc::clone(&tls), Arc::clone(&serving));
                std::thread::spawn(move || converse(stream, tls, port, &shared));
            }
        });
        Azure { shared, port, ca_pem: authority.pem() }
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world.lock().unwrap()
    }

    /// Requests that change something.
    pub fn writes(&self) -> Vec<String> {
        let world = self.world();
        let asks = |request: &&String| !request.starts_with("GET ") && !request.contains("/oauth2/");
        world.requests.iter().filter(asks).cloned().collect()
    }

    /// Returns when the request at which nothing is answered any more has come.
    pub fn wait_until_held(&self) {
        let mut world = self.world();
        while world.hold.is_none_or(|hold| world.requests.len() <= hold) {
            world = self.shared.changed.wait(world).unwrap();
        }
    }

    /// Answers again; what was held stays unanswered.
    pub fn release(&self) {
        self.world().hold = None;
    }
}

/// A connected cluster as ARM shows it.
pub fn cluster(tags: Value, properties: Value) -> Value {
    let mut all = json!({
        "provisioningState": "Succeeded", "connectivityStatus": "Connecting", "distribution": "k3s",
        "distributionVersion": "v1.36.3+k3s1", "infrastructure": "generic",
    });
    for (name, value) in properties.as_object().unwrap() {
        all[name] = value.clone();
    }
    json!({
        "id": CLUSTER, "name": "k3s-1", "type": "microsoft.kubernetes/connectedclusters", "location": "eastus",
        "tags": tags, "identity": {"type": "SystemAssigned"}, "properties": all,
        "systemData": {"createdAt": "2026-11-22T15:00:00.1234567Z"},
    })
}

struct Question {
    method: String,
    path: String,
    token: String,
    body: Vec<u8>,
}

fn converse(stream: TcpStream, tls: Arc<rustls::ServerConfig>, port: u16, shared: &Shared) {
    let Ok(session) = rustls::ServerConnection::new(tls) else { return };
    let mut stream = rustls::StreamOwned::new(session, stream);
    while let Some(question) = read(&mut stream) {
        let (status, headers, body, ahead) = {
            let mut world = shared.world.lock().unwrap();
            world.requests.push(format!("{} {}", question.method, question.path));
            shared.changed.notify_all();
            if world.hold.is_some_and(|hold| world.requests.len() > hold) {
                drop(world);
                // Until the client is gone: its end of the connection is all that ends this.
                let _ = stream.read(&mut [0]);
                return;
            }
            let (status, headers, body) = answer(&mut world, &question, port);
            (status, headers, body, world.ahead)
        };
        let now = std::time::SystemTime::now() + std::time::Duration::from_secs(ahead as u64);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = format!(
            "HTTP/1.1 {status} X\r\nDate: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            httpdate::fmt_http_date(now),
            body.len()
        );
        if stream.write_all(reply.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

fn read(stream: &mut impl Read) -> Option<Question> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let header = |name: &str| {
        let found =
            head.lines().filter_map(|line| line.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned())
    };
    let length = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let token = header("authorization").unwrap_or_default().trim_start_matches("Bearer ").to_owned();
    Some(Question { method, path: target.split('?').next()?.to_owned(), token, body })
}

fn error(status: u16, code: &str) -> (u16, String, Value) {
    (status, String::new(), json!({"error": {"code": code, "message": format!("{code} (by the script)")}}))
}

fn fine(body: Value) -> (u16, String, Value) {
    (200, String::new(), body)
}

fn answer(world: &mut World, question: &Question, port: u16) -> (u16, String, Value) {
    let path = question.path.to_lowercase();
    if path.ends_with("/oauth2/v2.0/token") {
        return token(&String::from_utf8_lossy(&question.body));
    }
    if path == "/" {
        return error(404, "NotFound");
    }
    let operator = question.token == OPERATOR_TOKEN;
    if !operator && question.token != DEVICE_TOKEN {
        return error(401, "InvalidAuthenticationToken");
    }
    let body: Value = serde_json::from_slice(&question.body).unwrap_or(Value::Null);
    let id = CLUSTER.to_lowercase();
    match (question.method.as_str(), path.as_str()) {
        ("GET", p) if p.ends_with("/providers/microsoft.kubernetes") => {
            fine(json!({"namespace": "Microsoft.Kubernetes", "registrationState": world.provider}))
        }
        ("GET", p) if p.ends_with("/resourcegroups/edge-rg") => match world.group {
            true => fine(json!({"id": p, "name": "edge-rg", "location": "eastus"})),
            false => error(404, "ResourceGroupNotFound"),
        },
        ("GET", p) if p.ends_with("/providers/microsoft.authorization/permissions") => {
            let actions = if operator { &world.operator_actions } else { &world.device_actions };
            fine(json!({"value": [{"actions": actions, "notActions": []}]}))
        }
        ("GET", p) if p == RULE.to_lowercase() => fine(json!({"id": RULE, "properties": {
            "immutableId": "dcr-00000000000000000000000000000001",
            "endpoints": {"logsIngestion": format!("https://localhost:{port}")},
            "streamDeclarations": {"Custom-ArcletHeartbeat": {}, "Custom-ArcletInventory": {},
                "Custom-ArcletConfig": {}},
        }})),
        ("GET", p) if p == id => match &mut world.cluster {
            None => error(404, "ResourceNotFound"),
            Some(cluster) => {
                settle(cluster, &mut world.polls);
                fine(cluster.clone())
            }
        },
        ("PUT", p) if p == id => {
            assert!(operator, "the device must not make clusters");
            let properties = &body["properties"];
            assert!(properties["agentPublicKeyCertificate"].as_str().unwrap().starts_with("MIICCgKCAgEA"));
            let mut made = cluster(body["tags"].clone(), properties.clone());
            made["location"] = body["location"].clone();
            made["properties"]["provisioningState"] = json!("Accepted");
            world.cluster = Some(made.clone());
            world.polls = 2;
            (201, operation(port), made)
        }
        ("PATCH", p) if p == id => {
            let cluster = world.cluster.as_mut().unwrap();
            for (name, value) in body["properties"].as_object().unwrap() {
                cluster["properties"][name] = value.clone();
            }
            fine(cluster.clone())
        }
        ("DELETE", p) if p == id => {
            assert!(operator, "the device must not delete clusters");
            world.cluster = None;
            (204, String::new(), Value::Null)
        }
        ("PATCH", p) if p == format!("{id}/providers/microsoft.resources/tags/default") => {
            let tags = world.cluster.as_mut().unwrap()["tags"].as_object_mut().unwrap();
            for (name, value) in body["properties"]["tags"].as_object().unwrap() {
                match body["operation"].as_str().unwrap() {
                    "Merge" => tags.insert(name.clone(), value.clone()),
                    "Delete" => tags.remove(name),
                    other => panic!("tags: {other}"),
                };
            }
            fine(json!({"properties": {"tags": tags}}))
        }
        ("GET", p) if p.contains("/operationstatuses/") => {
            let Some(cluster) = &mut world.cluster else { return error(404, "ResourceNotFound") };
            settle(cluster, &mut world.polls);
            let state = cluster["properties"]["provisioningState"].as_str().unwrap();
            let status = if state == "Accepted" { "InProgress" } else { state };
            (200, "Retry-After: 0\r\n".into(), json!({"status": status}))
        }
        _ => error(404, "NotFound"),
    }
}

/// One look at an operation brings it one step nearer to its end.
fn settle(cluster: &mut Value, polls: &mut u32) {
    *polls = polls.saturating_sub(1);
    if *polls == 0 && cluster["properties"]["provisioningState"] == "Accepted" {
        cluster["properties"]["provisioningState"] = json!("Succeeded");
    }
}

fn operation(port: u16) -> String {
    format!(
        "Azure-AsyncOperation: https://127.0.0.1:{port}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Kubernetes/locations/eastus/operationStatuses/1\r\n"
    )
}

fn token(form: &str) -> (u16, String, Value) {
    let secret: String = DEVICE_SECRET
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b == b'~' { (b as char).to_string() } else { format!("%{b:02X}") }
        })
        .collect();
    if !form.contains(&format!("client_secret={secret}")) {
        let description = "AADSTS7000215: Invalid client secret provided.";
        let body =
            json!({"error": "invalid_client", "error_description": description, "error_codes": [7000215]});
        return (401, String::new(), body);
    }
    fine(json!({"token_type": "Bearer", "expires_in": 3599, "access_token": DEVICE_TOKEN}))
}
