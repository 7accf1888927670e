"""How a run can end early."""

from __future__ import annotations


class RunFailed(Exception):
    """The run can't be done, and trying again can't help. ``reason`` is a CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Unavailable(Exception):
    """The broker gives or takes nothing: trying again may help."""


class Interrupted(Exception):
    """The pod was asked to end before the run was over."""
