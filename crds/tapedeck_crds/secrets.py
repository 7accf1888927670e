"""The Secrets that a resource may name, and their keys: no others are mounted."""

from __future__ import annotations

import re

FILE_CREDENTIALS = ("access_key", "secret_key", "session_token", "endpoint", "region")
EXCHANGE_KEYS = ("apiKey", "secret", "password")
OWN_SECRETS = r"^(tapedeck-.*|(feed|replay|backtest)-.+-[0-9a-f]{8})$"
"""Names of Tapedeck's own Secrets: its connections, and the keys of a resource's controls."""


def is_own_secret(name: str) -> bool:
    """Whether a Secret is one of Tapedeck's own by its name."""
    return re.fullmatch(OWN_SECRETS, name) is not None
