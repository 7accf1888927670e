"""Why a request is not served. Each maps to an HTTP status."""

from __future__ import annotations

from tapedeck_crds.errors import TapedeckError


class TokenRequired(TapedeckError):
    """The request has no token that the gateway knows."""

    http_status = 401
    reason = "TokenRequired"


class RequestDenied(TapedeckError):
    """Whoever asks may not ask for this."""

    http_status = 403
    reason = "RequestDenied"


class TooManyRequests(TapedeckError):
    """The client asks too often, or too much at a time. ``seconds`` is the time after which it may try again."""

    http_status = 429
    reason = "TooManyRequests"

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds
