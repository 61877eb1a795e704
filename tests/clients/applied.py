"""What Microsoft's SDKs ask of the stand-in is what arclet then has in the cluster: the real binary, connected as an
operator types it, between the Azure stand-in and the API server in memory (whose controllers nobody plays)."""

import base64
import hashlib
import json
import os
import sys

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.kubernetesconfiguration.extensions import models as E
from azure.mgmt.kubernetesconfiguration.fluxconfigurations import models as F

from arm import FAST, clusters
from chart import digest
from connected import BINDINGS, ROLES
from desired import at, configurations, extensions
from device import Device, run, until
from standin import CHECKS, Standin, check, equal, raises
from standin import run as run_checks
from vault import vault

SPACE = "/namespaces/cluster-config"
SOURCE = f"/apis/source.toolkit.fluxcd.io/v1{SPACE}/gitrepositories/fleet"
APPS = f"/apis/kustomize.toolkit.fluxcd.io/v1{SPACE}/kustomizations/fleet-apps"
INFRA = f"/apis/kustomize.toolkit.fluxcd.io/v1{SPACE}/kustomizations/fleet-infra"
AUTH = f"/api/v1{SPACE}/secrets/fleet-auth"
CHART = "/apis/helm.cattle.io/v1/namespaces/arclet-extensions/helmcharts/mon"
VALUES = "/api/v1/namespaces/arclet-extensions/secrets"
GIT_KEY, SETTINGS = "flux-fleet-httpsKey", "extension-mon-configurationProtectedSettings"
# What is in the vault; found nowhere else but in the cluster.
SECRETS = ["firstkeyofthisfleet", "secondkeyofthisfleet", "tokenoftheextension", "othertokenofthatone"]


# What the checks below read of the cluster.


def plain(text):
    return base64.b64decode(text).decode()


def git(azure):
    """The source's branch and the password that Flux would use for it; None for what is not there."""
    source, secret = azure.edge.kube(SOURCE), azure.edge.kube(AUTH)
    if source and secret:
        equal(source["spec"]["secretRef"]["name"], "fleet-auth")
    return (
        source and source["spec"]["ref"]["branch"],
        secret and {key: plain(value) for key, value in secret["data"].items()},
    )


def release(azure):
    """Digest of the chart, settings, and the text of the Secret of the protected ones; None without a HelmChart."""
    chart = azure.edge.kube(CHART)
    if not chart:
        return None
    spec = chart["spec"]
    secret = azure.edge.kube(f"{VALUES}/{spec['valuesSecrets'][0]['name']}")
    protected = secret and "".join(plain(value) for value in secret["data"].values())
    return hashlib.sha256(base64.b64decode(spec["chartContent"])).hexdigest(), spec["valuesContent"], protected


# A configuration.


@check
def a_configuration_whose_key_is_not_in_the_vault_names_the_secret_that_it_waits_for(azure):
    wanted = F.FluxConfiguration(
        properties=F.FluxConfigurationProperties(
            scope="cluster",
            namespace="cluster-config",
            source_kind="GitRepository",
            git_repository=F.GitRepositoryDefinition(
                url="https://git.example/fleet",
                https_user="edge",
                repository_ref=F.RepositoryRefDefinition(branch="main"),
            ),
            kustomizations={
                "infra": F.KustomizationDefinition(path="./infra", prune=True),
                "apps": F.KustomizationDefinition(path="./apps", depends_on=["infra"]),
            },
        )
    )
    configurations(azure).begin_create_or_update(*at(azure, "fleet"), wanted, polling=False)
    reason = lambda: azure.edge.document("flux/fleet").get("reason") or {}
    seen = until(reason, lambda reason: reason.get("code") == "SecretMissing")
    assert GIT_KEY in seen["message"], seen


@check
def a_key_that_the_vaults_sdk_sets_brings_source_kustomizations_and_secret_into_the_cluster(azure):
    vault(azure).set_secret(GIT_KEY, SECRETS[0])
    until(lambda: git(azure), lambda seen: seen == ("main", {"username": "edge", "password": SECRETS[0]}))
    infra, apps = (until(lambda: azure.edge.kube(path), bool)["spec"] for path in (INFRA, APPS))
    equal((infra["path"], infra["prune"], apps["path"]), ("./infra", True, "./apps"))
    equal([d["name"] for d in apps["dependsOn"]], ["fleet-infra"])
    equal((apps["sourceRef"]["kind"], apps["sourceRef"]["name"]), ("GitRepository", "fleet"))
    until(lambda: azure.edge.document("flux/fleet"), lambda d: d.get("state") == "applied" and not d["reason"])


@check
def a_branch_that_the_sdk_changes_and_a_key_that_is_rotated_both_arrive(azure):
    change = F.FluxConfigurationPatch(
        properties=F.FluxConfigurationPatchProperties(
            git_repository=F.GitRepositoryPatchDefinition(
                repository_ref=F.RepositoryRefDefinition(branch="release")
            ),
            kustomizations={"apps": None},
        )
    )
    configurations(azure).begin_update(*at(azure, "fleet"), change, polling=False)
    until(lambda: git(azure)[0], lambda branch: branch == "release")
    until(lambda: azure.edge.kube(APPS), lambda apps: apps is None)
    assert azure.edge.kube(INFRA)
    vault(azure).set_secret(GIT_KEY, SECRETS[1])
    until(lambda: git(azure), lambda seen: seen == ("release", {"username": "edge", "password": SECRETS[1]}))


@check
def the_sdk_reads_back_what_the_cluster_has(azure):
    found = configurations(azure).get(*at(azure, "fleet")).properties
    equal((found.git_repository.repository_ref.branch, found.git_repository.https_user), ("release", "edge"))
    equal(list(found.kustomizations), ["infra"])
    equal(vault(azure, "device").get_secret(GIT_KEY).value, git(azure)[1]["password"])


