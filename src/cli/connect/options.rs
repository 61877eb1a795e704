//! The command line of `arclet connect`.

use super::super::args::{Arg, Args, Output, Usage, is_help};
use crate::azure::ResourceId;
use crate::core::Reason;
use crate::k3s::install::Scenario;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub(in crate::cli) const HELP: &str = "\
Connects this cluster to Azure and sets the service up: checks everything first, then makes the ServiceAccount and its
roles in the cluster, the connected cluster in Azure, and the configuration. It can be run again at any time: what is
done is left alone, what a kill interrupted is finished.

Usage: arclet connect [OPTIONS]

Which cluster:
      --cluster-id ID           ARM id of the connected cluster, or its three parts:
      --subscription ID
      --resource-group NAME
      --name NAME
      --location REGION         where to make it [the resource group's]
      --tag KEY=VALUE           a tag of the new cluster; may be repeated. Tags that are there are kept.

Who the device is (least privilege: config/azure assigns its roles):
      --tenant ID
      --client-id ID            application id of the device's service principal, with one of
      --client-secret-file FILE
      --certificate-file FILE   PEM, certificate and private key
      --federated-token-file FILE
      --arc-server              the managed identity of this Arc-enabled server (no tenant, no client id)

Who you are (may make connected clusters; used now and not kept):
      --operator-token-file FILE          az account get-access-token --query accessToken -o tsv > FILE
      --operator-client-id ID, with --operator-client-secret-file FILE or --operator-certificate-file FILE
      --operator-tenant ID                [--tenant]
      or the environment variable ARCLET_OPERATOR_TOKEN

Where records go (outputs of the template in config/azure):
      --dcr-endpoint URL        logs ingestion endpoint
      --dcr-id ID               immutable id of the data collection rule, dcr-…
      --dcr-resource-id ID      ARM id of the rule: both are looked up, and the device's right is checked

What it may do beside reporting:
      --gitops                  pull the cluster's fluxConfigurations and enforce them. Grants the agent's account roles for it
                                that are close to those of an administrator: docs/security.md says what they allow
      --extensions              pull the cluster's extensions and have k3s's helm-controller install them, as far as
                                extensions.toml beside the configuration names their charts. Grants a role that comes to
                                an administrator's
      --key-vault URL           with one of these: the Key Vault that has their secrets. Grants the agent's account the role
                                to write those of configurations into the cluster

Ways:
      --kubeconfig FILE         [KUBECONFIG, k3s's own, those of other distributions, ~/.kube/config]
      --api-server URL          the address at which the service reaches the API server [the kubeconfig's]
      --cloud NAME              AzureCloud (default), AzureUSGovernment, AzureChinaCloud
      --login-endpoint URL, --arm-endpoint URL, --arm-scope TEXT, --monitor-scope TEXT    a cloud of your own
      --proxy URL               [HTTPS_PROXY]; a URL with a password is kept as a credential
      --no-proxy LIST           hosts, domains and networks with commas [NO_PROXY]
      --ca-file FILE            authorities in PEM that are trusted besides the public ones
      --config-dir DIR          [/etc/arclet]
      --state-dir DIR           [/var/lib/arclet]
      --unit-dir DIR            where drop-ins of the unit go [/etc/systemd/system]

      --adopt                   take over a connected cluster that somebody else made and no agent reports for
      --dry-run                 check, say what would be done, change nothing
  -o, --output FORMAT           text (default) or json
  -y, --yes                     ask nothing

On a worker node, without the admin's kubeconfig: copy credentials/kubeconfig of the server's /etc/arclet and give it as
--kubeconfig. It is recognised as the agent's own, its rights are checked, and nothing is made in the cluster.

Exit code 0: connected. 1: not; every line that is not ok says what to do. 64, 78: see arclet --help.
";

/// The command line, taken apart.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Options {
    pub(super) cluster: Option<ResourceId>,
    pub(super) location: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) device: Device,
    pub(in crate::cli) operator: OperatorOptions,
    pub(super) dcr_endpoint: Option<String>,
    pub(super) dcr_id: Option<String>,
    pub(super) dcr_resource_id: Option<String>,
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) api_server: Option<String>,
    pub(in crate::cli) cloud: CloudOptions,
    pub(in crate::cli) way: WayOptions,
    pub(super) config_dir: PathBuf,
    pub(super) state_dir: PathBuf,
    pub(super) unit_dir: PathBuf,
    pub(super) gitops: bool,
    pub(super) extensions: bool,
    pub(super) key_vault: Option<String>,
    pub(super) adopt: bool,
    pub(super) dry_run: bool,
    pub(super) output: Output,
}

