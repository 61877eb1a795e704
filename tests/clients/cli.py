"""azure-cli against the stand-in: what an operator types, as it is."""

import json
import os
import subprocess
import sys

from standin import Standin, check, equal, run, usage

KUBERNETES = "providers/Microsoft.Kubernetes/connectedClusters"
VERSION = "2026-05-01"


def az(*arguments, fails=False):
    """What `az` prints, decoded."""
    # The module beside this Python: the environment's `az` script may not be on the path.
    command = [sys.executable, "-m", "azure.cli", *arguments, "--only-show-errors", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if (done.returncode != 0) != fails:
        raise AssertionError(f"az {' '.join(arguments[:3])}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done.stderr if fails else json.loads(done.stdout or "null")


@check
def a_cloud_is_registered_and_chosen(azure):
    az(
        *["cloud", "register", "-n", "StandIn", "--endpoint-resource-manager", azure.arm],
        *["--endpoint-active-directory", azure.login],
        *["--endpoint-active-directory-resource-id", "https://management.azure.com"],
        *["--endpoint-active-directory-graph-resource-id", azure.arm],
    )
    az("cloud", "set", "-n", "StandIn")
    az("config", "set", "core.instance_discovery=false")
    equal(az("cloud", "show")["endpoints"]["resourceManager"], azure.arm)


@check
def a_wrong_secret_does_not_log_in(azure):
    login = ["login", "--service-principal", "-u", azure.operator["client"], "--tenant", azure.tenant]
    error = az(*login, "-p", "wrong", fails=True)
    assert "AADSTS7000215" in error, error


@check
def a_service_principal_logs_in_and_sees_the_subscription(azure):
    login = ["login", "--service-principal", "-u", azure.operator["client"], "--tenant", azure.tenant]
    equal([s["id"] for s in az(*login, "-p", azure.operator["secret"])], [azure.subscription])


@check
def rest_puts_a_cluster_with_the_operators_token(azure):
    body = {
        "location": "eastus",
        "identity": {"type": "SystemAssigned"},
        "properties": {"agentPublicKeyCertificate": "x", "connectivityStatus": "Connected"},
    }
    url = f"{azure.cluster}?api-version={VERSION}"
    made = az("rest", "--method", "put", "--url", url, "--body", json.dumps(body))
    equal(made["properties"]["provisioningState"], "Accepted")
    equal(made["properties"]["connectivityStatus"], "Connecting")


@check
def resource_show_reads_it(azure):
    shown = az("resource", "show", "--ids", azure.cluster, "--api-version", VERSION)
    equal(shown["name"], "k3s-1")


@check
def resource_create_polls_its_operation_to_the_end(azure):
    # Without a Retry-After above 0 it would wait 30 s before each look.
    azure.command("operations", {"shape": "async", "polls": 2, "retry_after": 1})
    identifier = azure.cluster.replace("k3s-1", "k3s-2")
    body = {
        "location": "eastus",
        "identity": {"type": "SystemAssigned"},
        "properties": {"agentPublicKeyCertificate": "x"},
    }
    create = ["resource", "create", "--id", identifier, "--api-version", VERSION, "--is-full-object"]
    made = az(*create, "--properties", json.dumps(body))
    equal(made["properties"]["provisioningState"], "Succeeded")


@check
def tags_are_merged_on_the_cluster(azure):
    merged = az("tag", "update", "--resource-id", azure.cluster, "--operation", "Merge", "--tags", "a=b")
    equal(merged["properties"]["tags"], {"a": "b"})


@check
def a_token_is_given_out_for_the_ingestion_audience(azure):
    token = az("account", "get-access-token", "--scope", "https://monitor.azure.com/.default")
    equal(token["tokenType"], "Bearer")


@check
def resource_delete_waits_until_it_is_gone(azure):
    az("resource", "delete", "--ids", azure.cluster, "--api-version", VERSION)
    error = az("resource", "show", "--ids", azure.cluster, "--api-version", VERSION, fails=True)
    assert "ResourceNotFound" in error, error


def main():
    program, directory = usage()
    azure = Standin(program, directory)
    os.environ.update(
        REQUESTS_CA_BUNDLE=azure.ca,
        AZURE_CONFIG_DIR=os.path.join(directory, "azure"),
        AZURE_CORE_COLLECT_TELEMETRY="false",
    )
    failed = run(azure)
    azure.end()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
