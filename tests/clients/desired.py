"""azure-mgmt-kubernetesconfiguration-*: configurations, extensions, and which versions of these exist.

A document of a cluster without Microsoft's agents is never done, so a check waits for an operation's end only where the
stand-in's clock is moved on or the deletion is forced. A poller that nobody waits for would go on asking for ever."""

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.kubernetesconfiguration.extensions import KubernetesConfigurationExtensionsMgmtClient
from azure.mgmt.kubernetesconfiguration.extensions import models as E
from azure.mgmt.kubernetesconfiguration.extensiontypes import KubernetesConfigurationExtensionTypesMgmtClient
from azure.mgmt.kubernetesconfiguration.fluxconfigurations import KubernetesConfigurationFluxConfigurationsMgmtClient
from azure.mgmt.kubernetesconfiguration.fluxconfigurations import models as F

from arm import FAST, settings
from identity import secret
from standin import check, equal, raises

# The cluster that arm.py has made.
CLUSTER = ("Microsoft.Kubernetes", "connectedClusters", "k3s-1")


def client(azure, kind, who="operator"):
    return kind(secret(azure, who), azure.subscription, **settings(azure))


def configurations(azure, who="operator"):
    return client(azure, KubernetesConfigurationFluxConfigurationsMgmtClient, who).flux_configurations


def extensions(azure, who="operator"):
    return client(azure, KubernetesConfigurationExtensionsMgmtClient, who).extensions


def statuses(azure, kind):
    """What reads the status of an operation on a document of this kind."""
    if kind == "flux":
        return client(azure, KubernetesConfigurationFluxConfigurationsMgmtClient).flux_config_operation_status
    return client(azure, KubernetesConfigurationExtensionsMgmtClient).operation_status


def begun(method, *arguments):
    """Begins an operation without waiting for it, and returns its id."""
    replies = []
    method(*arguments, polling=False, raw_response_hook=replies.append)
    url = replies[0].http_response.headers["Azure-AsyncOperation"]
    return url.split("?")[0].split("/")[-1]


def at(azure, *more):
    return (azure.group, *CLUSTER, *more)


def git():
    return F.FluxConfiguration(
        properties=F.FluxConfigurationProperties(
            scope="cluster",
            namespace="cluster-config",
            source_kind="GitRepository",
            git_repository=F.GitRepositoryDefinition(
                url="https://git.example/repo", repository_ref=F.RepositoryRefDefinition(branch="main")
            ),
            kustomizations={
                "infra": F.KustomizationDefinition(path="./infra", prune=True),
                "apps": F.KustomizationDefinition(path="./apps", depends_on=["infra"]),
            },
            configuration_protected_settings={"httpsKey": "c2VjcmV0"},
        )
    )


def monitor():
    return E.Extension(
        identity=E.Identity(type="SystemAssigned"),
        properties=E.ExtensionProperties(
            extension_type="azuremonitor-containers",
            auto_upgrade_minor_version=False,
            version="3.1.9",
            scope=E.Scope(cluster=E.ScopeCluster(release_namespace="kube-system")),
            configuration_settings={"a": "b"},
            configuration_protected_settings={"k": "s"},
        ),
    )


@check
def a_configuration_is_accepted_and_stays_creating(azure):
    operation = begun(configurations(azure).begin_create_or_update, *at(azure, "config"), git())
    equal(statuses(azure, "flux").get(*at(azure, "config", operation)).status, "Creating")
    found = configurations(azure).get(*at(azure, "config")).properties
    equal((found.provisioning_state, found.compliance_state), ("Creating", "Pending"))
    equal((found.git_repository.url, found.git_repository.repository_ref.branch), ("https://git.example/repo", "main"))
    equal((found.kustomizations["apps"].depends_on, found.kustomizations["apps"].name), (["infra"], "apps"))
    equal(dict(found.configuration_protected_settings), {})


@check
def a_change_is_merged_and_removes_a_kustomization(azure):
    change = F.FluxConfigurationPatch(
        properties=F.FluxConfigurationPatchProperties(
            git_repository=F.GitRepositoryPatchDefinition(url="https://git.example/new"),
            kustomizations={"infra": F.KustomizationPatchDefinition(prune=False), "apps": None},
        )
    )
    operation = begun(configurations(azure).begin_update, *at(azure, "config"), change)
    equal(statuses(azure, "flux").get(*at(azure, "config", operation)).status, "Updating")
    found = configurations(azure).get(*at(azure, "config")).properties
    equal((found.git_repository.url, list(found.kustomizations)), ("https://git.example/new", ["infra"]))
    equal((found.kustomizations["infra"].prune, found.kustomizations["infra"].path), (False, "./infra"))


