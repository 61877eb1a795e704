"""azure-monitor-ingestion: uploads, and what is refused."""

import base64
import gzip
import os
import urllib.error
import urllib.request
import json
import ssl

from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.monitor.ingestion import LogsIngestionClient

from identity import MONITOR, options, secret
from standin import check, equal, raises

STREAM = "Custom-ArcletHeartbeat"
STRANGER = "44445555-eeee-6666-ffff-777788889999"
TIME = "2026-11-22T15:10:02.123Z"


def client(azure, credential=None, **more):
    return LogsIngestionClient(azure.ingest, credential or secret(azure, "device"), **more)


def row(number, **more):
    return {"TimeGenerated": TIME, "EventTime": TIME, "Seq": number, "MessageId": f"sdk:{number}", **more}


def arrived(azure):
    return azure.report()["streams"].get(STREAM, 0)


@check
def a_few_rows_arrive(azure):
    before = arrived(azure)
    client(azure).upload(azure.rule, STREAM, [row(1, Detail="héllo"), row(2)])
    equal(arrived(azure) - before, 2)
    equal(azure.last()[2], 204)


@check
def many_rows_arrive_in_chunks_that_fit(azure):
    before, calls = arrived(azure), azure.report()["requests"]
    rows = [row(n, Detail=base64.b64encode(os.urandom(7500)).decode()) for n in range(250)]
    client(azure).upload(azure.rule, STREAM, rows)
    equal(arrived(azure) - before, 250)
    assert 3 <= azure.report()["requests"] - calls <= 6


@check
def throttled_uploads_are_sent_again_and_arrive_once(azure):
    before = arrived(azure)
    azure.command("fault", {"endpoint": "ingest", "kind": {"throttled": 1}, "times": 1})
    client(azure).upload(azure.rule, STREAM, [row(3)])
    equal(arrived(azure) - before, 1)


def post(azure, data, **headers):
    """Status and code of a call that the SDK itself would not make."""
    token = secret(azure, "device").get_token(MONITOR).token
    url = f"{azure.ingest}/dataCollectionRules/{azure.rule}/streams/{STREAM}?api%2Dversion=2023-01-01"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, data=data, headers=headers, method="POST")
    context = ssl.create_default_context(cafile=azure.ca)
    try:
        with urllib.request.urlopen(request, context=context) as reply:
            return reply.status, None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["error"]["code"]


@check
def a_call_that_is_too_large_before_or_after_compression_is_a_413(azure):
    before = arrived(azure)
    rows = [row(n, Detail="x" * 60_000) for n in range(18)]
    plain = json.dumps(rows).encode()
    assert len(plain) > 1 << 20 and len(gzip.compress(plain)) < 50_000
    equal(post(azure, plain), (413, "ContentLengthLimitExceeded"))
    equal(post(azure, gzip.compress(plain), **{"Content-Encoding": "gzip"}), (413, "ContentLengthLimitExceeded"))
    equal(arrived(azure), before)
    # The key of the query may be percent-encoded, and the body plain.
    equal(post(azure, json.dumps(rows[:1]).encode()), (204, None))


@check
def an_undeclared_stream_is_a_400_that_the_sdk_shows(azure):
    error = raises(HttpResponseError, lambda: client(azure).upload(azure.rule, "Custom-Nothing", [row(4)]))
    equal((error.status_code, error.error.code), (400, "InvalidStream"))


@check
def the_sdk_reports_rows_that_failed_to_its_callback(azure):
    failed = []
    client(azure).upload(azure.rule, "Custom-Nothing", [row(5), row(6)], on_error=failed.append)
    equal([len(f.failed_logs) for f in failed], [2])


@check
def without_the_role_on_the_rule_nothing_is_taken(azure):
    azure.command("principal", {"client": STRANGER, "secret": "s"})
    stranger = ClientSecretCredential(azure.tenant, STRANGER, "s", **options(azure))
    error = raises(HttpResponseError, lambda: client(azure, stranger).upload(azure.rule, STREAM, [row(7)]))
    equal((error.status_code, error.error.code), (403, "OperationFailed"))


@check
def a_role_on_the_group_without_data_actions_is_not_enough(azure):
    # The operator is Contributor: control plane only, as in Azure.
    error = raises(HttpResponseError, lambda: client(azure, secret(azure)).upload(azure.rule, STREAM, [row(8)]))
    equal(error.status_code, 403)


@check
def an_unknown_rule_is_a_404(azure):
    rule = "dcr-" + "0" * 32
    error = raises(HttpResponseError, lambda: client(azure).upload(rule, STREAM, [row(9)]))
    equal((error.status_code, error.error.code), (404, "NotFound"))


@check
def a_token_for_another_audience_is_a_401(azure):
    other = dict(credential_scopes=["https://management.azure.com/.default"])
    error = raises(HttpResponseError, lambda: client(azure, **other).upload(azure.rule, STREAM, [row(10)]))
    equal(error.status_code, 401)


@check
def nothing_that_arrived_would_have_been_cut(azure):
    equal(azure.report()["violations"], [])


@check
def a_column_that_nobody_declared_is_taken_and_remarked(azure):
    client(azure).upload(azure.rule, STREAM, [row(11, Undeclared=1)])
    equal(len(azure.report()["violations"]), 1)
