"""A private embedded deck for a script, a test run or CI: started at the beginning of a block, gone at its end."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from tapedeck.client import TapedeckClient, connect
from tapedeck.command import command_path, run_command
from tapedeck.errors import CommandFailed
from tapedeck.sync_async import in_thread

END_SECONDS = 120.0  # for the deck to stop
GUARD = Path(__file__).with_name("deck_guard.py")  # by its path: it also runs where the package is not installed


def deck(home: str | Path | None = None, *, timeout: float | None = None) -> PrivateDeck:
    """An embedded deck, for a ``with`` block that gets its client.

    Its folder is a temporary one, which is removed at the end; that in ``home`` is kept with its data. The deck ends
    with the block, and also where the program is killed. ``timeout`` is for the start, seconds; by default it waits
    while the deck makes progress. Raises CommandFailed where the deck does not start, or is not installed.

        with tapedeck.deck() as td:
            td.import_files("prices.csv", exchange="mine")
    """
    return PrivateDeck(home, timeout)


class PrivateDeck:
    """The context manager of ``tapedeck.deck()``, also for ``async with``."""

    def __init__(self, home: str | Path | None, timeout: float | None) -> None:
        self._given = None if home is None else Path(home).expanduser().resolve()
        self._timeout = timeout
        self._guard: subprocess.Popen[bytes] | None = None
        self._client: TapedeckClient | None = None

    def __enter__(self) -> TapedeckClient:
        command = command_path()
        folder = self._given or Path(tempfile.mkdtemp(prefix="tapedeck-"))
        home = folder if self._given else folder / "deck"
        removed = [] if self._given else [str(folder)]
        # It ends the deck when this process closes the pipe, however it ends.
        self._guard = subprocess.Popen(
            [sys.executable, "-I", GUARD, command, str(home), *removed],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            run_command(home, ["up", *([] if self._timeout is None else ["--timeout", f"{self._timeout:g}"])])
            self._client = connect(home=home)
        except BaseException:
            self._end()
            raise
        return self._client

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    async def __aenter__(self) -> TapedeckClient:
        return await in_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await in_thread(self._end)

    def _end(self) -> None:
        if self._client is not None:
            self._client.close()
        if self._guard is None or self._guard.stdin is None:
            return
        with contextlib.suppress(OSError):  # the guard has ended
            self._guard.stdin.write(b"\n")
            self._guard.stdin.close()
        try:
            code = self._guard.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            raise CommandFailed(
                f"the deck did not stop in {END_SECONDS:.0f} s; its guard (pid {self._guard.pid}) waits"
            ) from None
        if code != 0:
            raise CommandFailed(f"`tapedeck down` failed (exit code {code}): the deck may still run")