@check
def configurations_are_listed_page_by_page_and_without_conditions(azure):
    for n in range(5):
        configurations(azure).begin_create_or_update(*at(azure, f"page-{n}"), git(), polling=False)
    azure.command("page", 2)
    listed = [c.name for c in configurations(azure).list(*at(azure))]
    azure.command("page", 100)
    equal(listed, ["config"] + [f"page-{n}" for n in range(5)])
    equal([c.name for c in configurations(azure, "device").list(*at(azure))], listed)


@check
def an_extension_is_made_changed_and_shown_without_its_secrets(azure):
    operation = begun(extensions(azure).begin_create, *at(azure, "mon"), monitor())
    equal(statuses(azure, "extension").get(*at(azure, "mon", operation)).status, "Creating")
    change = E.PatchExtension(properties=E.PatchExtensionProperties(version="3.1.10"))
    extensions(azure).begin_update(*at(azure, "mon"), change, polling=False)
    found = extensions(azure).get(*at(azure, "mon"))
    equal((found.properties.version, found.properties.current_version), ("3.1.10", None))
    equal(dict(found.properties.configuration_settings), {"a": "b"})
    equal(dict(found.properties.configuration_protected_settings), {})
    assert found.identity.principal_id and found.system_data.created_at
    equal([e.name for e in extensions(azure).list(*at(azure))], ["mon"])


@check
def what_waits_for_an_agent_for_48_hours_fails(azure):
    flux = configurations(azure).begin_create_or_update(*at(azure, "old"), git(), **FAST)
    extension = extensions(azure).begin_create(*at(azure, "old"), monitor(), **FAST)
    azure.command("advance", 48)
    for poller in (flux, extension):
        equal(raises(HttpResponseError, poller.result).error.code, "Timeout")
    equal(configurations(azure).get(*at(azure, "old")).properties.provisioning_state, "Failed")
    equal(extensions(azure).get(*at(azure, "old")).properties.provisioning_state, "Failed")


@check
def a_deletion_ends_only_when_it_is_forced(azure):
    for kind, name in ((configurations(azure), "config"), (extensions(azure), "mon")):
        plain = kind.begin_delete(*at(azure, name), **FAST)
        equal(kind.get(*at(azure, name)).properties.provisioning_state, "Deleting")
        kind.begin_delete(*at(azure, name), force_delete=True, **FAST).result()
        # The one that was not forced has nothing left to do either.
        plain.result()
        equal(raises(ResourceNotFoundError, lambda: kind.get(*at(azure, name))).error.code, "ResourceNotFound")


@check
def versions_of_an_extension_type_are_listed(azure):
    for version in ("1.9.0", "1.10.2", "1.8.14"):
        azure.command("extension-version", {"name": "microsoft.flux", "train": "Stable", "version": version})
    types = client(azure, KubernetesConfigurationExtensionTypesMgmtClient).extension_types
    stable = dict(release_train="stable")
    azure.command("page", 2)
    listed = types.cluster_list_versions(*at(azure, "microsoft.flux"), **stable)
    equal([v.properties.version for v in listed], ["1.9.0", "1.10.2", "1.8.14"])
    azure.command("page", 100)
    [newest] = types.cluster_list_versions(*at(azure, "microsoft.flux"), show_latest=True, **stable)
    refused = newest.properties.unsupported_kubernetes_versions.connected_cluster[0]
    equal((newest.name, refused.unsupported_versions), ("1.10.2", ["1.18..1.21"]))
    raises(ResourceNotFoundError, lambda: list(types.cluster_list_versions(*at(azure, "nobodys.type"))))


@check
def the_device_changes_nothing_that_is_wanted_of_it(azure):
    attempt = lambda: configurations(azure, "device").begin_create_or_update(*at(azure, "mine"), git(), **FAST)
    equal(raises(HttpResponseError, attempt).error.code, "AuthorizationFailed")
