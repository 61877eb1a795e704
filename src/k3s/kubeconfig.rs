//! kubeconfig files: found, read with limits, and written for the agent's own credential.
//!
//! A kubeconfig can name programs to run (`exec`) and switch verification off. Neither is done here, and the error says
//! what to do instead. An error names the file, the key, the reason and the next step, and quotes no content: the file is
//! full of secrets.

use super::connection::{Connection, Identity};
use super::yaml;
use crate::core::Reason;
use k8s_openapi::ByteString;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a kubeconfig, and of each file that it names. Ten clusters take 60 kB.
const MOST_BYTES: u64 = 1 << 20;
/// Where distributions keep their administrator's kubeconfig, and since when it is looked for: k3s first, for it is ours.
const WELL_KNOWN: [&str; 5] = [
    "/etc/rancher/k3s/k3s.yaml",
    "/etc/rancher/rke2/rke2.yaml",
    "/var/snap/microk8s/current/credentials/client.config",
    "/var/lib/k0s/pki/admin.conf",
    "/etc/kubernetes/admin.conf",
];

/// The path that the environment or the machine has a kubeconfig at: `$KUBECONFIG` (the first of its files that exists;
/// they are not merged), then the distributions' own places, then `~/.kube/config`.
pub fn find() -> Result<PathBuf, Reason> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    find_in(std::env::var_os("KUBECONFIG").as_deref(), home.as_deref(), Path::new("/"))
}

fn find_in(env: Option<&std::ffi::OsStr>, home: Option<&Path>, root: &Path) -> Result<PathBuf, Reason> {
    if let Some(list) = env.filter(|list| !list.is_empty()) {
        return std::env::split_paths(list).find(|path| path.exists()).ok_or_else(|| {
            Reason::new(
                "KubeconfigMissing",
                format!("KUBECONFIG names no file that exists: {}", list.to_string_lossy()),
            )
            .cure("correct the variable, or unset it")
        });
    }
    let known = WELL_KNOWN.iter().map(|path| root.join(path.trim_start_matches('/')));
    let own = home.map(|home| home.join(".kube/config"));
    known.chain(own).find(|path| path.exists()).ok_or_else(|| {
        Reason::new("KubeconfigMissing", "no kubeconfig was found on this machine")
            .cure("name one with --kubeconfig or KUBECONFIG; on a k3s server it is /etc/rancher/k3s/k3s.yaml")
    })
}

/// Reads the current context of a kubeconfig.
pub fn load(path: &Path) -> Result<Connection, Reason> {
    let text = read(path)?;
    let text = std::str::from_utf8(&text).map_err(|_| Trouble { path, key: "" }.bad("it is not UTF-8"))?;
    parse(path, text)
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct File {
    clusters: Option<Vec<NamedCluster>>,
    users: Option<Vec<NamedUser>>,
    contexts: Option<Vec<NamedContext>>,
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct Cluster {
    server: Option<String>,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<ByteString>,
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<ByteString>,
    client_key: Option<PathBuf>,
    client_key_data: Option<ByteString>,
    username: Option<String>,
    exec: Option<IgnoredAny>,
    auth_provider: Option<IgnoredAny>,
    #[serde(rename = "as")]
    impersonate: Option<IgnoredAny>,
}

/// Names the file and the key in an error.
struct Trouble<'a> {
    path: &'a Path,
    key: &'a str,
}

impl Trouble<'_> {
    fn reason(&self, code: &str, why: &str, next_step: &str) -> Reason {
        let place = if self.key.is_empty() { String::new() } else { format!(", {}", self.key) };
        Reason::new(code, format!("{}{place}: {why}", self.path.display())).cure(next_step)
    }

    fn bad(&self, why: &str) -> Reason {
        self.reason("KubeconfigInvalid", why, "correct the file, or take a new one from the cluster")
    }

    fn unsupported(&self, why: &str, next_step: &str) -> Reason {
        self.reason("KubeconfigUnsupported", why, next_step)
    }
}

