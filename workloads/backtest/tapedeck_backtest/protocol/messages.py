"""The messages. What comes from the strategy's process is foreign: its types are checked, and it is never unpickled.

The pod asks, the process answers: ``Assignment`` with ``Loaded``, ``RunMarket`` and each block of bars with
``NextBlock`` or ``Ended``, a trial with ``TrialDone``, and anything with ``Failed``. Between question and answer the
process sends records of its results, its progress and notes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from tapedeck_backtest.sweep.windows import SweepWindow, WindowTest
from tapedeck_common.records import (
    RunAnalyses,
    RunDrawdown,
    RunEquity,
    RunFill,
    RunOrder,
    RunPeriod,
    RunPosition,
    RunTrade,
)
from tapedeck_crds.backtest import ParamValue

TEXT_MAX = 20_000  # characters of a message or note
NOTES_MAX = 200
LISTED_MAX = 100  # open positions, and orders, that a run's end lists

Text = Annotated[str, Meta(max_length=TEXT_MAX)]
Name = Annotated[str, Meta(max_length=100, pattern=r"^[A-Za-z0-9_]+$")]
Reason = Annotated[str, Meta(max_length=40, pattern=r"^[A-Z][A-Za-z]+$")]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Figures = Annotated[dict[Name, float | None], Meta(max_length=200)]


class Assignment(msgspec.Struct, frozen=True, tag="assignment"):
    """The work of a pod: its spec as JSON, and the folder of its code, of which ``readable`` may be read.

    Of the folders ``listable`` the names may be read.
    ``hidden`` are folders with passwords and keys.
    ``scratch`` is the empty folder that the strategy may write. With ``check`` its bias is checked instead of a run.
    """

    spec: bytes
    files: str
    readable: list[str]
    listable: list[str]
    hidden: list[str]
    scratch: str
    check: bool = False


class RunMarket(msgspec.Struct, frozen=True, tag="market"):
    """The bars that a run is over. ``sessions`` are those of symbols, ``session`` that of the run, as JSON.

    ``rows`` bars of each symbol follow at once: all of a stored range, or the warm-up history of a stream. ``begins``
    is the event time (ms UTC) before which bars are history, 0 without. ``start`` and ``end`` limit the known time.
    """

    exchange: str
    symbols: list[str]
    interval: str
    sessions: dict[str, bytes]
    session: bytes | None
    rows: list[int]
    begins: int
    start: int | None
    end: int | None


class SymbolRows(msgspec.Struct, frozen=True, tag="rows"):
    """The next bars of a symbol, as columns: event times (int64, ms UTC), prices and volume (float64)."""

    event: bytes
    open: bytes
    high: bytes
    low: bytes
    close: bytes
    volume: bytes


class StepBlock(msgspec.Struct, frozen=True, tag="steps"):
    """The next bars of a stream in order, as columns: ``feed`` is the index of the symbol, ``ts`` the open (int64)."""

    event: bytes
    feed: bytes
    ts: bytes
    open: bytes
    high: bytes
    low: bytes
    close: bytes
    volume: bytes


class EndOfBars(msgspec.Struct, frozen=True, tag="end_of_bars"):
    """The stream has no more bars. ``broken`` says that it broke off: the strategy is not told of its end."""

    broken: bool = False


class TrialTask(msgspec.Struct, frozen=True, tag="trial"):
    """A trial over opens in [start, end), ms UTC."""

    params: dict[str, ParamValue]
    start: int
    end: int


class WindowTask(msgspec.Struct, frozen=True, tag="window"):
    """The test of a window out of sample."""

    window: SweepWindow
    params: dict[str, ParamValue]


class AccountTask(msgspec.Struct, frozen=True, tag="account"):
    """Trade the tests of all windows one after another, as one account. ``every``: see EquityCurve."""

    tests: list[WindowTest]
    every: int


class Armed(msgspec.Struct, frozen=True, tag="armed"):
    """The sandbox is in force: from here on foreign code may run."""


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The strategy is loaded, and its params are checked."""


class Entered(msgspec.Struct, frozen=True, tag="entered"):
    """The strategy's code runs from here on."""


class Left(msgspec.Struct, frozen=True, tag="left"):
    """The strategy's code has returned."""


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """The strategy has finished a bar."""


class Note(msgspec.Struct, frozen=True, tag="note"):
    """Something that the user should know of the run."""

    text: Text


class PathChosen(msgspec.Struct, frozen=True, tag="path"):
    """How the run is computed: see RunOrigin."""

    path: Literal["engine", "vectorised"]


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """Bars and steps that the strategy has processed, and the figures so far."""

    bars: Count
    steps: Count
    figures: Figures


class NextBlock(msgspec.Struct, frozen=True, tag="next"):
    """The strategy has processed all bars that it was given."""


class Outcome(msgspec.Struct, frozen=True):
    """The results of a run at its end, whichever it is; see RunEnded. ``empty_feeds`` had no bar."""

    bars: Count = 0
    steps: Count = 0
    figures: Figures = {}
    trades_hash: Annotated[str, Meta(pattern="^[0-9a-f]{0,64}$")] = ""
    drawdowns: Annotated[list[RunDrawdown], Meta(max_length=10)] = []
    periods: Annotated[list[RunPeriod], Meta(max_length=5_000)] = []
    analyses: RunAnalyses = RunAnalyses()
    positions: Annotated[list[RunPosition], Meta(max_length=LISTED_MAX)] = []
    orders: Annotated[list[RunOrder], Meta(max_length=LISTED_MAX)] = []
    empty_feeds: Annotated[list[Text], Meta(max_length=10_000)] = []


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The strategy has processed its bars."""

    outcome: Outcome


class TrialDone(msgspec.Struct, frozen=True, tag="trial_done"):
    """A trial's figures; a failed one has a message and none."""

    metrics: Figures
    trades_hash: Annotated[str, Meta(pattern="^[0-9a-f]{0,64}$")]
    message: Text


class Checked(msgspec.Struct, frozen=True, tag="checked"):
    """The bias checks have passed over this number of bars."""

    bars: Count


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The run cannot succeed."""

    reason: Reason
    message: Text
    outcome: Outcome | None = None


Task: TypeAlias = Assignment | RunMarket | TrialTask | WindowTask | AccountTask
ToStrategy: TypeAlias = Task | SymbolRows | StepBlock | EndOfBars
Notice: TypeAlias = RunFill | RunTrade | RunEquity | Progress | Note | PathChosen
Activity: TypeAlias = Armed | Entered | Left | Heartbeat
Answer: TypeAlias = Loaded | NextBlock | Ended | TrialDone | Checked | Failed
FromStrategy: TypeAlias = Notice | Activity | Answer

encode = msgspec.msgpack.Encoder().encode
decode_task = msgspec.msgpack.Decoder(ToStrategy).decode
_decode = msgspec.msgpack.Decoder(FromStrategy).decode


def decode_foreign(payload: bytes) -> FromStrategy:
    """A message of the strategy's process. Raises msgspec.MsgspecError, and RecursionError for nested values."""
    message: Any = _decode(payload)
    checked: FromStrategy = message
    return checked
