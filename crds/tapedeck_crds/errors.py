"""The root of every error that Tapedeck raises on purpose, with the exit code and the HTTP status that it maps to.

A room derives its own errors from the class that tells its caller what to do: correct the input, try again, or stop. An
exception that is not a TapedeckError is a bug: it ends a pod with a report of its place, and a request with status 500.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_FAILED = 1  # trying again may help
EXIT_BAD_INPUT = 64  # a Job's index fails at once: trying again cannot help
EXIT_FENCED = 75  # a successor has taken over; trying again is harmless


class TapedeckError(Exception):
    """``exit_code`` ends a process that cannot go on, ``http_status`` answers a request that cannot be served."""

    exit_code: ClassVar[int] = EXIT_FAILED
    http_status: ClassVar[int] = 500


class InvalidInput(TapedeckError, ValueError):
    """What a user wrote is wrong. The message names the field, the value, what was expected and what to do."""

    exit_code = EXIT_BAD_INPUT
    http_status = 400


class NotFound(TapedeckError, LookupError):
    """Nothing has the name that was asked for."""

    http_status = 404

    def __str__(self) -> str:
        """The message as it was given: LookupError's subclasses may quote it."""
        return str(self.args[0]) if self.args else ""


class Conflict(TapedeckError):
    """Something else holds the name, or changed what this was based on."""

    http_status = 409


class Unavailable(TapedeckError):
    """A service does not answer. Try again later: nothing was lost."""

    http_status = 503


class Fenced(TapedeckError):
    """A successor has taken over what this process held, so this one must stop."""

    exit_code = EXIT_FENCED
    http_status = 409


class Interrupted(TapedeckError):
    """The process was asked to stop before it had finished."""

    exit_code = 0
    http_status = 503
