"""A chart for extensions: its bytes, and where it is found."""

import base64
import gzip
import hashlib
import io
import tarfile

from standin import equal

LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
VERSIONS = ("1.0.0", "1.1.0")


def packed(version):
    """A packed chart, always in the same bytes."""
    data, text = io.BytesIO(), f"apiVersion: v2\nname: mon\nversion: {version}\n".encode()
    with gzip.GzipFile(fileobj=data, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        entry = tarfile.TarInfo("mon/Chart.yaml")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return data.getvalue()


def digest(version):
    return hashlib.sha256(packed(version)).hexdigest()


def published(azure):
    """Pushes every version to the stand-in's registry, and returns a catalogue of them."""
    host, catalogue = azure.registry.split("://")[1], ""
    for version in VERSIONS:
        content = base64.b64encode(packed(version)).decode()
        chart = {"repository": "charts/mon", "tag": version, "media_type": LAYER, "content": content}
        equal(azure.command("artefact", chart)["layer"], f"sha256:{digest(version)}")
        catalogue += f'[[chart]]\ntype = "contoso.monitor"\nversion = "{version}"\ndigest = "sha256:{digest(version)}"\n'
        catalogue += f'chart = "oci://{host}/charts/mon:{version}"\n'
    return catalogue
