"""The device: the API server in memory, and the real arclet as an operator's commands start, ask and end it.

Nothing here knows what is checked, and nothing waits for a time: `until` looks until it sees what is wanted."""

import base64
import json
import os
import re
import ssl
import subprocess
import time
import urllib.error
import urllib.request

# A hang guard, not a measurement: what has not happened by then will not happen.
PATIENCE = 60
# What takes minutes on a device takes seconds here.
HASTE = """
[retry]
first = "100ms"
longest = "1s"
refused = "1s"
[control]
socket = "{home}/arclet.sock"
status-file = "{home}/status.json"
"""


def until(look, wanted):
    """What `look` sees once it is as wanted; fails with what it saw at last."""
    end = time.monotonic() + PATIENCE
    while not wanted(seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"not seen in {PATIENCE} s, but {seen!r}")
        time.sleep(0.1)
    return seen


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


class Device:
    """Its cluster runs as long as this does; `arclet run` from `start` to `end`."""

    def __init__(self, arclet, cluster, azure, directory):
        self.arclet, self.azure, self.home = arclet, azure, directory
        self.kubeconfig, self.config = f"{directory}/kubeconfig", f"{directory}/etc/arclet.toml"
        self.agent = None
        command = [cluster, "--flux", "--helm", self.kubeconfig]
        self.cluster = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.server = self.cluster.stdout.readline().strip()
        text = open(self.kubeconfig).read()
        field = lambda name: re.search(rf"{name}: (\S+)", text).group(1)
        self.token = field("token")
        authority = base64.b64decode(field("certificate-authority-data")).decode()
        self.tls = ssl.create_default_context(cadata=authority)
        for name in ("device", "operator"):
            with open(os.open(f"{directory}/{name}-secret", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(getattr(azure, name)["secret"])

    def close(self):
        """Ends what is still running."""
        for process in (self.agent, self.cluster):
            if process and process.poll() is None:
                process.kill()
                process.wait()

    def kube(self, path):
        """What the API server has there, by the administrator's token; None if it has nothing."""
        request = urllib.request.Request(self.server + path, headers={"Authorization": f"Bearer {self.token}"})
        try:
            with urllib.request.urlopen(request, context=self.tls, timeout=PATIENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def operator(self):
        return ["--operator-client-id", self.azure.operator["client"], "--operator-client-secret-file",
                f"{self.home}/operator-secret", "--kubeconfig", self.kubeconfig, "--yes"]  # fmt: skip

    def connect(self, *more):
        """`arclet connect`, and what it says."""
        a, home = self.azure, self.home
        return run(self.arclet, "connect", "--cluster-id", a.cluster, "--tenant", a.tenant,
                   "--client-id", a.device["client"], "--client-secret-file", f"{home}/device-secret",
                   "--dcr-endpoint", a.ingest, "--dcr-id", a.rule, "--login-endpoint", a.login, "--arm-endpoint", a.arm,
                   "--ca-file", a.ca, "--config-dir", f"{home}/etc", "--state-dir", f"{home}/state",
                   "--unit-dir", f"{home}/units", *self.operator(), *more)  # fmt: skip

    def hurry(self):
        """Changes the configuration that `connect` wrote in its intervals, and its socket's place, only."""
        text = open(self.config).read()
        text = text.replace("[desired]\n", '[desired]\npull-interval = "300ms"\nenforce-interval = "1s"\n')
        with open(self.config, "w") as file:
            file.write(text + HASTE.format(home=self.home))

    def start(self):
        self.agent = subprocess.Popen([self.arclet, "run", "--config", self.config], stderr=open(f"{self.home}/log", "w"))

    def end(self):
        """Ends it as systemd does, and returns its exit code."""
        self.agent.terminate()
        return self.agent.wait(PATIENCE)

    def document(self, name):
        """What `arclet desired -o json` says of a document, or {}."""
        answer = run(self.arclet, "desired", "--config", self.config, "-o", "json").stdout
        documents = json.loads(answer)["documents"] if answer.startswith("{") else []
        return next((d for d in documents if d["document"] == name), {})

    def doctor(self, vault=None):
        """Exit code of `arclet doctor`, its first failure, and its checks by name; with another vault's address on wish."""
        config = self.config
        if vault:
            config = f"{self.home}/other.toml"
            with open(config, "w") as file:
                file.write(open(self.config).read().replace(self.azure.vault, vault))
        done = run(self.arclet, "doctor", "--config", config, "-o", "json")
        report = json.loads(done.stdout)
        return done.returncode, report["firstFailure"], {check["name"]: check for check in report["checks"]}