/// Who the device is.
#[derive(Clone, Debug, Default)]
pub(super) struct Device {
    pub(super) tenant: Option<String>,
    pub(super) client: Option<String>,
    pub(super) kind: Option<DeviceKind>,
}

/// How the device proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DeviceKind {
    /// A file with the secret; a copy is kept.
    ClientSecret(PathBuf),
    /// A file with certificate and key; a copy is kept.
    Certificate(PathBuf),
    /// A file that somebody keeps fresh; never copied.
    FederatedToken(PathBuf),
    /// The machine's own identity.
    ArcServer,
}

/// Who the operator is.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct OperatorOptions {
    pub(in crate::cli) token_file: Option<PathBuf>,
    pub(in crate::cli) tenant: Option<String>,
    pub(in crate::cli) client: Option<String>,
    pub(in crate::cli) secret_file: Option<PathBuf>,
    pub(in crate::cli) certificate_file: Option<PathBuf>,
}

impl OperatorOptions {
    /// Takes an option, if it is one of the operator's.
    pub(in crate::cli) fn take(&mut self, option: &str, args: &mut Args) -> Result<bool, Usage> {
        match option {
            "operator-token-file" => self.token_file = Some(args.path()?),
            "operator-tenant" => self.tenant = Some(args.value()?),
            "operator-client-id" => self.client = Some(args.value()?),
            "operator-client-secret-file" => self.secret_file = Some(args.path()?),
            "operator-certificate-file" => self.certificate_file = Some(args.path()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Which Azure.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct CloudOptions {
    pub(in crate::cli) name: Option<String>,
    pub(in crate::cli) login: Option<String>,
    pub(in crate::cli) arm: Option<String>,
    pub(in crate::cli) arm_scope: Option<String>,
    pub(in crate::cli) monitor_scope: Option<String>,
}

/// The way out.
#[derive(Clone, Default)]
pub(in crate::cli) struct WayOptions {
    /// May hold a password: no Debug.
    pub(in crate::cli) proxy: Option<String>,
    pub(in crate::cli) no_proxy: Vec<String>,
    pub(in crate::cli) ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for WayOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WayOptions")
            .field("proxy", &self.proxy.is_some())
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

impl Options {
    /// What arclet is to be allowed beside reporting.
    pub(super) fn scenarios(&self) -> Vec<Scenario> {
        Scenario::of(self.gitops, self.extensions, self.key_vault.is_some())
    }

    /// Reads the command line; `None` when it asked for help. `environment` looks variables up.
    pub(super) fn read(
        args: &mut Args,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Options>, Usage> {
        let mut options = Options {
            config_dir: "/etc/arclet".into(),
            state_dir: crate::config::STATE_DIRECTORY.into(),
            unit_dir: "/etc/systemd/system".into(),
            ..Options::default()
        };
        let mut parts = [const { None::<String> }; 3];
        while let Some(arg) = args.next()? {
            let option = match arg {
                Arg::Option(option) => option,
                Arg::Value(value) => return Err(args.unexpected(&value)),
            };
            match option.as_str() {
                _ if is_help(&option) => return Ok(None),
                _ if options.operator.take(&option, args)? => {}
                "cluster-id" => options.cluster = Some(cluster(ResourceId::parse(&args.value()?))?),
                "subscription" => parts[0] = Some(args.value()?),
                "resource-group" => parts[1] = Some(args.value()?),
                "name" => parts[2] = Some(args.value()?),
                "location" => options.location = Some(args.value()?),
                "tag" => {
                    let (key, value) = tag(&args.value()?)?;
                    options.tags.insert(key, value);
                }
                "tenant" => options.device.tenant = Some(args.value()?),
                "client-id" => options.device.client = Some(args.value()?),
                "client-secret-file" => options.device.set(DeviceKind::ClientSecret(args.path()?))?,
                "certificate-file" => options.device.set(DeviceKind::Certificate(args.path()?))?,
                "federated-token-file" => options.device.set(DeviceKind::FederatedToken(args.path()?))?,
                "arc-server" => options.device.set(DeviceKind::ArcServer)?,
                "dcr-endpoint" => options.dcr_endpoint = Some(args.value()?),
                "dcr-id" => options.dcr_id = Some(args.value()?),
                "dcr-resource-id" => options.dcr_resource_id = Some(args.value()?),
                "kubeconfig" => options.kubeconfig = Some(args.path()?),
                "api-server" => options.api_server = Some(args.value()?),
                "cloud" => options.cloud.name = Some(args.value()?),
                "login-endpoint" => options.cloud.login = Some(args.value()?),
                "arm-endpoint" => options.cloud.arm = Some(args.value()?),
                "arm-scope" => options.cloud.arm_scope = Some(args.value()?),
                "monitor-scope" => options.cloud.monitor_scope = Some(args.value()?),
                "proxy" => options.way.proxy = Some(args.value()?),
                "no-proxy" => options.way.no_proxy = list(&args.value()?),
                "ca-file" => options.way.ca_file = Some(args.path()?),
                "config-dir" => options.config_dir = args.path()?,
                "state-dir" => options.state_dir = args.path()?,
                "unit-dir" => options.unit_dir = args.path()?,
                "gitops" => options.gitops = true,
                "extensions" => options.extensions = true,
                "key-vault" => options.key_vault = Some(args.value()?),
                "adopt" => options.adopt = true,
                "dry-run" => options.dry_run = true,
                "o" | "output" => options.output = args.output()?,
                // Nothing is asked; accepted so that scripts may say so everywhere.
                "y" | "yes" => {}
                _ => return Err(args.unknown(&option)),
            }
        }
        options.cluster(parts)?;
        options.complete()?;
        if options.way.proxy.is_none() {
            let set = |name: &str| environment(name).filter(|value| !value.is_empty());
            options.way.proxy = set("HTTPS_PROXY").or_else(|| set("https_proxy"));
            if options.way.no_proxy.is_empty() && options.way.proxy.is_some() {
                options.way.no_proxy =
                    set("NO_PROXY").or_else(|| set("no_proxy")).as_deref().map(list).unwrap_or_default();
            }
        }
        Ok(Some(options))
    }

    fn cluster(&mut self, parts: [Option<String>; 3]) -> Result<(), Usage> {
        self.cluster = match (self.cluster.take(), parts) {
            (Some(id), [None, None, None]) => Some(id),
            (Some(_), _) => {
                return Err(Usage(
                    "--cluster-id and its parts say the same thing: give one of them".to_owned(),
                ));
            }
            (None, [Some(subscription), Some(group), Some(name)]) => {
                Some(cluster(ResourceId::cluster(&subscription, &group, &name))?)
            }
            (None, _) => {
                let what = "which cluster? --cluster-id, or --subscription, --resource-group and --name";
                return Err(Usage(what.to_owned()));
            }
        };
        Ok(())
    }

    /// What belongs together is together.
    fn complete(&self) -> Result<(), Usage> {
        let missing = |what: &str| Err(Usage(what.to_owned()));
        match &self.key_vault {
            Some(_) if !self.gitops && !self.extensions => {
                return missing(
                    "--key-vault is for the secrets of configurations and extensions: give --gitops or --extensions too",
                );
            }
            Some(url) if !url.starts_with("https://") => {
                return missing("--key-vault: an address such as https://edge-kv.vault.azure.net");
            }
            _ => {}
        }
        match (&self.device.kind, &self.device.tenant, &self.device.client) {
            (None, ..) => {
                return missing(
                    "who is the device? --client-secret-file, --certificate-file, --federated-token-file or --arc-server",
                );
            }
            (Some(DeviceKind::ArcServer), ..) | (Some(_), Some(_), Some(_)) => {}
            (Some(_), ..) => return missing("--tenant and --client-id are missing"),
        }
        match (&self.dcr_endpoint, &self.dcr_id, &self.dcr_resource_id) {
            (Some(_), Some(_), None) | (None, None, Some(_)) => Ok(()),
            (None, None, None) | (Some(_), None, None) | (None, Some(_), None) => missing(
                "where do records go? --dcr-endpoint and --dcr-id, or --dcr-resource-id (outputs of config/azure)",
            ),
            _ => missing("--dcr-resource-id looks the other two up: give it alone"),
        }
    }
}

fn cluster(id: Result<ResourceId, Reason>) -> Result<ResourceId, Usage> {
    let id = id.map_err(|reason| Usage(reason.to_string()))?;
    if id.is_cluster() { Ok(id) } else { Err(Usage(format!("{id} is no connected cluster"))) }
}

impl Device {
    fn set(&mut self, kind: DeviceKind) -> Result<(), Usage> {
        match self.kind.replace(kind) {
            None => Ok(()),
            Some(_) => Err(Usage("the device has one identity: give one of the four".to_owned())),
        }
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The limits of ARM: names up to 512 characters without `<>%&\?/`, values up to 256.
fn tag(text: &str) -> Result<(String, String), Usage> {
    let (key, value) = text.split_once('=').ok_or_else(|| Usage(format!("--tag {text}: KEY=VALUE")))?;
    if key.is_empty() || key.len() > 512 || key.contains(['<', '>', '%', '&', '\\', '?', '/']) {
        return Err(Usage(format!(
            "--tag {text}: the name of a tag is empty, too long or has one of <>%&\\?/"
        )));
    }
    if value.len() > 256 {
        return Err(Usage(format!("--tag {key}: a value has at most 256 characters")));
    }
    if key.to_lowercase().starts_with("arclet-") {
        return Err(Usage(format!("--tag {key}: tags that begin with arclet- are the service's own")));
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: &str = "--tenant t --client-id c --client-secret-file /s";
    const DCR: &str = "--dcr-endpoint https://x --dcr-id dcr-1";
    const ID: &str = "--cluster-id /subscriptions/1bfbb5d0-917e-4346-9026-1d3b344417f5/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/n";

    fn read(line: &str) -> Result<Options, Usage> {
        let mut args = Args::new(line.split_whitespace().map(Into::into));
        let environment = |name: &str| (name == "HTTPS_PROXY").then(|| "http://env:3128".to_owned());
        Options::read(&mut args, environment).map(Option::unwrap)
    }

    #[test]
    fn what_is_missing_is_asked_for() {
        for (line, asked) in [
            (format!("{WHO} {DCR}"), "which cluster?"),
            (format!("{ID} {DCR}"), "who is the device?"),
            (format!("{ID} {WHO}"), "where do records go?"),
            (format!("{ID} {DCR} --client-secret-file /s"), "--tenant and --client-id"),
            (format!("{ID} {WHO} {DCR} --arc-server"), "one identity"),
            (format!("{ID} {WHO} {DCR} --name x"), "say the same thing"),
            (format!("{ID} {WHO} {DCR} --dcr-resource-id x"), "alone"),
            (format!("{ID} {WHO} {DCR} --tag Arclet-x=1"), "service's own"),
            (format!("{ID} {WHO} {DCR} --key-vault https://kv.example"), "--gitops or --extensions too"),
            (format!("{ID} {WHO} {DCR} --gitops --key-vault kv"), "https://"),
            (format!("{ID} {WHO} {DCR} --nonsense"), "no such option here: --nonsense"),
        ] {
            let Usage(said) = read(&line).unwrap_err();
            assert!(said.contains(asked), "{line}: {said}");
        }
        assert!(read(&format!("{ID} {DCR} --arc-server")).is_ok());
    }

    #[test]
    fn the_environments_proxy_is_taken_unless_one_is_given() {
        assert_eq!(read(&format!("{ID} {WHO} {DCR}")).unwrap().way.proxy.unwrap(), "http://env:3128");
        let given = read(&format!("{ID} {WHO} {DCR} --proxy http://a:b@c:1")).unwrap();
        assert_eq!(given.way.proxy.as_deref(), Some("http://a:b@c:1"));
        assert!(!format!("{given:?}").contains("a:b"), "a password is no business of Debug");
    }
}
