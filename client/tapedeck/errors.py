"""The errors of the client. Each message says what was wrong and what to do.

All derive from ``ClientError``, and from the built-in error that a caller would expect.
"""

from __future__ import annotations


class ClientError(Exception):
    """The root of what the client raises on purpose.

    ``status`` is the HTTP status, 0 where no answer came; ``reason`` and ``field`` are those of the gateway's problem
    details (RFC 9457), empty where it gave none.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "", field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.field = field

    def __str__(self) -> str:
        """The message as it was given: LookupError's subclasses may quote it."""
        return str(self.args[0])


class BadRequest(ClientError, ValueError):
    """What was asked for cannot be: a parameter is wrong."""


class UnknownName(ClientError, LookupError):
    """Nothing has the requested name."""


class NotAuthorized(ClientError, PermissionError):
    """The gateway needs a token, or one with the right to control."""


class NameTaken(ClientError):
    """Something else has the name, or changed meanwhile."""


class GatewayUnavailable(ClientError, ConnectionError):
    """The gateway, or a service behind it, does not answer. Nothing was lost: try again.

    ``retry_after`` is the wait that the gateway asks for, seconds; None where it asks for none.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "", field: str = "") -> None:
        super().__init__(message, status=status, reason=reason, field=field)
        self.retry_after: float | None = None


class UnexpectedAnswer(ClientError):
    """Something answers that is no gateway of Tapedeck, or one of another version."""


class DeckNotFound(ClientError, LookupError):
    """No deck runs on this machine where it was looked for."""


class DeckNotLocal(ClientError):
    """The call works on files of this machine, and the deck is on another one."""


class CommandFailed(ClientError):
    """The command line `tapedeck` failed, or is not installed."""


class WorkFailed(ClientError, RuntimeError):
    """A replay, a backtest or a sweep failed."""


class StrategySourceMissing(ClientError, ValueError):
    """The source of a strategy cannot be sent: Python does not have it, or it uses what cannot be sent with it."""


class PackageMissing(ClientError, ImportError):
    """A conversion needs a package that is not installed."""


class WaitTimeout(ClientError, TimeoutError):
    """What was waited for did not happen in time. It continues."""
