"""What Microsoft's SDKs ask of the stand-in is what arclet then has in the cluster: the real binary, connected as an
operator types it, between the Azure stand-in and the API server in memory (whose controllers nobody plays)."""

import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
import tomllib

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.kubernetesconfiguration.extensions import models as E
from azure.mgmt.kubernetesconfiguration.fluxconfigurations import models as F

from arm import FAST, clusters
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
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
GIT_KEY, SETTINGS = "flux-fleet-httpsKey", "extension-mon-configurationProtectedSettings"
# What is in the vault; found nowhere else but in the cluster.
SECRETS = ["firstkeyofthisfleet", "secondkeyofthisfleet", "tokenoftheextension", "othertokenofthatone"]
RIGHT = "Key Vault Secrets User"


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


def packed(version):
    """A packed chart, always in the same bytes."""
    data, text = io.BytesIO(), f"apiVersion: v2\nname: mon\nversion: {version}\n".encode()
    with gzip.GzipFile(fileobj=data, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        entry = tarfile.TarInfo("mon/Chart.yaml")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return data.getvalue()


def digest(version):
    return hashlib.sha256(packed(version)).hexdigest()


@contextlib.contextmanager
def only(azure, *roles):
    """The device has these roles for the time of the block, and afterwards all that it should have."""
    publisher = {"publisher": azure.ruleId}
    azure.command("principal", {**azure.device, "roles": [publisher, *roles]})
    try:
        yield
    finally:
        usual = [{"device": azure.cluster}, {"secrets-user": azure.vaultId}]
        azure.command("principal", {**azure.device, "roles": [publisher, *usual]})


def checks_of(done):
    """What `connect -o json` has asked, by name and verdict, and what is to be done about the last of each name."""
    checks = json.loads(done.stdout)["checks"]
    said = {c["name"]: c.get("reason", {}).get("next_step", "") for c in checks}
    return {(c["name"], c["verdict"]) for c in checks}, said


# Connecting.


@check
def a_vault_that_nothing_would_read_or_that_is_no_address_is_a_wrong_command_line(azure):
    for words, expected in (
        (["--key-vault", azure.vault], "--gitops or --extensions too"),
        (["--gitops", "--key-vault", "edge-kv"], "an address such as https://"),
    ):
        done = azure.edge.connect(*words)
        equal(done.returncode, 64)
        assert expected in done.stderr, done.stderr
    assert not os.path.exists(azure.edge.config)


@check
def without_a_vault_connect_grants_no_right_to_write_secrets_of_configurations(azure):
    done = azure.edge.connect("--gitops", "--extensions")
    equal((done.returncode, done.stderr), (0, ""))
    assert azure.edge.kube(f"{ROLES}/arclet-gitops")
    equal(azure.edge.kube(f"{ROLES}/arclet-gitops-secrets"), None)


@check
def a_dry_run_says_which_roles_and_changes_nothing(azure):
    done = azure.edge.connect("--gitops", "--extensions", "--key-vault", azure.vault, "--dry-run", "-o", "json")
    equal(done.returncode, 0)
    plan = "\n".join(json.loads(done.stdout)["plan"])
    assert "arclet-gitops-secrets" in plan, plan
    assert "key-vault" not in open(azure.edge.config).read()
    equal(azure.edge.kube(f"{ROLES}/arclet-gitops-secrets"), None)


@check
def a_vault_that_cannot_be_reached_stops_connect_before_it_changes_anything(azure):
    done = azure.edge.connect("--gitops", "--key-vault", "https://127.0.0.1:1", "-o", "json")
    equal(done.returncode, 1)
    report = json.loads(done.stdout)
    equal([c["name"] for c in report["checks"] if c["verdict"] == "failed"], ["127.0.0.1:1"])
    assert "key-vault" not in open(azure.edge.config).read()
    equal(azure.edge.kube(f"{ROLES}/arclet-gitops-secrets"), None)


@check
def connect_notes_what_the_device_may_not_read_and_goes_on(azure):
    words = ["--gitops", "--extensions", "--key-vault", azure.vault, "--dry-run", "-o", "json"]
    with only(azure, {"device": azure.cluster}):
        done = azure.edge.connect(*words)
    found, said = checks_of(done)
    assert done.returncode == 0 and ("Key Vault", "warning") in found and RIGHT in said["Key Vault"], done.stdout
    # It sees its own rights, and these are not enough.
    with only(azure, {"onboarding": azure.cluster}, {"secrets-user": azure.vaultId}):
        done = azure.edge.connect(*words)
    found, said = checks_of(done)
    assert {("Key Vault", "ok"), ("device's right", "warning")} <= found and done.returncode == 0, done.stdout
    assert "clusterName=k3s-1" in said["device's right"], said


@check
def connect_again_with_a_vault_writes_its_address_and_grants_that_right(azure):
    # As `az keyvault show` prints it, with a slash at its end.
    done = azure.edge.connect("--gitops", "--extensions", "--key-vault", f"{azure.vault}/", "-o", "json")
    found, _ = checks_of(done)
    assert done.returncode == 0 and {("Key Vault", "ok"), ("device's rights", "ok")} <= found, done.stdout
    rule = azure.edge.kube(f"{ROLES}/arclet-gitops-secrets")["rules"]
    equal([(r["apiGroups"], r["resources"]) for r in rule], [([""], ["secrets"])])
    subjects = azure.edge.kube(f"{BINDINGS}/arclet-gitops-secrets")["subjects"]
    equal([(s["kind"], s["namespace"], s["name"]) for s in subjects], [("ServiceAccount", "arclet", "arclet")])
    text = open(azure.edge.config).read()
    desired = tomllib.loads(text)["desired"]
    catalogue = f"{azure.edge.home}/etc/extensions.toml"
    equal(desired, {"gitops": True, "extensions": True, "catalogue": catalogue, "key-vault": f"{azure.vault}/"})
    assert azure.device["secret"] not in text and azure.operator["secret"] not in text
    equal(clusters(azure).get(azure.group, "k3s-1").tags["arclet-connected"] is not None, True)


# What doctor says of the vault, with the agent running.


@check
def doctor_finds_every_hop_fine_and_the_vault_among_them(azure):
    host, catalogue = azure.registry.split("://")[1], ""
    for version in ("1.0.0", "1.1.0"):
        content = base64.b64encode(packed(version)).decode()
        layer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
        chart = {"repository": "charts/mon", "tag": version, "media_type": layer, "content": content}
        equal(azure.command("artefact", chart)["layer"], f"sha256:{digest(version)}")
        catalogue += f'[[chart]]\ntype = "contoso.monitor"\nversion = "{version}"\ndigest = "sha256:{digest(version)}"\n'
        catalogue += f'chart = "oci://{host}/charts/mon:{version}"\n'
    with open(f"{azure.edge.home}/etc/extensions.toml", "w") as file:
        file.write(catalogue)
    azure.edge.hurry()
    azure.edge.start()
    code, first, checks = until(azure.edge.doctor, lambda seen: seen[0] == 0)
    equal((first, checks["Key Vault"]["verdict"]), (None, "ok"))
    equal(checks["Key Vault"]["detail"], "reachable, and secrets may be read")
    equal(checks["extensions"]["detail"].split(";")[1].split(" in ")[0], " 2 charts")


@check
def doctor_tells_a_device_without_the_right_on_the_vault_which_role_it_needs(azure):
    with only(azure, {"device": azure.cluster}):
        code, first, checks = azure.edge.doctor()
    reason = checks["Key Vault"]["reason"]
    equal((code, first, reason["code"]), (2, "Key Vault", "Forbidden"))
    assert RIGHT in reason["next_step"] and "ForbiddenByRbac" in reason["message"], reason
    equal(azure.edge.doctor()[:2], (0, None))


@check
def doctor_tells_a_device_that_may_not_read_what_is_wanted(azure):
    with only(azure, {"onboarding": azure.cluster}, {"secrets-user": azure.vaultId}):
        code, first, checks = azure.edge.doctor()
    equal((code, first, checks[first]["reason"]["code"]), (2, "what is wanted", "MissingRight"))
    equal(checks["Key Vault"]["verdict"], "ok")
    # The agent was refused meanwhile; it comes back by itself.
    until(azure.edge.doctor, lambda seen: seen[0] == 0)


@check
def doctor_names_a_vault_that_has_no_name_or_does_not_answer(azure):
    # A label of 64 characters is in nobody's DNS, and no resolver is asked for it.
    for url, code in ((f"https://{'v' * 64}.vault.azure.net", "DnsFailed"), ("https://127.0.0.1:1", "ConnectFailed")):
        host = url.split("://")[1]
        exit_code, first, checks = azure.edge.doctor(vault=url)
        equal((exit_code, first, checks[host]["reason"]["code"]), (2, host, code))
        assert host.split(":")[0] in checks[host]["reason"]["message"], checks[host]
        equal(checks["Key Vault"]["verdict"], "failed")
        # The rest is as fine as it was.
        equal([c["name"] for c in checks.values() if c["verdict"] == "failed"], [host, "Key Vault"])


@check
def doctor_tells_a_vault_in_trouble_from_a_right_that_is_missing(azure):
    azure.command("fault", {"endpoint": "vault", "kind": {"status": 503}, "times": 4})
    code, _, checks = azure.edge.doctor()
    equal((code, checks["Key Vault"]["verdict"]), (2, "failed"))
    assert checks["Key Vault"]["reason"]["code"] != "Forbidden", checks["Key Vault"]
    until(azure.edge.doctor, lambda seen: seen[0] == 0)


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
    CHECKS[:] = [function for function in CHECKS if function.__module__ == __name__]
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
