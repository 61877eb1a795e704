//! A stand-in and a plain HTTP client that follows nothing, retries nothing and refuses nothing.

use azure_standin::{Azure, DEVICE, OPERATOR, Options, TENANT};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

pub const ARM: &str = "https://management.azure.com/.default";
pub const MONITOR: &str = "https://monitor.azure.com/.default";
pub const VAULT: &str = "https://vault.azure.net/.default";
pub const VERSION: &str = "?api-version=2026-05-01";
/// Only a test that stalls waits for less.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Status and error code of Resource Manager and ingestion.
    pub fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
    }
}

/// The bench.
pub struct Rig {
    pub azure: Azure,
    agent: ureq::Agent,
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(Options::default())
    }

    pub fn with(options: Options) -> Rig {
        let azure = Azure::start(options).unwrap();
        let ca = Certificate::from_pem(azure.ca_pem().as_bytes()).unwrap().to_owned();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(vec![ca])))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_response_header_size(4 << 20)
            .input_buffer_size(1 << 20)
            .timeout_global(Some(PATIENCE))
            .build()
            .into();
        Rig { azure, agent }
    }

    /// One call; an error is a connection that broke.
    pub fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        patience: Duration,
    ) -> Result<Reply, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // A setting of the single request would make a new TLS set-up, and with it no handshake is ever resumed.
        let impatient = patience < PATIENCE;
        let mut response = if body.is_empty() {
            self.agent.run(request.body(()).unwrap())?
        } else if impatient {
            let request = self.agent.configure_request(request.body(body).unwrap());
            self.agent.run(request.timeout_global(Some(patience)).build())?
        } else {
            self.agent.run(request.body(body).unwrap())?
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.body_mut().with_config().limit(64 << 20).read_to_vec()?;
        Ok(Reply { status, headers, body })
    }

    fn call(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.send(method, url, headers, body, PATIENCE).unwrap()
    }

    /// A form to the token endpoint of the stand-in's tenant.
    pub fn form(&self, fields: &[(&str, &str)]) -> Reply {
        self.form_at(TENANT, fields)
    }

    pub fn form_at(&self, tenant: &str, fields: &[(&str, &str)]) -> Reply {
        let url = format!("{}/{tenant}/oauth2/v2.0/token", self.azure.login_url());
        let form = [("content-type", "application/x-www-form-urlencoded")];
        self.call("POST", &url, &form, encode(fields).as_bytes())
    }

    /// A token of a principal.
    pub fn token(&self, who: (&str, &str), scope: &str) -> String {
        let reply = self.form(&secret_form(who, scope));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// A call to Resource Manager by the operator. The query is part of the path.
    pub fn arm(&self, method: &str, path: &str, body: Value) -> Reply {
        self.arm_as(OPERATOR, method, path, body)
    }

    pub fn arm_as(&self, who: (&str, &str), method: &str, path: &str, body: Value) -> Reply {
        let token = format!("Bearer {}", self.token(who, ARM));
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.call(method, &format!("{}{path}", self.azure.arm_url()), &headers, &body)
    }

    /// A GET without a body by the operator.
    pub fn get(&self, path: &str) -> Reply {
        self.arm("GET", path, Value::Null)
    }

    /// A GET of an absolute URL with the operator's token.
    pub fn poll(&self, url: &str) -> Reply {
        let token = format!("Bearer {}", self.token(OPERATOR, ARM));
        self.call("GET", url, &[("authorization", token.as_str())], b"")
    }

    /// Sends rows as the device, uncompressed.
    pub fn upload(&self, stream: &str, rows: &Value) -> Reply {
        let token = format!("Bearer {}", self.token(DEVICE, MONITOR));
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        self.ingest(&self.ingest_path(stream), &headers, rows.to_string().as_bytes())
    }

    pub fn ingest_path(&self, stream: &str) -> String {
        format!("/dataCollectionRules/{}/streams/{stream}?api-version=2023-01-01", azure_standin::RULE)
    }

    pub fn ingest(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.call("POST", &format!("{}{path}", self.azure.ingest_url()), headers, body)
    }

    /// A plain GET.
    pub fn plain(&self, url: &str, headers: &[(&str, &str)]) -> Reply {
        self.call("GET", url, headers, b"")
    }
}

pub fn secret_form<'a>(who: (&'a str, &'a str), scope: &'a str) -> [(&'static str, &'a str); 4] {
    [("client_id", who.0), ("client_secret", who.1), ("scope", scope), ("grant_type", "client_credentials")]
}

pub fn encode(fields: &[(&str, &str)]) -> String {
    let one = |text: &str| -> String {
        text.bytes()
            .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") })
            .collect()
    };
    let pairs: Vec<String> = fields.iter().map(|(n, v)| format!("{}={}", one(n), one(v))).collect();
    pairs.join("&")
}

/// The body of a PUT that a cluster is made with.
pub fn new_cluster() -> Value {
    serde_json::json!({
        "location": "eastus", "tags": {"site": "store-17"}, "identity": {"type": "SystemAssigned"},
        "properties": {"agentPublicKeyCertificate": public_key(), "distribution": "k3s", "distributionVersion": "v1.31.2+k3s1", "infrastructure": "generic"},
    })
}

/// A PKCS#1 public key of 2048 bits in base64: the right shape, of no use.
pub fn public_key() -> String {
    use base64::Engine as _;
    let mut modulus = vec![0x02, 0x82, 0x01, 0x01, 0x00];
    modulus.extend([0xa5; 256]);
    modulus.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
    let mut der = vec![0x30, 0x82, (modulus.len() >> 8) as u8, modulus.len() as u8];
    der.extend(modulus);
    base64::engine::general_purpose::STANDARD.encode(der)
}
