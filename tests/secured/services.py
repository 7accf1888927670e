"""Keys and chart values for a broker with SASL_SSL and ACLs and a database with TLS."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from pathlib import Path

from release import external_values, kubectl
from tapedeck_crds.json import Json

ADMIN = {"username": "admin", "password": "a-only-for-tests"}  # of the broker; it creates the users of the workloads
# With characters that have a meaning in URLs, shells and properties files.
GIVEN = {"replay": {"username": "replay", "password": "replay/only&for tests"}}


class Authority:
    """A certificate authority with its files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run(
            "req", "-x509", *_KEY, "-days", "2", "-subj", "/CN=tests", "-keyout", "ca.key", "-out", "ca.crt",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
        )  # fmt: skip
        self.certificate = (folder / "ca.crt").read_text()

    def server(self, host: str) -> dict[str, str]:
        """Key and certificate of a server, by the names of a Secret of type kubernetes.io/tls."""
        (self._folder / "server.ext").write_text(
            f"basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:{host}\n"
        )
        self._run("req", *_KEY, "-subj", f"/CN={host[:64]}", "-keyout", "server.key", "-out", "server.csr")
        self._run(
            "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "server.ext", "-out", "server.crt",
        )  # fmt: skip
        return {f"tls.{end}": (self._folder / f"server.{end}").read_text() for end in ("crt", "key")}

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self._folder)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def apply_secrets(namespace: str, authority: Authority) -> None:
    """Create the Secrets that turn TLS and users on in the services of tests/e2e/images, before they start."""
    for name, data in (
        ("kafka-tls", authority.server(f"kafka.{namespace}.svc")),
        ("timescaledb-tls", authority.server(f"timescaledb.{namespace}.svc")),
        ("kafka-users", {ADMIN["username"]: ADMIN["password"]}),
    ):
        encoded = {key: b64encode(value.encode()).decode() for key, value in data.items()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}
        kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(secret))


def secured_values(namespace: str, authority: Authority, namespaces: dict[str, list[str]]) -> Json:
    """Chart values for SASL_SSL with SCRAM, TLS verify-full, and a user for each workload, also of ``namespaces``."""
    plain = external_values(namespace)
    return {
        "connections": {"namespaces": namespaces},
        "kafka": plain["kafka"]
        | {
            "securityProtocol": "SASL_SSL",
            "saslMechanism": "SCRAM-SHA-512",
            "ca": authority.certificate,
            "createUsers": True,
            "users": GIVEN | {"migrate": ADMIN},
        },
        "store": plain["store"] | {"sslMode": "verify-full", "ca": authority.certificate},
    }
