"""The key with which a run signs its results. The operator derives it for the run, and the recorder again."""

from __future__ import annotations

import hmac
from hashlib import sha256


def run_key(results_key: bytes, namespace: str, uid: str) -> str:
    """The key of a run: hex HMAC-SHA-256 of its namespace and uid under the key of all results."""
    return hmac.new(results_key, f"{namespace}/{uid}".encode(), sha256).hexdigest()
