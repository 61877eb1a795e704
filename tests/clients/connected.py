"""What `connect` makes of a Key Vault that an operator names, and what `doctor` says of it: exit codes, words, and what is
in the cluster then. Leaves the agent running, connected to the vault."""

import contextlib
import json
import os
import tomllib

from arm import clusters
from chart import published
from device import run, until
from standin import check, equal

ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
RIGHT = "Key Vault Secrets User"


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
    with open(f"{azure.edge.home}/etc/extensions.toml", "w") as file:
        file.write(published(azure))
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
        text = run(azure.edge.arclet, "doctor", "--config", azure.edge.config)
    reason = checks["Key Vault"]["reason"]
    equal((code, first, reason["code"]), (2, "Key Vault", "Forbidden"))
    assert RIGHT in reason["next_step"] and "ForbiddenByRbac" in reason["message"], reason
    # And for people.
    equal(text.returncode, 2)
    for words in ("FAILED Key Vault\n", RIGHT, "The first to fail: Key Vault. Begin there.\n"):
        assert words in text.stdout, text.stdout
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
