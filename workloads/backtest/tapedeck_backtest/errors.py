"""How a run can end early."""

from __future__ import annotations

from tapedeck_crds.errors import InvalidInput


class RunFailed(InvalidInput):
    """The run cannot be done, and trying again cannot help. ``reason`` is one CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason=reason)
        self.message = message
