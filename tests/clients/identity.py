"""azure-identity: every way to a token."""

import os
import subprocess

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from standin import check, equal, raises

ARM = "https://management.azure.com/.default"
MONITOR = "https://monitor.azure.com/.default"
# Where the SDK looks for HIMDS key files, and nowhere else.
TOKENS = "/var/opt/azcmagent/tokens"
APP = "33334444-dddd-5555-eeee-6666ffff7777"


def options(azure):
    return dict(authority=azure.login, disable_instance_discovery=True)


def secret(azure, who="operator"):
    """A credential of the stand-in's operator or device."""
    principal = getattr(azure, who)
    return ClientSecretCredential(azure.tenant, principal["client"], principal["secret"], **options(azure))


@check
def a_client_secret_gets_tokens_for_both_audiences(azure):
    credential = secret(azure)
    equal(credential.get_token(ARM).token.count("."), 2)
    assert credential.get_token(MONITOR).token != credential.get_token(ARM).token


@check
def a_wrong_secret_is_an_invalid_client_and_is_not_tried_again(azure):
    before = azure.report()["requests"]
    credential = ClientSecretCredential(azure.tenant, azure.device["client"], "wrong", **options(azure))
    error = raises(ClientAuthenticationError, lambda: credential.get_token(ARM))
    assert "AADSTS7000215" in str(error), error
    # The metadata, and one request for a token.
    equal(azure.report()["requests"] - before, 2)


@check
def an_unknown_application_is_named_so(azure):
    credential = ClientSecretCredential(azure.tenant, APP.replace("3", "9"), "x", **options(azure))
    assert "AADSTS700016" in str(raises(ClientAuthenticationError, lambda: credential.get_token(ARM)))


@check
def a_wrong_scope_is_refused(azure):
    error = raises(ClientAuthenticationError, lambda: secret(azure).get_token("https://nowhere.example/.default"))
    assert "AADSTS70011" in str(error), error


@check
def a_certificate_signs_with_rs256(azure):
    pem = f"{azure.directory}/app.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=app"]
        + ["-keyout", pem, "-out", pem + ".crt"],
        check=True,
        capture_output=True,
    )
    with open(pem, "a") as file:
        file.write(open(pem + ".crt").read())
    body = open(pem + ".crt").read().split("-----")[2]
    azure.command("principal", {"client": APP, "certificate": "".join(body.split())})
    data = open(pem, "rb").read()
    for chain in (False, True):
        credential = CertificateCredential(
            azure.tenant, APP, certificate_data=data, send_certificate_chain=chain, **options(azure)
        )
        assert credential.get_token(ARM).token


@check
def a_federated_token_is_accepted_and_another_one_refused(azure):
    azure.command("principal", {"client": APP, "federated": "eyJhbGciOiJSUzI1NiJ9.SA.TOKEN"})
    file = f"{azure.directory}/sa.jwt"
    for content, accepted in [("eyJhbGciOiJSUzI1NiJ9.SA.TOKEN", True), ("eyJhbGciOiJSUzI1NiJ9.SA.OTHER", False)]:
        with open(file, "w") as out:
            out.write(content)
        credential = WorkloadIdentityCredential(
            tenant_id=azure.tenant, client_id=APP, token_file_path=file, **options(azure)
        )
        if accepted:
            assert credential.get_token(ARM).token
        else:
            assert "AADSTS70021" in str(raises(ClientAuthenticationError, lambda: credential.get_token(ARM)))


@check
def overload_of_the_token_endpoint_is_waited_for(azure):
    azure.command("fault", {"endpoint": "login", "kind": {"throttled": 1}, "times": 1})
    assert secret(azure).get_token(ARM).token


@check
def himds_gives_a_token_for_the_content_of_its_key_file(azure):
    if not azure.himds:
        return "needs root and no Arc agent on this machine"
    before = azure.report()["himds"]
    os.environ["IDENTITY_ENDPOINT"] = azure.himds
    os.environ["IMDS_ENDPOINT"] = azure.himds.split("/metadata")[0]
    assert ManagedIdentityCredential().get_token(ARM).token
    equal(azure.report()["himds"] - before, 2)
    equal(os.listdir(TOKENS), [])


@check
def himds_that_names_a_foreign_file_gets_one_request(azure):
    if not azure.himds:
        return "needs root and no Arc agent on this machine"
    azure.command("realm", "/etc/passwd")
    before = azure.report()["himds"]
    raises(Exception, lambda: ManagedIdentityCredential(retry_total=0).get_token(ARM))
    equal(azure.report()["himds"] - before, 1)
    azure.command("realm", None)
