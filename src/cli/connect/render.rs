//! The configuration that `connect` writes: what this device needs and nothing that is a default.
//!
//! It is made as text and checked by reading it back, so that the command line knows the same rules as the file.

use super::options::{DeviceKind, Options};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What the command line alone does not say.
pub(super) struct Looked {
    /// The rule's ingestion endpoint.
    pub(super) endpoint: String,
    /// The rule's immutable id.
    pub(super) dcr: String,
    /// The cluster's region.
    pub(super) location: Option<String>,
}

/// Where the device's secrets are kept.
pub(super) fn credentials(config_dir: &Path) -> PathBuf {
    config_dir.join("credentials")
}

/// `arclet.toml` for these options.
pub(super) fn render(options: &Options, looked: &Looked) -> String {
    let kept = credentials(&options.config_dir);
    let text = |text: &Option<String>| text.as_deref().map(quoted);
    let mut file = String::from(
        "# Written by arclet connect. arclet.toml of the package explains every key; arclet doctor checks this file.\n",
    );
    let mut section = |name: &str, keys: &[(&str, Option<String>)]| {
        if keys.iter().any(|(_, value)| value.is_some()) {
            let _ = writeln!(file, "\n[{name}]");
        }
        for (key, value) in keys {
            if let Some(value) = value {
                let _ = writeln!(file, "{key} = {value}");
            }
        }
    };
    let id = options.cluster.as_ref().map(|id| quoted(&id.to_string()));
    section("cluster", &[("id", id), ("location", text(&looked.location))]);
    let cloud = &options.cloud;
    section(
        "cloud",
        &[
            ("name", text(&cloud.name)),
            ("login", text(&cloud.login)),
            ("arm", text(&cloud.arm)),
            ("arm-scope", text(&cloud.arm_scope)),
            ("monitor-scope", text(&cloud.monitor_scope)),
        ],
    );
    let (kind, key, place) = match &options.device.kind {
        Some(DeviceKind::Certificate(_)) => {
            ("certificate", "certificate-file", Some(kept.join("certificate")))
        }
        Some(DeviceKind::FederatedToken(token)) => ("federated-token", "token-file", Some(token.clone())),
        Some(DeviceKind::ArcServer) => ("arc-server", "", None),
        Some(DeviceKind::ClientSecret(_)) | None => {
            ("client-secret", "secret-file", Some(kept.join("client-secret")))
        }
    };
    let who = |text: &Option<String>| text.as_deref().filter(|_| place.is_some()).map(quoted);
    section(
        "identity",
        &[
            ("kind", Some(quoted(kind))),
            ("tenant", who(&options.device.tenant)),
            ("client-id", who(&options.device.client)),
            (key, place.as_deref().map(path)),
        ],
    );
    section("ingest", &[("endpoint", Some(quoted(&looked.endpoint))), ("dcr", Some(quoted(&looked.dcr)))]);
    section("kubernetes", &[("kubeconfig", Some(path(&kept.join("kubeconfig"))))]);
    let catalogue = options.config_dir.join("extensions.toml");
    let catalogue = Some(path(&catalogue)).filter(|_| catalogue != Path::new(crate::config::CATALOGUE));
    section(
        "desired",
        &[
            ("gitops", options.gitops.then(|| "true".to_owned())),
            ("extensions", options.extensions.then(|| "true".to_owned())),
            ("catalogue", catalogue.filter(|_| options.extensions)),
            ("key-vault", text(&options.key_vault)),
        ],
    );
    let moved = Some(path(&options.state_dir))
        .filter(|_| options.state_dir != Path::new(crate::config::STATE_DIRECTORY));
    section("store", &[("directory", moved)]);
    let (open, secret) = match &options.way.proxy {
        // Whatever may be a password goes where passwords are.
        Some(url) if url.contains('@') => (None, Some(path(&kept.join("proxy-url")))),
        Some(url) if url.contains("://") => (Some(quoted(url)), None),
        Some(address) => (Some(quoted(&format!("http://{address}"))), None),
        None => (None, None),
    };
    let past: Vec<String> = options.way.no_proxy.iter().map(|host| quoted(host)).collect();
    let past = (!past.is_empty()).then(|| format!("[{}]", past.join(", ")));
    section("proxy", &[("url", open), ("url-file", secret), ("no-proxy", past)]);
    section("tls", &[("extra-ca-file", options.way.ca_file.as_deref().map(path))]);
    file
}

/// A TOML basic string. JSON's escapes are a part of TOML's; DEL is the one character that JSON leaves alone and TOML
/// does not allow.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Identity};

    fn rendered(change: impl FnOnce(&mut Options)) -> Config {
        let mut options = Options {
            cluster: Some(
                crate::azure::ResourceId::cluster("1bfbb5d0-917e-4346-9026-1d3b344417f5", "g", "n").unwrap(),
            ),
            config_dir: "/etc/with \"quotes\" \\ and\ttab\u{7f}".into(),
            state_dir: "/data/arclet".into(),
            ..Options::default()
        };
        options.device.tenant = Some("t".into());
        options.device.client = Some("c".into());
        change(&mut options);
        let looked =
            Looked { endpoint: "https://x".into(), dcr: "dcr-1".into(), location: Some("eastus".into()) };
        Config::parse(Path::new("x"), &render(&options, &looked), None).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let config = rendered(|options| {
            options.device.kind = Some(DeviceKind::ClientSecret("/elsewhere".into()));
            options.cloud.arm = Some("https://127.0.0.1:2".into());
            options.way.no_proxy = vec!["10.0.0.0/8".into()];
            options.way.proxy = Some("proxy:3128".into());
        });
        assert_eq!(
            config.kubernetes.kubeconfig.path,
            Path::new("/etc/with \"quotes\" \\ and\ttab\u{7f}/credentials/kubeconfig")
        );
        assert_eq!(config.store.directory, Path::new("/data/arclet"));
        assert_eq!(config.cloud.arm.as_deref(), Some("https://127.0.0.1:2"));
        assert_eq!(config.proxy.url.as_deref(), Some("http://proxy:3128"));
        assert_eq!(config.proxy.no_proxy, ["10.0.0.0/8"]);
        let Identity::ClientSecret { secret, .. } = config.identity else { panic!("{:?}", config.identity) };
        assert!(secret.path.ends_with("credentials/client-secret"), "the copy, not the file it came from");
    }

    #[test]
    fn a_password_of_the_proxy_is_not_in_the_file() {
        let config = rendered(|options| options.way.proxy = Some("http://me:pa55@proxy:3128".into()));
        assert_eq!(config.proxy.url, None);
        assert!(config.proxy.url_file.unwrap().path.ends_with("credentials/proxy-url"));
    }

    #[test]
    fn an_arc_server_needs_no_names() {
        let config = rendered(|options| options.device.kind = Some(DeviceKind::ArcServer));
        assert_eq!(config.identity.kind(), "arc-server");
    }
}
