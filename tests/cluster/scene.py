"""What the scripts of desired state share: the real agent between the Azure stand-in and the API server of KUBECONFIG,
connected as an operator would do it, and a line per check. Ends what it started, by process id."""
import copy, json, os, ssl, subprocess, sys, tempfile, time, urllib.parse, urllib.request

# A hang guard, not a measurement: what has not happened by then will not happen.
PATIENCE = 60


def run(*command, text=None):
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, input=text)


def until(look, wanted, patience=PATIENCE):
    """What `look` saw when it was as wanted, or at last; and whether it was."""
    end = time.monotonic() + patience
    while True:
        seen = look()
        if wanted(seen) or time.monotonic() > end:
            return wanted(seen), seen
        time.sleep(0.2)


class Scene:
    """`with Scene(arclet, standin, kubectl, namespace) as scene`."""

    def __init__(self, arclet, standin, kubectl, namespace):
        self.arclet, self.standin, self.kubectl = (os.path.abspath(path) for path in (arclet, standin, kubectl))
        self.kubeconfig, self.namespace = os.environ["KUBECONFIG"], namespace
        self.passed = self.failed = 0
        self.agent = None

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="arclet-scene-")
        self.home = self.folder.name
        self.azure = subprocess.Popen([self.standin, self.home], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.at = json.loads(self.azure.stdout.readline())
        return self

    def __exit__(self, *_):
        for process in (self.agent, self.azure):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        self.folder.cleanup()

    def beside(self, device):
        """A second device of the same cluster: this service principal, directories of its own, the same Azure. Its checks
        count here; whoever asks for it ends its agent."""
        other = copy.copy(self)
        other.home, other.agent, other.check = f"{self.home}/{device['client']}", None, self.check
        other.at = {**self.at, "device": device}
        os.mkdir(other.home)
        return other

    def check(self, name, good, detail=""):
        print(f"{'ok    ' if good else 'FAILED'} {name}{'' if good else ': ' + str(detail)}", flush=True)
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)

    def kube(self, *words, text=None):
        """What kubectl says; where it fails, nothing that could be taken for an absence."""
        done = run(self.kubectl, "--kubeconfig", self.kubeconfig, "-n", self.namespace, *words, text=text)
        return done.stdout.strip() if done.returncode == 0 else f"kubectl failed, arclet and all else unseen: {done.stderr}"

    def operator(self):
        return ["--operator-client-id", self.at["operator"]["client"],
                "--operator-client-secret-file", f"{self.home}/operator-secret", "--kubeconfig", self.kubeconfig, "--yes"]

    def connect(self, what):
        """`connect` with this switch, and what takes minutes on a device taking seconds here."""
        a, home = self.at, self.home
        for name in ("device", "operator"):
            with open(os.open(f"{home}/{name}-secret", os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
                f.write(a[name]["secret"])
        made = run(self.arclet, "connect", "--cluster-id", a["cluster"], "--tenant", a["tenant"],
                   "--client-id", a["device"]["client"], "--client-secret-file", f"{home}/device-secret",
                   "--dcr-endpoint", a["ingest"], "--dcr-id", a["rule"], "--login-endpoint", a["login"],
                   "--arm-endpoint", a["arm"], "--ca-file", a["ca"], "--config-dir", f"{home}/etc",
                   "--state-dir", f"{home}/state", "--unit-dir", f"{home}/units", f"--{what}", *self.operator())
        self.check(f"connect --{what}", made.returncode == 0, made.stdout + made.stderr)
        config = open(f"{home}/etc/arclet.toml").read()
        config = config.replace(f"{what} = true", f'{what} = true\npull-interval = "500ms"\nenforce-interval = "1s"')
        config += '\n[retry]\nfirst = "100ms"\nlongest = "1s"\nrefused = "1s"\n'
        config += f'[control]\nsocket = "{home}/arclet.sock"\nstatus-file = "{home}/status.json"\n'
        with open(f"{home}/etc/arclet.toml", "w") as f:
            f.write(config)

    def start(self):
        self.agent = subprocess.Popen([self.arclet, "run", "--config", f"{self.home}/etc/arclet.toml"],
                                      stderr=open(f"{self.home}/log", "w"))

    def ask(self, *words):
        """What the arclet of this scene answers to a command."""
        return run(self.arclet, *words, "--config", f"{self.home}/etc/arclet.toml").stdout

    def desired(self, name=None):
        """The first document of `arclet desired -o json`, or that of this name, or {}."""
        answer = self.ask("desired", "-o", "json")
        documents = json.loads(answer).get("documents") if answer.startswith("{") else None
        return next((d for d in documents or [] if name in (None, d["document"])), {})

    def becomes(self, name, state, more=lambda document: True, document=None):
        good, seen = until(lambda: self.desired(document), lambda d: d.get("state") == state and more(d))
        self.check(name, good, seen)

    def told(self, wanted):
        """Whether a row about desired state that is as wanted reached Azure, and the last ones that did."""
        good, rows = until(lambda: self.tell({"rows": "Custom-ArcletConfig"})["rows"], lambda rows: any(map(wanted, rows)))
        return good, rows[-3:]

    def call(self, method, url, body=None, **headers):
        context = ssl.create_default_context(cafile=self.at["ca"])
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        with urllib.request.urlopen(request, context=context, timeout=PATIENCE) as answer:
            return answer.status, answer.read()

    def arm(self, method, child, version, body=None):
        """As the operator: one child of the cluster, `fluxConfigurations/NAME`."""
        a = self.at
        form = {"grant_type": "client_credentials", "client_id": a["operator"]["client"],
                "client_secret": a["operator"]["secret"], "scope": "https://management.azure.com/.default"}
        form = urllib.parse.urlencode(form).encode()
        token = json.loads(self.call("POST", f"{a['login']}/{a['tenant']}/oauth2/v2.0/token", form)[1])["access_token"]
        url = (f"{a['arm']}{a['cluster']}/providers/Microsoft.KubernetesConfiguration/{child}?api-version={version}")
        bearer = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self.call(method, url, None if body is None else json.dumps(body).encode(), **bearer)[0]

    def tell(self, command):
        """One command of the stand-in's, and its answer."""
        self.azure.stdin.write(json.dumps(command) + "\n")
        self.azure.stdin.flush()
        return json.loads(self.azure.stdout.readline())

    def finish(self):
        """Ends the agent, takes back what connect made, and reads what the stand-in was told."""
        self.agent.terminate()
        self.check("SIGTERM ends it cleanly", self.agent.wait(PATIENCE) == 0, open(f"{self.home}/log").read()[-2000:])
        gone = run(self.arclet, "disconnect", "--config-dir", f"{self.home}/etc", *self.operator())
        self.check("disconnect undoes it", gone.returncode == 0, gone.stdout + gone.stderr)
        kinds = "clusterroles,clusterrolebindings,roles,rolebindings"
        left = self.kube("get", kinds, "-l", "app.kubernetes.io/managed-by=arclet", "-o", "name", "-A")
        self.check("nothing of arclet is left in the cluster's roles", "arclet" not in left, left)
        out, _ = self.azure.communicate(timeout=PATIENCE)
        told = json.loads(out.strip().splitlines()[-1])
        self.check("what was told of it fits the template", told["violations"] == [] and told["arrived"] > 0, told)