# An extension.


@check
def an_extension_becomes_a_helm_chart_with_its_settings_and_those_that_are_in_the_vault(azure):
    vault(azure).set_secret(SETTINGS, json.dumps({"collector.token": SECRETS[2]}))
    wanted = E.Extension(
        identity=E.Identity(type="SystemAssigned"),
        properties=E.ExtensionProperties(
            extension_type="Contoso.Monitor",
            auto_upgrade_minor_version=False,
            version="1.0.0",
            scope=E.Scope(cluster=E.ScopeCluster(release_namespace="monitoring")),
            configuration_settings={"site": "store-17"},
            configuration_protected_settings={"collector.token": "ARM-never-gives-it-back"},
        ),
    )
    extensions(azure).begin_create(*at(azure, "mon"), wanted, polling=False)
    chart, settings, protected = until(lambda: release(azure), bool)
    equal(chart, digest("1.0.0"))
    assert "store-17" in settings and SECRETS[2] not in settings, settings
    assert SECRETS[2] in protected and "never-gives" not in protected, "the protected settings"
    equal(azure.edge.kube(CHART)["spec"]["targetNamespace"], "monitoring")
    until(lambda: azure.edge.document("extension/mon"), lambda d: d.get("state") == "installing")


@check
def a_version_that_the_sdk_changes_and_protected_settings_that_are_rotated_both_arrive(azure):
    change = E.PatchExtension(
        properties=E.PatchExtensionProperties(version="1.1.0", configuration_settings={"site": "store-18"})
    )
    extensions(azure).begin_update(*at(azure, "mon"), change, polling=False)
    until(lambda: release(azure), lambda seen: seen[0] == digest("1.1.0") and "store-18" in seen[1])
    vault(azure).set_secret(SETTINGS, json.dumps({"collector.token": SECRETS[3]}))
    until(lambda: release(azure)[2], lambda protected: protected and SECRETS[3] in protected)
    found = extensions(azure).get(*at(azure, "mon")).properties
    equal((found.version, dict(found.configuration_settings)), ("1.1.0", {"site": "store-18"}))
    equal(dict(found.configuration_protected_settings), {})


# The end.


@check
def what_the_sdk_deletes_is_taken_out_of_the_cluster_with_its_secrets(azure):
    for kind, name in ((configurations(azure), "fleet"), (extensions(azure), "mon")):
        kind.begin_delete(*at(azure, name), polling=False)
    for path in (SOURCE, INFRA, AUTH, CHART):
        until(lambda: azure.edge.kube(path), lambda there: there is None)
    until(lambda: azure.edge.kube(VALUES)["items"], lambda secrets: secrets == [])
    for document in ("flux/fleet", "extension/mon"):
        until(lambda: azure.edge.document(document), lambda d: d.get("state") == "withdrawn")
    # ARM without Microsoft's agents waits for ever; forced, it is gone there too.
    for kind, name in ((configurations(azure), "fleet"), (extensions(azure), "mon")):
        equal(kind.get(*at(azure, name)).properties.provisioning_state, "Deleting")
        kind.begin_delete(*at(azure, name), force_delete=True, **FAST).result()
        raises(ResourceNotFoundError, lambda: kind.get(*at(azure, name)))
        until(lambda: azure.edge.document(f"{'flux' if name == 'fleet' else 'extension'}/{name}"), lambda d: d == {})


@check
def the_agent_ends_and_no_secret_of_the_vault_is_in_what_it_wrote(azure):
    equal(azure.edge.end(), 0)
    files = [f"{azure.edge.home}/log", f"{azure.edge.home}/status.json"]
    for place in ("etc", "state"):
        files += [f"{at}/{name}" for at, _, names in os.walk(f"{azure.edge.home}/{place}") for name in names]
    assert len(files) > 5, files
    for file in files:
        data = open(file, "rb").read()
        for secret in SECRETS:
            inner = base64.b64encode(secret.encode())[:-4]
            assert secret.encode() not in data and inner not in data, file


@check
def disconnect_takes_back_what_connect_made(azure):
    done = run(azure.edge.arclet, "disconnect", "--config-dir", f"{azure.edge.home}/etc", *azure.edge.operator())
    equal((done.returncode, done.stderr), (0, ""))
    for kind in (ROLES, BINDINGS):
        equal([i["metadata"]["name"] for i in azure.edge.kube(kind)["items"] if "arclet" in i["metadata"]["name"]], [])
    raises(ResourceNotFoundError, lambda: clusters(azure).get(azure.group, "k3s-1"))


def main():
    if len(sys.argv) != 5:
        sys.exit(f"usage: {sys.argv[0]} ARCLET STANDIN-PROGRAM CLUSTER-PROGRAM DIRECTORY")
    arclet, standin, cluster, directory = sys.argv[1:]
    # Those of the modules that this one has borrowed from are check.py's.
    CHECKS[:] = [function for function in CHECKS if function.__module__ in ("connected", __name__)]
    azure = Standin(standin, directory)
    azure.directory = directory
    os.environ["REQUESTS_CA_BUNDLE"] = azure.ca
    azure.edge = Device(arclet, cluster, azure, directory)
    try:
        failed = run_checks(azure)
    finally:
        azure.edge.close()
    report = azure.end()
    print(f"{report['arrived']} rows arrived, {len(report['violations'])} violations, {report['requests']} requests")
    sys.exit(1 if failed or report["violations"] or not report["arrived"] else 0)


if __name__ == "__main__":
    main()
