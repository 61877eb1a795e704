use super::*;
use std::os::unix::fs::PermissionsExt;

const K3S: &str = "apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority-data: Q0E=
    server: https://127.0.0.1:6443/
  name: default
contexts:
- context: {cluster: default, user: default}
  name: default
current-context: default
preferences: {}
users:
- name: default
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
";

fn with_user(user: &str) -> String {
    let start = K3S.find("    client-certificate-data").unwrap();
    format!("{}{user}", &K3S[..start])
}

fn parsed(text: &str) -> Result<Connection, Reason> {
    parse(Path::new("/etc/x.yaml"), text)
}

#[test]
fn k3s_own_kubeconfig_gives_address_ca_and_client_certificate() {
    let connection = parsed(K3S).unwrap();
    assert_eq!(connection.server, "https://127.0.0.1:6443");
    assert_eq!(connection.ca.as_deref(), Some(b"CA".as_slice()));
    let Identity::Certificate { chain, key } = &connection.identity else { panic!("{connection:?}") };
    assert_eq!((chain.as_slice(), key.as_slice()), (b"CERT".as_slice(), b"KEY".as_slice()));
}

#[test]
fn files_count_from_the_folder_of_the_kubeconfig_and_a_token_file_beats_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    std::fs::write(folder.path().join("ca.pem"), "the CA").unwrap();
    std::fs::write(folder.path().join("token"), "t2").unwrap();
    let text = with_user("    token: t1\n    tokenFile: token\n")
        .replace("certificate-authority-data: Q0E=", "certificate-authority: ca.pem");
    std::fs::write(&path, text).unwrap();
    let connection = load(&path).unwrap();
    assert_eq!(connection.ca.as_deref(), Some(b"the CA".as_slice()));
    let Identity::TokenFile(file) = &connection.identity else { panic!("{connection:?}") };
    assert_eq!(file, &folder.path().join("token"));
}

#[test]
fn what_is_not_supported_is_refused_by_key_and_with_a_cure() {
    for (text, key) in [
        (with_user("    exec: {command: aws, args: [a]}\n"), "users[default].exec"),
        (with_user("    auth-provider: {name: oidc}\n"), "users[default].auth-provider"),
        (with_user("    username: u\n    password: p\n"), "users[default].username"),
        (with_user("    {}\n"), "users[default]"),
        (
            K3S.replace("    server:", "    insecure-skip-tls-verify: true\n    server:"),
            "clusters[default].insecure-skip-tls-verify",
        ),
        (K3S.replace("    server:", "    proxy-url: http://p\n    server:"), "clusters[default].proxy-url"),
        (
            K3S.replace("    server:", "    tls-server-name: n\n    server:"),
            "clusters[default].tls-server-name",
        ),
    ] {
        let reason = parsed(&text).unwrap_err();
        assert_eq!(reason.code, "KubeconfigUnsupported", "{reason}");
        assert!(reason.message.starts_with(&format!("/etc/x.yaml, {key}")), "{reason}");
        assert!(!reason.next_step.is_empty());
    }
}

#[test]
fn a_mistake_is_named_by_file_and_key() {
    for (from, to, named) in [
        (
            "current-context: default",
            "current-context: other",
            "/etc/x.yaml, current-context: there is no context",
        ),
        ("cluster: default,", "cluster: gone,", "/etc/x.yaml, contexts: there is no cluster \"gone\""),
        ("user: default}", "user: gone}", "/etc/x.yaml, contexts: there is no user \"gone\""),
        ("https://", "http://", "/etc/x.yaml, clusters[default].server: an https:// address"),
        ("    client-key-data: S0VZ\n", "", "/etc/x.yaml, users[default].client-key: it is missing"),
        (
            "Q0E=",
            "no-base64",
            "/etc/x.yaml: it is not a kubeconfig: clusters[0].cluster.certificate-authority-data has a wrong value",
        ),
        ("Q0E=", "*ca", "/etc/x.yaml: it is not a kubeconfig: it is not YAML, at line 5"),
        ("preferences: {}", "---\nmore: 1", "/etc/x.yaml: it is not a kubeconfig: it has 2 documents"),
    ] {
        let reason = parsed(&K3S.replace(from, to)).unwrap_err();
        assert!(reason.message.starts_with(named), "{reason}");
        assert_eq!(reason.code, "KubeconfigInvalid");
    }
}

#[test]
fn an_error_never_quotes_the_file() {
    for text in
        [with_user("    token: [hunter2]\n"), with_user("    client-key-data: hunter2!\n"), "hunter2".into()]
    {
        let reason = parsed(&text).unwrap_err();
        assert!(!format!("{reason} {reason:?}").contains("hunter2"), "{reason}");
    }
    let token = parsed(&with_user("    token: hunter2\n")).unwrap();
    assert!(!format!("{token:?}").contains("hunter2"));
}

#[test]
fn an_alias_bomb_ends_in_an_error_and_not_in_memory() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for n in 1..12 {
        let before = format!("*a{},", n - 1).repeat(9);
        bomb.push_str(&format!("a{n}: &a{n} [{before}]\n"));
    }
    bomb.push_str(K3S);
    assert_eq!(parsed(&bomb).unwrap_err().code, "KubeconfigInvalid");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    std::fs::write(&path, vec![b' '; MOST_BYTES as usize + 1]).unwrap();
    assert!(load(&path).unwrap_err().message.contains("larger than 1 MiB"));
}

#[test]
fn the_distributions_own_places_are_found_after_the_environment_and_before_home() {
    let root = tempfile::tempdir().unwrap();
    let home = root.path().join("root");
    let reason = find_in(None, Some(&home), root.path()).unwrap_err();
    assert_eq!(reason.code, "KubeconfigMissing");
    let make = |path: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        path
    };
    let own = make("root/.kube/config");
    assert_eq!(find_in(None, Some(&home), root.path()).unwrap(), own);
    let k0s = make("var/lib/k0s/pki/admin.conf");
    assert_eq!(find_in(None, Some(&home), root.path()).unwrap(), k0s);
    let k3s = make("etc/rancher/k3s/k3s.yaml");
    assert_eq!(find_in(None, Some(&home), root.path()).unwrap(), k3s);
    let list = std::env::join_paths([root.path().join("gone"), own.clone()]).unwrap();
    assert_eq!(find_in(Some(&list), Some(&home), root.path()).unwrap(), own);
    let gone = root.path().join("gone").into_os_string();
    assert_eq!(find_in(Some(&gone), Some(&home), root.path()).unwrap_err().code, "KubeconfigMissing");
}

#[test]
fn what_is_written_is_read_again_and_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let token = "a.b\"c\\d:#";
    let connection = Connection {
        server: "https://[::1]:6443".into(),
        ca: Some(b"-----BEGIN".to_vec()),
        identity: Identity::Token(Zeroizing::new(token.into())),
    };
    write(&path, &connection).unwrap();
    write(&path, &connection).unwrap();
    let again = load(&path).unwrap();
    assert_eq!((again.server, again.ca), (connection.server, connection.ca));
    assert!(matches!(again.identity, Identity::Token(t) if *t == token));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half-written is left");
}
