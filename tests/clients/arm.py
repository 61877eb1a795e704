"""azure-mgmt-*: connected clusters, groups, providers, tags, rules, and refusals."""

import time
import uuid

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.hybridkubernetes import ConnectedKubernetesClient
from azure.mgmt.hybridkubernetes import models as M
from azure.mgmt.monitor import MonitorManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from identity import options, secret
from azure.identity import ClientSecretCredential
from standin import check, equal, raises

FAST = dict(polling_interval=0.1)
KEY = "MIICYzCC"
STRANGER = "44445555-eeee-6666-ffff-777788889999"


def settings(azure):
    return dict(base_url=azure.arm, credential_scopes=["https://management.azure.com/.default"])


def clusters(azure, credential=None, **more):
    client = ConnectedKubernetesClient(
        credential or secret(azure), azure.subscription, **settings(azure), **more
    )
    return client.connected_cluster


def resources(azure):
    return ResourceManagementClient(secret(azure), azure.subscription, **settings(azure))


def body(**more):
    properties = M.ConnectedClusterProperties(
        agent_public_key_certificate=KEY, distribution="k3s", infrastructure="generic", **more
    )
    return M.ConnectedCluster(
        location="eastus",
        tags={"site": "store-17"},
        identity=M.ConnectedClusterIdentity(type="SystemAssigned"),
        properties=properties,
    )


def create(azure, name):
    return clusters(azure).begin_create_or_replace(azure.group, name, body(), **FAST).result()


def seen_since(azure, count):
    """Method and status of the requests to Resource Manager after the first `count` of all."""
    report = azure.report()
    new = report["last"][-(report["requests"] - count) :]
    return [(method, status) for endpoint, method, _, status in new if endpoint == "Arm"]


@check
def a_put_is_201_with_a_status_url_and_ends_as_succeeded(azure):
    before = azure.report()["requests"]
    cluster = create(azure, "k3s-1")
    equal(cluster.properties.provisioning_state, "Succeeded")
    equal(cluster.properties.connectivity_status, "Connecting")
    equal((cluster.location, cluster.tags, cluster.properties.distribution), ("eastus", {"site": "store-17"}, "k3s"))
    assert cluster.identity.principal_id and cluster.system_data.created_at
    # PUT, running, done, the resource.
    equal(seen_since(azure, before), [("PUT", 201), ("GET", 202), ("GET", 200), ("GET", 200)])


@check
def every_shape_of_a_long_running_put_is_followed(azure):
    for shape in ("body", "sync", "async"):
        azure.command("operations", {"shape": shape, "polls": 2, "retry_after": 0})
        equal(create(azure, f"shape-{shape}").properties.provisioning_state, "Succeeded")
    azure.command("operations", {"shape": "failed", "polls": 1, "retry_after": 0})
    error = raises(HttpResponseError, lambda: create(azure, "shape-failed"))
    equal(error.error.code, "ClusterAlreadyOnboarded")
    azure.command("operations", {"shape": "async", "polls": 1, "retry_after": 0})


@check
def a_cluster_is_found_in_whatever_case_it_is_named(azure):
    found = clusters(azure).get(azure.group.upper(), "K3S-1")
    equal(found.id.lower(), azure.cluster.lower())


@check
def what_nobody_can_write_is_not_written(azure):
    tried = body(provisioning_state="Succeeded")
    tried.properties.connectivity_status = "Connected"  # read-only: the SDK itself leaves it out
    made = clusters(azure).begin_create_or_replace(azure.group, "k3s-1", tried, **FAST).result()
    equal(made.properties.connectivity_status, "Connecting")
    assert made.properties.agent_version is None


@check
def a_list_is_read_page_by_page(azure):
    azure.command("seed", {"name": "seeded", "count": 5})
    azure.command("page", 2)
    names = [c.name for c in clusters(azure).list_by_resource_group(azure.group)]
    equal(len([n for n in names if n.startswith("seeded-")]), 5)
    equal(len(names), len(set(names)))
    azure.command("page", 100)
    # The operator's role ends at the group.
    equal(raises(HttpResponseError, lambda: list(clusters(azure).list_by_subscription())).status_code, 403)


@check
def a_patch_changes_tags_and_distribution(azure):
    change = M.ConnectedClusterPatch(
        tags={"site": "x"},
        properties=M.ConnectedClusterPatchProperties(distribution="k3s", distribution_version="v1.31.3+k3s1"),
    )
    clusters(azure).begin_update_async(azure.group, "k3s-1", change, **FAST).result()
    found = clusters(azure).get(azure.group, "k3s-1")
    equal((found.tags, found.properties.distribution_version), ({"site": "x"}, "v1.31.3+k3s1"))


