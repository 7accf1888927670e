"""The form in which Postgres stores a password (RFC 5803), computed here: a statement with it discloses nothing."""

from __future__ import annotations

import hmac
import secrets
from base64 import b64encode
from hashlib import pbkdf2_hmac, sha256

ITERATIONS = 4096  # Postgres's own default


def scram_verifier(password: str) -> str:
    """The verifier of an ASCII password, with a random salt."""
    salt = secrets.token_bytes(16)
    salted = pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    stored = sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded_salt, encoded_stored, encoded_server = (b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ITERATIONS}:{encoded_salt}${encoded_stored}:{encoded_server}"
