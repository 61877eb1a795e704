//! A device on a bench: the real binary, a scripted Azure, an API server in memory, directories of its own.

use crate::azure::{self, Azure, CLUSTER, DEVICE_SECRET, OPERATOR_TOKEN};
use arclet::clock::Clock;
use arclet::k3s::{self, Resource, kubeconfig};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub struct Rig {
    pub azure: Azure,
    pub kube: k3s_standin::ApiServer,
    dir: tempfile::TempDir,
}

/// What a command did.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, Some(0), "{}", self.all());
        self
    }
}

impl Rig {
    pub fn new() -> Rig {
        let rig = Rig {
            azure: Azure::start(),
            kube: k3s_standin::ApiServer::start(k3s_standin::Options::default()).unwrap(),
            dir: tempfile::tempdir().unwrap(),
        };
        rig.kube.kubeconfig_with_certificate(&rig.path("admin.yaml")).unwrap();
        rig.secret("device-secret", DEVICE_SECRET);
        rig.secret("operator-token", OPERATOR_TOKEN);
        std::fs::write(rig.path("ca.pem"), &rig.azure.ca_pem).unwrap();
        rig
    }

    /// A connected cluster of arclet's own is there already: nothing has to be made in Azure, which takes seconds.
    pub fn with_cluster() -> Rig {
        let rig = Rig::new();
        let tags = serde_json::json!({"site": "store-17", "arclet-connected": "made"});
        rig.azure.world().cluster = Some(azure::cluster(tags, serde_json::json!({})));
        rig
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn secret(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// The arguments of a usual `connect`.
    pub fn connect_args(&self) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let url = self.azure.url();
        [
            ("cluster-id", CLUSTER.to_owned()),
            ("tenant", "aaaabbbb-0000-cccc-1111-dddd2222eeee".to_owned()),
            ("client-id", "00001111-aaaa-2222-bbbb-3333cccc4444".to_owned()),
            ("client-secret-file", path("device-secret")),
            ("operator-token-file", path("operator-token")),
            ("dcr-endpoint", url.clone()),
            ("dcr-id", "dcr-00000000000000000000000000000001".to_owned()),
            ("login-endpoint", url.clone()),
            ("arm-endpoint", url),
            ("kubeconfig", path("admin.yaml")),
            ("ca-file", path("ca.pem")),
            ("config-dir", path("etc")),
            ("state-dir", path("state")),
            ("unit-dir", path("units")),
        ]
        .into_iter()
        .map(|(name, value)| format!("--{name}={value}"))
        .collect()
    }

    pub fn connect(&self, more: &[&str]) -> Ran {
        self.run("connect", &self.connect_args(), more)
    }

    pub fn disconnect(&self, more: &[&str]) -> Ran {
        let path = |name: &str| self.path(name).display().to_string();
        let args = [
            format!("--operator-token-file={}", path("operator-token")),
            format!("--kubeconfig={}", path("admin.yaml")),
            format!("--config-dir={}", path("etc")),
            "--yes".to_owned(),
        ];
        self.run("disconnect", &args, more)
    }

    pub fn run(&self, command: &str, args: &[String], more: &[&str]) -> Ran {
        let output = self.command(command, args, more).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let ran = Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
        for secret in [DEVICE_SECRET, OPERATOR_TOKEN, "DEVICE.TOKEN", self.kube.admin_token()] {
            assert!(!ran.all().contains(secret), "a secret is in the output:\n{}", ran.all());
        }
        ran
    }

    pub fn spawn_connect(&self) -> Child {
        self.spawn("connect", &self.connect_args())
    }

    pub fn spawn(&self, command: &str, args: &[String]) -> Child {
        let mut command = self.command(command, args, &[]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn command(&self, command: &str, args: &[String], more: &[&str]) -> Command {
        let mut process = Command::new(env!("CARGO_BIN_EXE_arclet"));
        process.arg(command).args(args).args(more).env_clear().stdin(Stdio::null());
        process
    }

    pub fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    pub fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }

    pub fn client(&self, kubeconfig: &Path) -> k3s::Client {
        k3s::Client::new(kubeconfig::load(kubeconfig).unwrap(), Clock::new()).unwrap()
    }

    /// Names of arclet's objects in the cluster, without what is on its way out.
    pub fn objects(&self) -> Vec<String> {
        let client = self.client(&self.path("admin.yaml"));
        let kinds = [
            ("v1", "Namespace"),
            ("v1", "ServiceAccount"),
            ("v1", "Secret"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole"),
            ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
        ];
        let mut names = Vec::new();
        for (version, kind) in kinds {
            let resource = Resource::known(version, kind).unwrap();
            for object in client.list(&resource, None, "app.kubernetes.io/managed-by=arclet").unwrap() {
                if object["metadata"].get("deletionTimestamp").is_some() {
                    continue;
                }
                names.push(format!("{kind} {}", object["metadata"]["name"].as_str().unwrap()));
            }
        }
        names
    }

    /// Whether the agent's own kubeconfig works, and is not an administrator's.
    pub fn agent_works(&self) -> bool {
        let agent = self.client(&self.path("etc/credentials/kubeconfig"));
        agent.nodes().is_ok_and(|nodes| nodes.nodes == 1)
            && agent.who_am_i().unwrap().username == "system:serviceaccount:arclet:arclet"
            && !agent.can_i("get", "", "secrets", None, None).unwrap()
    }
}