fn parse(path: &Path, text: &str) -> Result<Connection, Reason> {
    let at = |key| Trouble { path, key };
    let documents = yaml::documents(text).map_err(|e| at("").bad(&format!("it is not a kubeconfig: {e}")))?;
    let [document] = <[_; 1]>::try_from(documents)
        .map_err(|all| at("").bad(&format!("it is not a kubeconfig: it has {} documents", all.len())))?;
    // Its own words would quote the file.
    let file: File = serde_path_to_error::deserialize(document)
        .map_err(|e| at("").bad(&format!("it is not a kubeconfig: {} has a wrong value", e.path())))?;

    let contexts = file.contexts.unwrap_or_default();
    let context = match file.current_context.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => contexts
            .iter()
            .find(|c| c.name == name)
            .ok_or_else(|| at("current-context").bad(&format!("there is no context {name:?}")))?,
        // Without a current context a file with one context leaves no doubt.
        None => match contexts.as_slice() {
            [only] => only,
            _ => return Err(at("current-context").bad("it is not set")),
        },
    };
    let cluster_name = &context.context.cluster;
    let cluster = file
        .clusters
        .unwrap_or_default()
        .into_iter()
        .find(|c| &c.name == cluster_name)
        .ok_or_else(|| at("contexts").bad(&format!("there is no cluster {cluster_name:?}")))?;
    let user_name = &context.context.user;
    let user = file
        .users
        .unwrap_or_default()
        .into_iter()
        .find(|u| &u.name == user_name)
        .ok_or_else(|| at("contexts").bad(&format!("there is no user {user_name:?}")))?;
    let (server, ca) = read_cluster(path, &cluster)?;
    Ok(Connection { server, ca, identity: read_user(path, user)? })
}

fn read_cluster(path: &Path, named: &NamedCluster) -> Result<(String, Option<Vec<u8>>), Reason> {
    let cluster = &named.cluster;
    let key = |field: &str| format!("clusters[{}].{field}", named.name);
    let refuse = |field: &str, why, cure| Err(Trouble { path, key: &key(field) }.unsupported(why, cure));
    if cluster.insecure_skip_tls_verify {
        return refuse(
            "insecure-skip-tls-verify",
            "arclet does not talk to a server that it cannot verify",
            "remove it and set certificate-authority-data to the cluster's CA",
        );
    }
    if cluster.tls_server_name.is_some() {
        return refuse(
            "tls-server-name",
            "not supported",
            "set server to a name or address that the server's certificate has (k3s: --tls-san)",
        );
    }
    if cluster.proxy_url.is_some() {
        return refuse(
            "proxy-url",
            "arclet talks to its own cluster directly",
            "set server to an address that this machine reaches without a proxy",
        );
    }
    let server = cluster.server.as_deref().unwrap_or_default().trim_end_matches('/');
    if !server.starts_with("https://") || server.len() == "https://".len() {
        return Err(Trouble { path, key: &key("server") }.bad("an https:// address is needed"));
    }
    let ca = inline_or_file(
        path,
        &key("certificate-authority"),
        &cluster.certificate_authority_data,
        &cluster.certificate_authority,
    )?;
    Ok((server.to_owned(), ca.map(|pem| pem.to_vec())))
}

fn read_user(path: &Path, named: NamedUser) -> Result<Identity, Reason> {
    let user = named.user;
    let key = |field: &str| format!("users[{}].{field}", named.name);
    let cure = "use a kubeconfig with a token or a client certificate, for example k3s's own /etc/rancher/k3s/k3s.yaml";
    for (present, field, why) in [
        (user.exec.is_some(), "exec", "arclet starts no other programs to get a credential"),
        (user.auth_provider.is_some(), "auth-provider", "Kubernetes itself removed these plugins in 1.26"),
        (user.username.is_some(), "username", "Kubernetes itself removed passwords in 1.19"),
        (user.impersonate.is_some(), "as", "arclet acts for nobody else"),
    ] {
        if present {
            return Err(Trouble { path, key: &key(field) }.unsupported(why, cure));
        }
    }
    let chain = inline_or_file(
        path,
        &key("client-certificate"),
        &user.client_certificate_data,
        &user.client_certificate,
    )?;
    let secret = inline_or_file(path, &key("client-key"), &user.client_key_data, &user.client_key)?;
    match (chain, secret) {
        (Some(chain), Some(secret)) => {
            return Ok(Identity::Certificate { chain: chain.to_vec(), key: secret });
        }
        (Some(_), None) => return Err(Trouble { path, key: &key("client-key") }.bad("it is missing")),
        (None, Some(_)) => return Err(Trouble { path, key: &key("client-certificate") }.bad("it is missing")),
        (None, None) => {}
    }
    // As in kubectl, a file beats a token.
    if let Some(file) = user.token_file {
        let file = beside(path, &file);
        read(&file)?;
        return Ok(Identity::TokenFile(file));
    }
    match user.token.filter(|token| !token.is_empty()) {
        Some(token) => Ok(Identity::Token(Zeroizing::new(token))),
        None => {
            Err(Trouble { path, key: &key("") }
                .unsupported("it has neither token nor client certificate", cure))
        }
    }
}