@check
def a_cluster_that_is_not_there_is_a_404(azure):
    error = raises(ResourceNotFoundError, lambda: clusters(azure).get(azure.group, "absent"))
    equal(error.error.code, "ResourceNotFound")
    error = raises(ResourceNotFoundError, lambda: clusters(azure).begin_create_or_replace("absent-rg", "x", body()))
    equal(error.error.code, "ResourceGroupNotFound")


@check
def tags_are_merged_and_removed_at_a_scope(azure):
    tags = resources(azure).tags
    for operation, given, expected in [
        ("Merge", {"lastSeen": "2026-11-22T15:00:00Z"}, {"site": "x", "lastSeen": "2026-11-22T15:00:00Z"}),
        ("Delete", {"lastSeen": "2026-11-22T15:00:00Z"}, {"site": "x"}),
        ("Replace", {"a": "b"}, {"a": "b"}),
    ]:
        patch = {"operation": operation, "properties": {"tags": given}}
        tags.begin_update_at_scope(azure.cluster, patch, **FAST).result()
        equal(dict(tags.get_at_scope(azure.cluster).properties.tags), expected)
    equal(clusters(azure).get(azure.group, "k3s-1").tags, {"a": "b"})


@check
def the_group_the_provider_and_the_rule_are_read(azure):
    client = resources(azure)
    equal(client.resource_groups.get(azure.group).location, "eastus")
    equal(client.providers.get("Microsoft.Kubernetes").registration_state, "Registered")
    rule = MonitorManagementClient(secret(azure), azure.subscription, **settings(azure)).data_collection_rules
    rule = rule.get(azure.group, "arclet")
    equal((rule.immutable_id, rule.endpoints.logs_ingestion), (azure.rule, azure.ingest))


@check
def a_generic_client_finds_the_cluster_too(azure):
    found = resources(azure).resources.get_by_id(azure.cluster, api_version="2026-05-01")
    equal(found.name, "k3s-1")


@check
def a_principal_without_a_role_is_refused(azure):
    azure.command("principal", {"client": STRANGER, "secret": "s"})
    credential = ClientSecretCredential(azure.tenant, STRANGER, "s", **options(azure))
    error = raises(HttpResponseError, lambda: clusters(azure, credential).get(azure.group, "k3s-1"))
    equal((error.status_code, error.error.code), (403, "AuthorizationFailed"))


@check
def the_device_reads_its_own_cluster_and_no_other_and_makes_none(azure):
    mine = clusters(azure, secret(azure, "device"))
    equal(mine.get(azure.group, "k3s-1").name, "k3s-1")
    for attempt in (
        lambda: mine.get(azure.group, "seeded-1"),
        lambda: mine.begin_create_or_replace(azure.group, "k3s-1", body()),
        lambda: mine.begin_delete(azure.group, "k3s-1"),
    ):
        equal(raises(HttpResponseError, attempt).status_code, 403)


@check
def throttling_is_waited_for_and_then_the_answer_comes(azure):
    client = clusters(azure)
    client.get(azure.group, "k3s-1")
    azure.command("fault", {"endpoint": "arm", "kind": {"throttled": 1}, "times": 1})
    before, start = azure.report()["requests"], time.monotonic()
    equal(client.get(azure.group, "k3s-1").name, "k3s-1")
    equal(seen_since(azure, before), [("GET", 429), ("GET", 200)])
    assert time.monotonic() - start >= 1, "Retry-After was not seen"


@check
def a_server_error_is_retried(azure):
    azure.command("fault", {"endpoint": "arm", "kind": {"status": 503}, "times": 2})
    equal(clusters(azure, retry_backoff_factor=0.05).get(azure.group, "k3s-1").name, "k3s-1")


@check
def a_challenge_for_other_claims_is_answered_with_a_new_token(azure):
    client = clusters(azure)
    client.get(azure.group, "k3s-1")
    azure.command("challenge", '{"access_token":{"nbf":{"essential":true,"value":"%d"}}}' % uuid.uuid4().int)
    before = azure.report()["requests"]
    equal(client.get(azure.group, "k3s-1").name, "k3s-1")
    equal(seen_since(azure, before), [("GET", 401), ("GET", 200)])
    azure.command("challenge", None)


@check
def a_delete_ends_when_its_operation_has_ended(azure):
    for shape in ("async", "body", "sync"):
        azure.command("operations", {"shape": shape, "polls": 2, "retry_after": 0})
        name = f"shape-{shape}"
        clusters(azure).begin_delete(azure.group, name, **FAST).result()
        raises(ResourceNotFoundError, lambda: clusters(azure).get(azure.group, name))
    azure.command("operations", {"shape": "async", "polls": 1, "retry_after": 0})
    # One that is gone already is no error.
    clusters(azure).begin_delete(azure.group, "shape-sync", **FAST).result()
