"""A real API server with its etcd on the loopback, without kubelet and controllers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import ssl
import subprocess
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import yaml

from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.download_cache import cache_dir
from tapedeck_deck.embedded.ports import free_port
from waits import eventually

RIG_BIN = Path(os.environ.get("RIG_BIN") or cache_dir() / "rig/bin")


def missing_binaries(*others: str) -> list[str]:
    """The binaries that are missing; the tests of the API server need them all."""
    return [name for name in ("etcd", "kube-apiserver", *others) if not (RIG_BIN / name).exists()]


@dataclass
class KubeApi:
    """An API server. User ``admin`` has all rights; ``kubeconfig`` is that user's.

    With ``audited`` it logs the requests of that user to ``audit``, one JSON object (audit.k8s.io Event) per line.
    """

    folder: Path
    port: int = 0
    audited: str = ""
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def audit(self) -> Path:
        return self.folder / "audit.log"

    def start(self) -> None:
        """Start etcd and the API server; returns when the API is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        self._client_port, self._peer_port = free_port(), free_port()
        _make_keys(self.folder)
        self.write_kubeconfig(self.kubeconfig, "admin", self.url)
        self._start_etcd()
        self.start_server()

    def write_kubeconfig(self, path: Path, user: str, url: str) -> None:
        """Write a kubeconfig for a user with a certificate of ``_make_keys``."""
        keys = self.folder
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": url, "certificate-authority": str(keys / "ca.crt")}}],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate": str(keys / f"{user}.crt"),
                        "client-key": str(keys / f"{user}.key"),
                    },
                }
            ],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": user}}],
            "current-context": "c",
        }
        path.write_text(yaml.safe_dump(document))

    def client(self, user: str = "admin") -> httpx.Client:
        """A client authenticated as a user."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        context.load_cert_chain(self.folder / f"{user}.crt", self.folder / f"{user}.key")
        return httpx.Client(base_url=self.url, verify=context, timeout=120.0, trust_env=False)

    def start_server(self) -> None:
        """Start the API server alone, after ``kill_server``."""
        keys = self.folder
        self._run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._client_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={keys}/apiserver.crt",
            f"--tls-private-key-file={keys}/apiserver.key",
            f"--client-ca-file={keys}/ca.crt",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={keys}/sa.pub",
            f"--service-account-signing-key-file={keys}/sa.key",
            "--service-cluster-ip-range=10.98.0.0/16",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            "--profiling=false",
            *self._auditing(),
        )
        with self.client() as client:

            def ready() -> bool:
                with contextlib.suppress(httpx.HTTPError):
                    return client.get("/readyz").status_code == httpx.codes.OK and _has_default(client)
                return False

            server, log = self._processes["kube-apiserver"], self.folder / "kube-apiserver.log"
            processes.wait_ready("kube-apiserver", server, ready, log=log, poll=0.1)

    def _auditing(self) -> list[str]:
        if not self.audited:
            return []
        policy = self.folder / "audit.yaml"
        rules = [{"level": "Metadata", "users": [self.audited]}, {"level": "None"}]
        stages = {"omitStages": ["RequestReceived"]}
        policy.write_text(yaml.safe_dump({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules} | stages))
        return [f"--audit-policy-file={policy}", f"--audit-log-path={self.audit}"]

    def start_controllers(self) -> None:
        """Run the Job and garbage-collector controllers; without a scheduler the pods stay pending."""
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            "--controllers=job-controller,garbage-collector-controller",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={free_port()}",
        )

    def kill_server(self) -> None:
        """Kill the API server; etcd keeps running."""
        _end(self._processes.pop("kube-apiserver"), signal.SIGKILL)

    def stop(self) -> None:
        for process in self._processes.values():
            _end(process, signal.SIGKILL)
        self._processes.clear()

    def _start_etcd(self) -> None:
        client, peer = f"http://127.0.0.1:{self._client_port}", f"http://127.0.0.1:{self._peer_port}"
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)
        self._run(
            "etcd",
            "--name=test",
            f"--data-dir={self.folder}/etcd",
            "--unsafe-no-fsync",
            "--log-level=error",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=test={peer}",
        )

    def _run(self, name: str, *arguments: str) -> None:
        self._processes[name] = processes.start([RIG_BIN / name, *arguments], log=self.folder / f"{name}.log")


def apply(client: httpx.Client, path: str, document: dict[str, Any], status: int = 200) -> dict[str, Any]:
    """Server-side apply of a document at a path."""
    answer = client.patch(
        path,
        params={"fieldManager": "test", "force": "true"},
        headers={"content-type": "application/apply-patch+yaml"},
        content=yaml.safe_dump(document),
    )
    assert answer.status_code in (status, 201), answer.text
    body: dict[str, Any] = answer.json()
    return body


def install_crds(client: httpx.Client, crds: list[dict[str, Any]]) -> None:
    """Install CRDs and wait until each is served."""
    for document in crds:
        name = document["metadata"]["name"]
        apply(client, f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}", document)
    for document in crds:
        path = f"/apis/tapedeck.dev/v1alpha1/{document['spec']['names']['plural']}"
        eventually(partial(_served, client, path), what=f"{path} to be served")


def _served(client: httpx.Client, path: str) -> bool:
    return client.get(path).status_code == httpx.codes.OK


def _has_default(client: httpx.Client) -> bool:
    return client.get("/api/v1/namespaces/default").status_code == httpx.codes.OK


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    process.send_signal(how)
    processes.wait_exit(process, 20)


def _make_keys(folder: Path) -> None:
    def run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run(
        "req", "-x509", *curve, "-days", "2", "-subj", "/CN=test-ca", "-keyout", "ca.key", "-out", "ca.crt",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    run("genrsa", "-out", "sa.key", "2048")
    run("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")
    for name, subject, usage in (
        ("apiserver", "/CN=kube-apiserver", "serverAuth\nsubjectAltName=IP:127.0.0.1,DNS:localhost"),
        ("admin", "/O=system:masters/CN=admin", "clientAuth"),
        ("operator", "/CN=tapedeck-operator", "clientAuth"),
    ):
        (folder / f"{name}.ext").write_text(
            f"basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage={usage}\n"
        )
        run("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        run(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt",
        )  # fmt: skip
