"""azure-keyvault-secrets: the challenge, versions, attributes and refusals of Key Vault.

The vault's host is no `*.vault.azure.net`, so the client is told not to compare it with the challenge's resource."""

import datetime

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from identity import secret
from standin import check, equal, raises


def vault(azure, who="operator", **more):
    return SecretClient(azure.vault, secret(azure, who), verify_challenge_resource=False, **more)


def seen_since(azure, count):
    """Method and status of the requests to the vault after the first `count` of all."""
    report = azure.report()
    new = report["last"][-(report["requests"] - count) :]
    return [(method, status) for endpoint, method, _, status in new if endpoint == "Vault"]


@check
def a_secret_is_set_after_the_vaults_challenge_and_read_by_the_device(azure):
    before = azure.report()["requests"]
    made = vault(azure).set_secret("git", "one", tags={"site": "1"}, content_type="text/plain")
    # Its challenge is asked for without the secret.
    equal(seen_since(azure, before), [("PUT", 401), ("PUT", 200)])
    found = vault(azure, "device").get_secret("git")
    equal((found.value, found.properties.version), ("one", made.properties.version))
    shown = found.properties
    equal((shown.enabled, shown.content_type, shown.tags), (True, "text/plain", {"site": "1"}))
    age = datetime.datetime.now(datetime.timezone.utc) - shown.created_on
    # what_waits_for_an_agent_for_48_hours_fails has moved the stand-in's clock.
    assert abs(age) < datetime.timedelta(hours=49), age


@check
def every_api_version_that_is_documented_is_spoken(azure):
    for version in ("7.0", "7.4", "7.6", "2025-07-01"):
        equal(vault(azure, "device", api_version=version).get_secret("git").value, "one")


@check
def a_new_version_is_the_newest_and_the_old_one_is_still_there(azure):
    client = vault(azure)
    old = client.get_secret("git").properties.version
    new = client.set_secret("git", "two").properties.version
    equal((client.get_secret("git").value, client.get_secret("git", old).value), ("two", "one"))
    equal([v.version for v in client.list_properties_of_secret_versions("git")], [old, new])


@check
def a_disabled_secret_is_refused_and_an_expired_one_is_given(azure):
    client, past = vault(azure), datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    client.update_secret_properties("git", expires_on=past)
    equal((client.get_secret("git").value, client.get_secret("git").properties.expires_on), ("two", past))
    client.update_secret_properties("git", enabled=False)
    error = raises(HttpResponseError, lambda: client.get_secret("git"))
    equal((error.status_code, error.error.code), (403, "Forbidden"))
    assert "SecretDisabled" in str(error.error.innererror), error.error.innererror


@check
def a_secret_that_is_not_there_is_a_404(azure):
    error = raises(ResourceNotFoundError, lambda: vault(azure, "device").get_secret("absent"))
    equal(error.error.code, "SecretNotFound")


@check
def the_device_writes_no_secret(azure):
    error = raises(HttpResponseError, lambda: vault(azure, "device").set_secret("git", "mine"))
    equal((error.status_code, error.error.code), (403, "Forbidden"))


@check
def a_busy_vault_is_waited_for(azure):
    client = vault(azure, "device")
    raises(ResourceNotFoundError, lambda: client.get_secret("absent"))
    azure.command("fault", {"endpoint": "vault", "kind": {"throttled": 1}, "times": 1})
    before = azure.report()["requests"]
    raises(ResourceNotFoundError, lambda: client.get_secret("absent"))
    equal(seen_since(azure, before), [("GET", 429), ("GET", 404)])
