"""What a Replay of files reads, and when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import islice, takewhile
from pathlib import Path
from threading import Lock
from typing import ClassVar, Generic, TypeVar

from tapedeck_common.market import Bar, Trade
from tapedeck_crds.base import Files
from tapedeck_crds.source import Played
from tapedeck_replay.file_census import census, refusing
from tapedeck_replay.spool import BLOCK_ROWS, Row, Spool
from tapedeck_replay.tape import After, BadInput, Rows, Tape

R = TypeVar("R", Bar, Trade)
B = TypeVar("B", bound=Rows)


class FileRecords(ABC, Generic[R, B]):
    """Records of the files below a folder. They are read through once at the start, so that a bad row shows then.

    From the tape's begin on they are played as they are read. What begins elsewhere, and what is counted, comes from a
    copy on disk, which is made at the first such question: files can be read from their begin alone. What is copied is
    compared with what the tape was resolved from; what was written behind its end since is left out.
    """

    CHANNEL: ClassVar[Played]

    def __init__(self, files: Files, root: Path, credentials: Path | None, pulse: Callable[[], None]) -> None:
        self._files = files
        self._root, self._credentials = root, credentials
        self._pulse = pulse
        self._whole: Tape | None = None
        self._spool: Spool[B] | None = None
        self._filling = Lock()  # the thread that reads ahead and the one that counts may ask at once

    @abstractmethod
    def _merged(self) -> Iterator[R]:
        """All records, in order. Raises BadFiles, FilesUnavailable."""

    @abstractmethod
    def _length(self) -> int:
        """From a record's time to the end of what it stands for, milliseconds."""

    @abstractmethod
    def _kept(self) -> type[Spool[B]]:
        """What keeps them on disk."""

    @abstractmethod
    def _row(self, record: R) -> Row:
        """One as that takes it."""

    def resolve(self) -> Tape:
        files = self._files
        seen = census(files, self._records(), self.CHANNEL, self._pulse)
        end = seen.last + self._length()
        self._whole = Tape(
            files.exchange, seen.symbols, files.interval, seen.first, end, seen.rows, seen.check, channel=self.CHANNEL
        )
        return self._whole

    def resume(self, tape: Tape) -> None:
        self._whole = tape
        self._copy()

    def count(self, tape: Tape, v: int) -> int:
        return self._copy().count(tape.symbols, v - tape.known_after + 1)

    def blocks(self, tape: Tape, after: After | None) -> Iterator[B]:
        first = None if self._whole is None else self._whole.start
        if self._spool is None and first is not None and (after is None or after.ts < first):
            return self._as_read(tape)
        return self._copy().blocks(tape.symbols, after)

    def _as_read(self, tape: Tape) -> Iterator[B]:
        place = {symbol: index for index, symbol in enumerate(tape.symbols)}
        rows = (self._row(record) for record in self._before(tape.end) if record.symbol in place)
        while part := list(islice(rows, BLOCK_ROWS)):
            yield self._kept().block(part, place)

    def _copy(self) -> Spool[B]:
        with self._filling:
            if self._spool is None:
                self._spool = self._filled()
            return self._spool

    def _filled(self) -> Spool[B]:
        """All of the tape. Raises BadInput DataChanged where the files no longer hold what it was resolved from."""
        spool, whole = self._kept()(), self._whole
        if whole is None:
            raise ValueError("expected resolve or resume before")
        try:
            seen = census(self._files, self._putting(spool, whole.end), self.CHANNEL, self._pulse)
        except BadInput as error:  # they were good once
            raise _changed(str(error)) from error
        if seen.check != whole.fingerprint:
            was, now = _parts(whole.fingerprint), _parts(seen.check)
            raise _changed(
                "; ".join(f"{name}: had {was.get(name)}, has {now[name]}" for name in now if now[name] != was.get(name))
            )
        return spool

    def _putting(self, spool: Spool[B], end: int) -> Iterator[R]:
        """The records before a time, each handed on when it is kept."""
        records = self._before(end)
        while part := list(islice(records, BLOCK_ROWS)):
            spool.put(map(self._row, part))
            yield from part

    def _before(self, end: int) -> Iterator[R]:
        return takewhile(lambda record: record.ts < end, self._records())

    def _records(self) -> Iterator[R]:
        with refusing():
            yield from self._merged()


def _parts(check: str) -> dict[str, str]:
    """Symbol → number of its records and checksum."""
    return dict(part.rpartition("=")[::2] for part in check.split(";"))


def _changed(how: str) -> BadInput:
    message = (
        f"source.files: no longer hold what this Replay began with ({how}), expected them to stay; make a new Replay"
    )
    return BadInput("DataChanged", message)