/// The data, or the content of the file, which counts from the kubeconfig's own folder.
fn inline_or_file(
    path: &Path,
    key: &str,
    data: &Option<ByteString>,
    file: &Option<PathBuf>,
) -> Result<Option<Zeroizing<Vec<u8>>>, Reason> {
    match (data, file) {
        (Some(data), _) if !data.0.is_empty() => Ok(Some(Zeroizing::new(data.0.clone()))),
        (_, Some(file)) if !file.as_os_str().is_empty() => read(&beside(path, file)).map(Some).map_err(|e| {
            Reason::new(e.code, format!("{}, {key}: {}", path.display(), e.message)).cure(e.next_step)
        }),
        _ => Ok(None),
    }
}

fn beside(path: &Path, file: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(file)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Reason> {
    use std::io::{ErrorKind, Read};
    let failed = |e: std::io::Error| {
        let (code, next_step) = match e.kind() {
            ErrorKind::NotFound => ("KubeconfigMissing", "check the path"),
            ErrorKind::PermissionDenied => {
                ("KubeconfigUnreadable", "run this as root, or let the service's user read the file")
            }
            _ => ("KubeconfigUnreadable", "check the file and the medium that it is on"),
        };
        Reason::new(code, format!("{} cannot be read: {e}", path.display())).cure(next_step)
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut content = Zeroizing::new(Vec::new());
    file.take(MOST_BYTES + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > MOST_BYTES {
        return Err(Trouble { path, key: "" }.bad("it is larger than 1 MiB"));
    }
    Ok(content)
}

/// The text of a kubeconfig with this connection only. Its identity must be one that a file can hold.
pub fn to_text(connection: &Connection) -> Zeroizing<String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let base64 = |bytes: &[u8]| Zeroizing::new(serde_json::json!(ByteString(bytes.to_vec())).to_string());
    let ca =
        connection.ca.as_deref().map(|pem| format!("    certificate-authority-data: {}\n", *base64(pem)));
    let user = Zeroizing::new(match &connection.identity {
        Identity::Token(token) => format!("    token: {}\n", quoted(token)),
        Identity::TokenFile(path) => format!("    tokenFile: {}\n", quoted(&path.to_string_lossy())),
        Identity::Certificate { chain, key } => {
            format!(
                "    client-certificate-data: {}\n    client-key-data: {}\n",
                *base64(chain),
                *base64(key)
            )
        }
    });
    Zeroizing::new(format!(
        "# Written by arclet connect: this agent's own, limited access to the cluster. Keep it secret.\n\
         apiVersion: v1\nkind: Config\n\
         clusters:\n- name: local\n  cluster:\n    server: {}\n{}\
         users:\n- name: arclet\n  user:\n{}\
         contexts:\n- name: arclet\n  context:\n    cluster: local\n    user: arclet\n\
         current-context: arclet\n",
        quoted(&connection.server),
        ca.unwrap_or_default(),
        *user
    ))
}

/// Writes a kubeconfig that only its owner can read: whole or not at all, and on the medium when this returns.
pub fn write(path: &Path, connection: &Connection) -> Result<(), Reason> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let new = path.with_extension("new");
    let put = || -> std::io::Result<()> {
        match std::fs::remove_file(&new) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(to_text(connection).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        std::fs::File::open(folder)?.sync_all()
    };
    put().map_err(|e| {
        Reason::new("KubeconfigUnwritable", format!("{} cannot be written: {e}", path.display()))
            .cure("run this as root, and check that the folder exists and has space")
    })
}

#[cfg(test)]
#[path = "kubeconfig_tests.rs"]
mod tests;
