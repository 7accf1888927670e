"""A replay under control: play, pause, seek, step, and its bars in their order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from tapedeck import resources
from tapedeck.answers import part_of
from tapedeck.display.html import facts_html
from tapedeck.errors import BadRequest, ClientError, UnknownName, WorkFailed
from tapedeck.playback import PlaybackOrder, PlayedBar
from tapedeck.sync_async import Blocking, in_thread, pause
from tapedeck.table import MarketTable, concatenated
from tapedeck.times import TimeLike, to_iso
from tapedeck.transport import Transport
from tapedeck.waiting import Patience, until

POLL_SECONDS = 0.2  # between two requests for new bars of all symbols
SYMBOL_SECONDS = 0.03  # more for each symbol: a gateway answers a client a hundred requests a second
STATE_SECONDS = 2.0  # between two looks at the resource while no bar arrives
SHOWN_SECONDS = 60.0  # until the gateway shows a replay that has started
PAGE = 10_000
MAX_SPEED: Literal["max"] = "max"
SYNTHETIC = "synthetic"  # the exchange of synthetic markets that name none


class ReplayHandle:
    """A replay. Iterate over it for its bars; ``pause``, ``play``, ``seek``, ``step`` and ``speed`` control it.

    A ``with`` block deletes the replay at its end. Every method has a form for asyncio: ``await r.pause.aio()``,
    ``async for bar in r``.
    """

    def __init__(self, transport: Transport, resource: resources.Document) -> None:
        self._transport = transport
        self._resource = resource
        self._is_shown = False
        self.name: str = part_of(resource, "metadata", "name")
        self.namespace: str = part_of(resource, "metadata").get("namespace", "default")

    @property
    def source(self) -> Mapping[str, Any]:
        """The data that is played, as in the resource."""
        source: Mapping[str, Any] = part_of(self._resource, "spec", "source")
        return source

    @property
    def symbols(self) -> list[str]:
        """The markets that are played, such as coinbase:BTC/USD; patterns stand for those that the store has.

        Raises BadRequest for a replay of files or a topic, whose resource does not name them.
        """
        given = self.source.get("store") or self.source.get("synthetic")
        if given is None:
            raise BadRequest(f"replay {self.name}: plays files or a topic, expected the store or a synthetic market")
        exchange = given.get("exchange", SYNTHETIC)
        names = [each["symbol"] if isinstance(each, dict) else each for each in given["symbols"]]
        if any(set(name) & set("*?") for name in names):
            listed = self._transport.pages("/symbols", "symbols", {"exchange": exchange})
            stored = [str(part_of(each, "name")) for each in listed]
            names = [name for name in stored if any(fnmatchcase(name, pattern) for pattern in names)]
        return [f"{exchange}:{name}" for name in names]

    @property
    def interval(self) -> str:
        """The length of the replay's bars."""
        given = self.source.get("store") or self.source.get("synthetic") or self.source.get("topic") or {}
        return str(given.get("interval", "1m"))

    @Blocking
    def refresh(self) -> resources.Document:
        """Read the resource again; returns its status. Raises UnknownName where the replay was deleted."""
        self._resource = resources.read(self._transport, "replays", self.namespace, self.name)
        return resources.status_of(self._resource)

    @property
    def phase(self) -> str:
        """Pending, Running, Paused, Complete, Degraded or Failed, read now."""
        self.refresh()
        return resources.phase_of(self._resource)

    @property
    def position(self) -> datetime | None:
        """The virtual time reached, in UTC, read now; None before the first bar. It may lag by up to ten seconds."""
        reached = self.refresh().get("position")
        return datetime.fromisoformat(reached) if reached else None

    @property
    def speed(self) -> float | str:
        """Virtual seconds per second, or ``max``; assign a number, or ``max`` for as fast as possible."""
        self.refresh()
        spec = part_of(self._resource, "spec")
        return MAX_SPEED if spec.get("unpaced") else float(spec.get("speed", 1.0))

    @speed.setter
    def speed(self, value: float | str) -> None:
        self.control(speed=value)

    @Blocking
    def control(
        self,
        *,
        paused: bool | None = None,
        speed: float | str | None = None,
        seek: TimeLike | None = None,
        step: int | None = None,
        loop: int | str | None = None,
        until: TimeLike | None = None,
    ) -> None:
        """Change several controls at once. ``speed`` is a number or max, ``loop`` a number of rounds or forever.

        Raises BadRequest for a value out of range, NotAuthorized without the right to control.
        """
        body: dict[str, Any] = {"paused": paused, "step": step, "loop": loop}
        if speed is not None:
            body |= {"unpaced": True} if speed == MAX_SPEED else {"unpaced": False, "speed": _number(speed)}
        body |= {"seek": None if seek is None else to_iso(seek, "seek")}
        body |= {"until": None if until is None else to_iso(until, "until")}
        path = f"{resources.path_of('replays', self.namespace, self.name)}/controls"
        self._transport.send("POST", path, {name: value for name, value in body.items() if value is not None})

    @Blocking
    def pause(self) -> None:
        """Stop virtual time."""
        self.control(paused=True)

    @Blocking
    def play(self) -> None:
        """Let virtual time run."""
        self.control(paused=False)

    @Blocking
    def seek(self, to: TimeLike) -> None:
        """Jump to a virtual time: the next bar is the first that is known later."""
        self.control(seek=to)

    @Blocking
    def step(self, intervals: int = 1) -> None:
        """Pause, and move on by so many intervals."""
        self.control(paused=True, step=intervals)

    @Blocking
    def wait(self, timeout: float | None = None) -> None:
        """Wait until the replay has ended. Raises WorkFailed, and WaitTimeout after ``timeout`` seconds."""
        until(self._has_ended, STATE_SECONDS / 2, timeout, f"the end of replay {self.name}")

    @Blocking
    def bars(self, interval: str | None = None) -> MarketTable:
        """What the replay has published so far, as a table: symbol, ts, open, high, low, close, volume.

        It waits for the start of the replay, for up to a minute: raises WaitTimeout after that.
        """
        self._wait_until_started(SHOWN_SECONDS)
        symbols = self.symbols
        query: dict[str, str] = {"interval": interval or self.interval, "from": str(self._range_start() or 0)}
        tables = [(each, self._transport.table("/bars", {"symbol": self._asked(each), **query})) for each in symbols]
        return concatenated(tables, f"replay {self.name}")

    @Blocking
    def delete(self) -> None:
        """Delete the replay and its topic."""
        resources.delete(self._transport, "replays", self.namespace, self.name)

    def __iter__(self) -> Iterator[PlayedBar]:
        """The bars in the order in which they are known, each as soon as it is published, until the replay ends.

        After a seek or in a new round it continues there; bars that were published before and not yet read are left
        out. With ``atEnd: hold`` it waits at the end for a seek. Raises WorkFailed if the replay fails.
        """
        for bars in self._batches():
            yield from bars

    async def __aiter__(self) -> AsyncIterator[PlayedBar]:
        """As ``__iter__``, for ``async for``."""
        batches = self._batches()
        while (bars := await in_thread(next, batches, None)) is not None:
            for bar in bars:
                yield bar

    def __enter__(self) -> ReplayHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.delete()

    def __repr__(self) -> str:
        return f"ReplayHandle({self.namespace}/{self.name}, {resources.phase_of(self._resource)})"

    def _repr_html_(self) -> str:
        try:
            status = self.refresh()
        except ClientError as error:
            status = {"message": str(error)}
        facts = {name: status.get(name) for name in ("phase", "position", "speed", "progress", "message")}
        return facts_html(f"replay {self.namespace}/{self.name}", {k: v for k, v in facts.items() if v})

    def _batches(self) -> Iterator[list[PlayedBar]]:
        """The next bars; an empty list now and then, so that a cancelled reader is noticed."""
        patience = Patience()
        self._wait_until_started(None)
        symbols = self.symbols
        order = PlaybackOrder(symbols, self.interval, self._range_start() or 0)
        every = POLL_SECONDS + SYMBOL_SECONDS * len(symbols)
        silent = 0.0
        while True:
            more = patience.survive(lambda: self._poll(order, symbols))
            bars = order.take()
            yield bars
            if order.ended:
                return
            silent = 0.0 if bars or more else silent + every
            if silent >= STATE_SECONDS:
                silent = 0.0
                patience.survive(self._check_alive)
            if not more:
                pause(every)

    def _poll(self, order: PlaybackOrder, symbols: list[str]) -> bool:
        """Ask for the next bars of each symbol; returns whether there are more at once."""
        more = False
        for symbol in symbols:
            query: dict[str, str | int] = {
                "symbol": self._asked(symbol),
                "interval": self.interval,
                "from": order.following(symbol),
                "limit": PAGE,
            }
            answer = self._transport.get("/bars", query)
            more = order.add(symbol, answer) or more
        return more

    def _wait_until_started(self, timeout: float | None) -> None:
        """Wait until its range is known, for so many seconds, and until the gateway knows the replay.

        The gateway does when the first record of the replay is on its topic.
        """

        def resolved() -> bool | None:
            self.refresh()
            if self._range_start() is not None:
                return True
            self._require_alive()
            return None

        def shown() -> bool | None:
            try:
                self._transport.get("/bars", {"symbol": asked, "interval": self.interval, "limit": 1})
            except UnknownName:
                self.refresh()
                self._require_alive()
                if resources.phase_of(self._resource) in resources.FINAL:
                    raise
                return None
            return True

        if self._is_shown:
            return
        asked = self._asked(self.symbols[0])
        until(resolved, POLL_SECONDS, timeout, f"the start of replay {self.name}")
        until(shown, POLL_SECONDS, SHOWN_SECONDS, f"the first bars of replay {self.name}")
        self._is_shown = True

    def _asked(self, symbol: str) -> str:
        """A market of the replay as the gateway names it."""
        return f"replay/{part_of(self._resource, 'metadata', 'uid')}/{symbol}"

    def _range_start(self) -> int | None:
        """The resolved start of the range, milliseconds UTC; None until a status with it was read."""
        start = resources.status_of(self._resource).get("rangeFrom")
        return None if start is None else int(start)

    def _has_ended(self) -> bool | None:
        self._check_alive()
        return True if resources.phase_of(self._resource) in resources.FINAL else None

    def _check_alive(self) -> None:
        self.refresh()
        self._require_alive()

    def _require_alive(self) -> None:
        if resources.phase_of(self._resource) == "Failed":
            raise WorkFailed(f"replay {self.name} failed: {resources.message_of(self._resource)}")


def replay_spec(
    store: resources.Document, speed: float | str, *, paused: bool, loop: int | str | None, hold: bool
) -> resources.Document:
    """The spec of a Replay of a range of the store. Raises BadRequest."""
    spec: resources.Document = {
        "source": {"store": store},
        "paused": paused,
        "atEnd": "hold" if hold else "finish",
        "ttlSecondsAfterFinished": resources.KEPT_SECONDS,
    }
    spec |= {"unpaced": True} if speed == MAX_SPEED else {"speed": _number(speed)}
    return spec | ({"loop": loop} if loop is not None else {})


def _number(speed: float | str) -> float:
    if isinstance(speed, bool) or not isinstance(speed, int | float):
        raise BadRequest(f"speed: got {speed!r}, expected virtual seconds per second, or max")
    return float(speed)
