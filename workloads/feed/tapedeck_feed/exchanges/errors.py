"""Errors of exchange adapters, by what the caller does about them: correct the spec, retry, or report."""

from __future__ import annotations

from tapedeck_crds.errors import InvalidInput, TapedeckError, Unavailable


class InvalidFeedInput(InvalidInput):
    """The spec or a Secret is wrong for this exchange, so a retry cannot help. ``reason`` is a CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason=reason)


class ExchangeUnreachable(Unavailable):
    """The exchange did not respond, or limits the request rate. ``retry_after`` is the delay it requires, seconds."""

    reason = "Unreachable"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class ExchangeRequestFailed(TapedeckError):
    """The exchange responded, but rejected the request, or its response cannot be parsed."""

    reason = "Refused"


class SubscriptionLost(Unavailable):
    """A subscription ended after it had delivered messages: what it missed since must be recovered."""


ADAPTER_ERRORS = (ExchangeUnreachable, ExchangeRequestFailed, InvalidFeedInput)
"""Every error that a request of an adapter raises."""
