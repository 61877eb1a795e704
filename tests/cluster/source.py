"""The source side of Flux, as far as a test needs it: source-controller cannot be built from what is served, so this stands
in its place between a git repository and the real kustomize-controller.

It does what source-controller does to a GitRepository: puts its finalizer on it, fetches the branch of `spec.ref` from
`spec.url` with git, packs the commit, serves the archive, and writes artifact and condition into the object's status. So what
is fetched is what the object in the cluster says, whoever wrote it; not at all while it is suspended. Secrets, includes and
signatures are not in here.
"""
import functools, hashlib, http.server, json, os, subprocess, threading, time

KIND = "gitrepositories.source.toolkit.fluxcd.io"
FINALIZER = "finalizers.fluxcd.io"


def git(*words, text=True):
    """What git says. With no settings of the machine's, and an author of its own."""
    settings = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_TERMINAL_PROMPT": "0"}
    for who in ("AUTHOR", "COMMITTER"):
        settings |= {f"GIT_{who}_NAME": "test", f"GIT_{who}_EMAIL": "test@git.example"}
    bare = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(["git", *words], check=True, capture_output=True, text=text, timeout=60, env=bare | settings).stdout


def serve(folder):
    """A web server over a folder, on a free port of loopback; and its address."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


class Repository:
    """A git repository of one branch, served over HTTP as plain files, which git calls the dumb protocol."""

    def __init__(self, folder):
        self.work, self.bare = f"{folder}/work", f"{folder}/served/fleet.git"
        git("init", "--quiet", "--initial-branch=main", self.work)
        git("init", "--quiet", "--bare", "--initial-branch=main", self.bare)
        self.server, address = serve(f"{folder}/served")
        self.url = f"{address}/fleet.git"

    def commit(self, files):
        """A commit with these files more, or less where the text is None; and how Flux writes its revision."""
        for name, text in files.items():
            path = f"{self.work}/{name}"
            if text is None:
                os.remove(path)
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write(text)
        git("-C", self.work, "add", "--all")
        git("-C", self.work, "commit", "--quiet", "--message", "As the test wants it")
        git("-C", self.work, "push", "--quiet", self.bare, "main")
        git("-C", self.bare, "update-server-info")
        return "main@sha1:" + git("-C", self.work, "rev-parse", "HEAD").strip()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Source:
    """`with Source(folder, kube):` looks after every GitRepository until the end; `kube` is a function like Scene.kube."""

    def __init__(self, folder, kube):
        self.folder, self.kube, self.over = folder, kube, threading.Event()
        os.makedirs(f"{folder}/artifacts")
        self.server, self.address = serve(f"{folder}/artifacts")
        self.thread = threading.Thread(target=self.work, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.server.shutdown()

    def work(self):
        while not self.over.wait(0.3):
            seen = self.kube("get", KIND, "-A", "-o", "json")
            for item in json.loads(seen)["items"] if seen.startswith("{") else []:
                self.look_after(item)

    def patch(self, item, body, *more):
        meta = item["metadata"]
        self.kube("patch", KIND, meta["name"], "-n", meta["namespace"], "--type=merge", "-p", json.dumps(body), *more)

    def look_after(self, item):
        meta, spec = item["metadata"], item["spec"]
        keep = [f for f in meta.get("finalizers", []) if f != FINALIZER]
        if "deletionTimestamp" in meta:
            self.patch(item, {"metadata": {"finalizers": keep}})
        elif FINALIZER not in meta.get("finalizers", []):
            self.patch(item, {"metadata": {"finalizers": [*keep, FINALIZER]}})
        elif not spec.get("suspend"):
            self.fetch(item)

    def fetch(self, item):
        meta, spec, was = item["metadata"], item["spec"], item.get("status", {})
        ready = {"type": "Ready", "observedGeneration": meta["generation"], "lastTransitionTime": now()}
        try:
            artifact = self.archive(spec["url"], spec.get("ref", {}).get("branch", "master"))
            ready |= {"status": "True", "reason": "Succeeded",
                      "message": f"stored artifact for revision '{artifact['revision']}'"}
        except subprocess.CalledProcessError as error:
            artifact = was.get("artifact")
            ready |= {"status": "False", "reason": "GitOperationFailed",
                      "message": error.stderr.strip()[-500:] or f"{spec['url']} has no such branch"}
        old = next((c for c in was.get("conditions", []) if c["type"] == "Ready"), {})
        if (artifact or {}).get("revision") == was.get("artifact", {}).get("revision") and all(
                old.get(field) == ready[field] for field in ready if field != "lastTransitionTime"):
            return
        status = {"observedGeneration": meta["generation"], "conditions": [ready], "artifact": artifact}
        self.patch(item, {"status": status}, "--subresource=status")

    def archive(self, url, branch):
        """The branch's newest commit as the artifact of a status; packed once."""
        head = git("ls-remote", "--exit-code", url, f"refs/heads/{branch}").split()[0]
        path = f"{self.folder}/artifacts/{head}.tar.gz"
        if not os.path.exists(path):
            clone = f"{self.folder}/clones/{head}"
            git("clone", "--quiet", "--branch", branch, url, clone)
            packed = git("-C", clone, "archive", "--format=tar.gz", head, text=False)
            with open(path, "wb") as f:
                f.write(packed)
        with open(path, "rb") as f:
            packed = f.read()
        return {"url": f"{self.address}/{head}.tar.gz", "path": f"{head}.tar.gz", "revision": f"{branch}@sha1:{head}",
                "digest": "sha256:" + hashlib.sha256(packed).hexdigest(), "size": len(packed), "lastUpdateTime": now()}


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
