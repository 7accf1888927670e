"""A live Feed's pod: from the spec to a session, and what is said of it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from threading import Event

import stamina
from confluent_kafka import KafkaException

from tapedeck.logs import log
from tapedeck.settings import Connections, PodSettings
from tapedeck_crds.feed import FeedSpec
from tapedeck_crds.report import EXIT_BAD_INPUT, FeedReport, ReportState
from tapedeck_feed.live.adapter import Adapter, BadInput, Markets, Unanswerable, Unreachable
from tapedeck_feed.live.exchanges import adapter_of
from tapedeck_feed.live.history import Tail, read_tails
from tapedeck_feed.live.market import reaches_back
from tapedeck_feed.live.mend import waited
from tapedeck_feed.live.options import LiveOptions, options_of, share
from tapedeck_feed.live.outlet import Outlet
from tapedeck_feed.live.session import Session
from tapedeck_feed.live.tally import LiveTally
from tapedeck_feed.publish import Interrupted, Publisher, Undelivered

EXIT_FAILED = 1
OPEN_ATTEMPTS = 12
OPEN_TIMEOUT = 180.0
LEAVE_WITHIN = 3.0  # seconds for the exchange's connections to close


class LivePod:
    """One pod of a live Feed."""

    def __init__(self, settings: PodSettings, spec: FeedSpec, stop: Event) -> None:
        self._settings = settings
        self._spec = spec
        self._stop = stop
        self._state: ReportState = "starting"
        self._reason, self._message = "Connecting", f"asking {spec.exchange} for its markets"
        self._session: Session | None = None
        self.tally = LiveTally()

    def report(self) -> FeedReport:
        """How it goes."""
        state, reason, message = self._state, self._reason, self._message
        if state == "running" and self._session is not None:
            trouble = self._session.trouble
            reason = "Reconnecting" if trouble else "Live"
            message = trouble or f"{self.tally.symbols} symbols of {self._spec.exchange}"
        return self.tally.report(state, reason, message)

    def work(self, connections: Connections, keys: Path | None) -> int:
        """Until asked to end; returns the exit code."""
        publisher = Publisher(connections, f"feed-{self._settings.name}", self._stop, source="live")
        try:
            asyncio.run(self._work(connections, publisher, read_keys(keys)))
        except BadInput as error:
            return self._failed(error.reason, str(error), EXIT_BAD_INPUT)
        except Unreachable as error:
            return self._failed("Unreachable", str(error), EXIT_FAILED)
        except Unanswerable as error:
            return self._failed("Refused", str(error), EXIT_FAILED)
        except (Undelivered, KafkaException, TimeoutError) as error:
            publisher.abandon()
            return self._failed("Unavailable", str(error), EXIT_FAILED)
        except Interrupted:
            publisher.abandon()
        self._state, self._reason, self._message = "complete", "Stopped", "asked to end"
        log.info("stopped", trades=self.tally.trades, bars=self.tally.bars)
        return 0

    async def _work(self, connections: Connections, publisher: Publisher, keys: dict[str, str]) -> None:
        exchange = self._spec.exchange or ""
        adapter = adapter_of(exchange, keys, self._spec.endpoints)
        try:
            work = asyncio.ensure_future(self._listen(adapter, connections, publisher))
            stopped = asyncio.ensure_future(asyncio.to_thread(self._stop.wait))
            await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                self._stop.set()  # the thread that waits for it must end too
                work.result()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            raise Interrupted("asked to end")
        finally:
            with contextlib.suppress(TimeoutError, Exception):  # whatever a client says when it is closed
                await asyncio.wait_for(adapter.close(), LEAVE_WITHIN)

    async def _listen(self, adapter: Adapter, connections: Connections, publisher: Publisher) -> None:
        markets = await self._open(adapter)
        options = options_of(self._spec, markets)
        self.tally.symbols = len(markets.symbols)
        tails = await asyncio.to_thread(self._tails, connections, markets, options)
        outlet = Outlet(self._settings.name, adapter.exchange, publisher, self.tally)
        silence = self._settings.silence_seconds
        self._session = Session(adapter, markets, options, outlet, self.tally, tails, silence)
        self._state = "running"
        log.info("live", exchange=adapter.exchange, symbols=len(markets.symbols), resumed=sum(
            bool(tail.trades or tail.bars) for tail in tails.values()))  # fmt: skip
        await self._session.run()

    async def _open(self, adapter: Adapter) -> Markets:
        async for attempt in stamina.retry_context(
            on=self._trying, attempts=OPEN_ATTEMPTS, timeout=OPEN_TIMEOUT, wait_max=20.0
        ):
            with attempt:
                markets = await adapter.open(self._spec.symbols or ())
        shards = self._spec.shards or 1
        mine = share(markets.symbols, self._settings.shard, shards)
        return Markets(mine, markets.streams, markets.bar_intervals, markets.contiguous)

    def _trying(self, error: Exception) -> bool | float:
        if again := waited(error):
            self._reason, self._message = "Unreachable", str(error)[:500]
        return again

    def _tails(self, connections: Connections, markets: Markets, options: LiveOptions) -> dict[str, Tail]:
        intervals = options.built_intervals
        return read_tails(
            connections, self._spec.exchange or "", markets.symbols, lambda tail: reaches_back(tail, intervals)
        )

    def _failed(self, reason: str, message: str, code: int) -> int:
        log.error("failed", reason=reason, message=message)
        self._state, self._reason, self._message = "failed", reason, message[:2000]
        return code


def read_keys(folder: Path | None) -> dict[str, str]:
    """What a mounted Secret says: apiKey, secret, password. Empty where none was named."""
    if folder is None:
        return {}
    names = ("apiKey", "secret", "password")
    found = {name: (folder / name).read_text().strip() for name in names if (folder / name).exists()}
    if "apiKey" not in found:
        raise BadInput("WrongKey", "apiKeySecret: the Secret has no apiKey, expected one beside secret and password")
    return found
