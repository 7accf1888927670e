"""The errors that end a run. Interrupted, and Unavailable for a broker that does not answer, are shared."""

from __future__ import annotations

from tapedeck_crds.errors import EXIT_BAD_INPUT, TapedeckError


class RunFailed(TapedeckError):
    """The run cannot succeed, and a retry cannot help. ``reason`` is a CamelCase word for machines.

    Not an InvalidInput, which is a ValueError: code that parses a stream must not take it for a malformed record.
    """

    exit_code = EXIT_BAD_INPUT

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason=reason)
        self.message = message


class StrategyKilled(TapedeckError):
    """SIGKILL ended the strategy's process. Whoever sent it, the run has not ended: another pod starts it again."""

    exit_code = 137  # 128 plus the signal's number, as in a shell
    reason = "Killed"


class PodGone(EOFError):
    """The pod has closed the pipe to the strategy's process, which has nothing more to do."""
