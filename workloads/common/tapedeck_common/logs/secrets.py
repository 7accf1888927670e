"""No line of a log holds a secret: what a program reads as one is replaced, also in the errors of libraries."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

SHOWN = "***"
SHORTEST = 4  # characters: shorter ones stand in many words
_PATTERNS = (
    (re.compile(r"(\w://[^\s/@:]*:)[^\s/@]+(?=@)"), rf"\1{SHOWN}"),  # a URI with a password
    (re.compile(r"((?:password|passwd|secret|token|api_?key|signature)=)[^\s&;,\"'\\]+", re.IGNORECASE), rf"\1{SHOWN}"),
    (re.compile(r"\b((?:Bearer|Basic) )[\w.~+/=-]{8,}"), rf"\1{SHOWN}"),
)
_secrets: set[str] = set()


def hide_secret(secret: str) -> None:
    """Show this text in no line from now on, nor as JSON or an URI holds it."""
    if len(secret) >= SHORTEST:
        _secrets.update((secret, quote(secret, safe=""), json.dumps(secret)[1:-1]))


def without_secrets(line: str) -> str:
    """The line with each secret replaced."""
    for secret in sorted(_secrets, key=len, reverse=True):
        line = line.replace(secret, SHOWN)
    for pattern, shown in _PATTERNS:
        line = pattern.sub(shown, line)
    return line
