"""The root of every error that Tapedeck raises on purpose, with the exit code and the HTTP status that it maps to.

A room derives its own errors from the class that tells its caller what to do: correct the input, try again, or stop. An
exception that is not a TapedeckError is a bug: it ends a pod with a report of its place, and a request with status 500.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

CAUSES_MAX = 10
EXIT_FAILED = 1  # trying again may help
EXIT_BAD_INPUT = 64  # a Job's index fails at once: trying again cannot help
EXIT_FENCED = 75  # a successor has taken over; trying again is harmless


class TapedeckError(Exception):
    """``exit_code`` ends a process that cannot go on, ``http_status`` answers a request that cannot be served.

    ``reason`` is one CamelCase word for conditions and reports: the class's, unless the raiser gives another.
    """

    exit_code: ClassVar[int] = EXIT_FAILED
    http_status: ClassVar[int] = 500
    reason: str = "Failed"

    def __init__(self, *args: object, reason: str = "") -> None:
        super().__init__(*args)
        if reason:
            self.reason = reason


class InvalidInput(TapedeckError, ValueError):
    """What a user wrote is wrong. The message names the field, the value, what was expected and what to do."""

    exit_code = EXIT_BAD_INPUT
    http_status = 400
    reason = "InvalidInput"


class NotFound(TapedeckError, LookupError):
    """Nothing has the requested name."""

    http_status = 404
    reason = "NotFound"

    def __str__(self) -> str:
        """The message as it was given: LookupError's subclasses may quote it."""
        return str(self.args[0]) if self.args else ""


class Conflict(TapedeckError):
    """Something else holds the name, or changed what this was based on."""

    http_status = 409
    reason = "Conflict"


class TooLarge(TapedeckError):
    """What a user sent is larger than what is taken."""

    exit_code = EXIT_BAD_INPUT
    http_status = 413
    reason = "TooLarge"


class NoSpace(TapedeckError):
    """A disk has no room for what a user sent."""

    http_status = 507
    reason = "NoSpace"


class Unavailable(TapedeckError):
    """A service does not answer. Try again later: nothing was lost."""

    http_status = 503
    reason = "Unavailable"


class Fenced(TapedeckError):
    """A successor has taken over what this process held, so this one must stop."""

    exit_code = EXIT_FENCED
    http_status = 409
    reason = "Fenced"


class Interrupted(TapedeckError):
    """The process was stopped before it had finished. Its exit code makes a Job start the next pod."""

    http_status = 503
    reason = "Interrupted"


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what caused it, what caused that, and so on, CAUSES_MAX at most."""
    for _ in range(CAUSES_MAX):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
