"""What an operator might tell Gatekeeper: that objects of a kind need a label `owner`."""
from scene import until

TEMPLATE = """
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: needowner}
spec:
  crd: {spec: {names: {kind: NeedOwner}}}
  targets:
  - target: admission.k8s.gatekeeper.sh
    rego: |
      package needowner
      violation[{"msg": msg}] {
        not input.review.object.metadata.labels.owner
        msg := sprintf("%v %v has no owner", [input.review.kind.kind, input.review.object.metadata.name])
      }
"""


def refused(name, kind, who):
    """How Gatekeeper says that by the constraint `name` an object `who` may not be."""
    return f'admission webhook "validation.gatekeeper.sh" denied the request: [{name}] {kind} {who} has no owner'


class Constraints:
    """`with Constraints(scene) as constraints`: takes the template and with it all constraints away at the end."""

    def __init__(self, scene):
        self.check, self.kube = scene.check, scene.kube

    def __enter__(self):
        self.kube("apply", "-f", "-", text=TEMPLATE)
        self.becomes("Gatekeeper takes the template up", "true", "constrainttemplate", "needowner", "{.status.created}")
        return self

    def __exit__(self, *_):
        self.kube("delete", "constrainttemplate", "needowner")

    def becomes(self, name, wanted, kind, which, path):
        good, seen = until(lambda: self.kube("get", kind, which, "-o", f"jsonpath={path}"), lambda s: s == wanted)
        self.check(name, good, seen)

    def demand(self, name, group, kind, namespace):
        """A constraint of this name, in force."""
        text = (f"apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: NeedOwner\nmetadata: {{name: {name}}}\n"
                f"spec: {{match: {{namespaces: [{namespace}], kinds: [{{apiGroups: ['{group}'], kinds: [{kind}]}}]}}}}\n")
        # Its kind is served a moment after the template is there.
        until(lambda: self.kube("apply", "-f", "-", text=text), lambda s: not s.startswith("kubectl failed"))
        self.becomes(f"Gatekeeper enforces that every {kind} of {namespace} has an owner", "true", "needowner", name,
                     "{.status.byPod[0].enforced}")

    def lift(self, name):
        self.kube("delete", "needowner", name)
