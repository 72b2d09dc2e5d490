#!/usr/bin/env python3
"""Writes artifacts as tools lay them out that cannot be installed everywhere: ormb, KitOps, Docker's
model runner and Ollama, from their documented layouts, into one OCI image layout.

usage: tools/artifact_fixtures.py DIR        prints {tag: {path: sha256}}, what a pull gives
"""

import gzip
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
WEIGHTS = hashlib.shake_128(b"weights").digest(300_000)


class Layout:
    """An image layout that grows by one tagged manifest at a time."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.manifests = []
        self.expected = {}
        (self.directory / "blobs/sha256").mkdir(parents=True)
        (self.directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, media_type, content, **annotations):
        digest = hashlib.sha256(content).hexdigest()
        (self.directory / "blobs/sha256" / digest).write_bytes(content)
        described = {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}
        return described | ({"annotations": annotations} if annotations else {})

    def add(self, tag, config, layers, files, media_type=OCI):
        manifest = {"schemaVersion": 2, "mediaType": media_type, "config": config,
                    "layers": layers}
        entry = self.blob(media_type, json.dumps(manifest).encode())
        entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
        self.manifests.append(entry)
        self.expected[tag] = {path: hashlib.sha256(content).hexdigest()
                              for path, content in files.items()}
        (self.directory / "index.json").write_text(json.dumps(
            {"schemaVersion": 2, "manifests": self.manifests}))


def tar(files, directories=()):
    """As Go's archive/tar writes it: owner, times and modes of the machine it was made on."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in directories:
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime, entry.uid, entry.uname = len(content), 1.5e9 + 0.25, 1000, "a"
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def add_ormb(layout):
    files = {"model/saved_model.pb": WEIGHTS[:1000], "model/variables/variables.index": b"index",
             "model/variables/" + "v" * 120 + ".data-00000-of-00001": WEIGHTS}
    metadata = {"author": "a", "format": "SavedModel", "framework": "TensorFlow",
                "directoryStructure": list(files)}
    layout.add("ormb", layout.blob("application/vnd.caicloud.model.config.v1alpha1+json",
                                   json.dumps(metadata).encode()),
               [layout.blob("application/tar+gzip", gzip.compress(tar(files)))], files)


def add_kitops(layout, tag, compress):
    kit = "application/vnd.kitops.modelkit."
    suffix = "+gzip" if compress else ""
    pack = gzip.compress if compress else bytes
    parts = {"model": {"model/model.safetensors": WEIGHTS}, "docs": {"README.md": b"# Model\n"},
             "code": {"src/run.py": b"print()\n"}, "dataset": {"data/train.csv": b"1,2\n"}}
    layers = [layout.blob(f"{kit}{kind}.v1.tar{suffix}",
                          pack(tar(files, {str(Path(path).parent) for path in files} - {"."})))
              for kind, files in parts.items()]
    kitfile = {"manifestVersion": "1.0.0", "model": {"path": "model"}}
    everything = {path: content for files in parts.values() for path, content in files.items()}
    layout.add(tag, layout.blob(f"{kit}config.v1+json", json.dumps(kitfile).encode()), layers,
               everything)


def add_docker(layout):
    docker = "application/vnd.docker.ai."
    config = layout.blob(docker + "model.config.v0.1+json", b'{"config":{"format":"gguf"}}')
    layout.add("docker-v1", config,
               [layout.blob(docker + "gguf.v3", WEIGHTS), layout.blob(docker + "mmproj", b"m"),
                layout.blob(docker + "license", b"Apache-2.0\n"),
                layout.blob(docker + "chat.template.jinja", b"{{ messages }}"),
                layout.blob(docker + "vllm.config.tar", tar({"config.json": b"{}"}))],
               {"model.gguf": WEIGHTS, "model.mmproj": b"m", "LICENSE": b"Apache-2.0\n",
                "template.jinja": b"{{ messages }}", "config.json": b"{}"})
    files = {"model.safetensors": WEIGHTS, "text_encoder/model.safetensors": WEIGHTS[:5000],
             "config.json": b"{}"}
    layers = [layout.blob(docker + ("safetensors" if path.endswith("safetensors") else
                                    "model.file"), content, **{"org.cncf.model.filepath": path})
              for path, content in files.items()]
    layout.add("docker-v2", layout.blob(docker + "model.config.v0.2+json", b"{}"), layers, files)


def add_ollama(layout):
    ollama = "application/vnd.ollama.image."
    config = layout.blob("application/vnd.docker.container.image.v1+json",
                         b'{"model_format":"gguf"}')
    layout.add("ollama", config,
               [layout.blob(ollama + "model", WEIGHTS), layout.blob(ollama + "template", b"{{ . }}"),
                layout.blob(ollama + "system", b"be kind"), layout.blob(ollama + "license", b"one"),
                layout.blob(ollama + "license", b"two"), layout.blob(ollama + "params", b"{}")],
               {"model.gguf": WEIGHTS, "template": b"{{ . }}", "system": b"be kind",
                "license": b"one", "license-2": b"two", "params.json": b"{}"}, DOCKER)


def main():
    layout = Layout(sys.argv[1])
    add_ormb(layout)
    add_kitops(layout, "kitops", compress=False)
    add_kitops(layout, "kitops-gzip", compress=True)
    add_docker(layout)
    add_ollama(layout)
    print(json.dumps(layout.expected))


if __name__ == "__main__":
    main()
