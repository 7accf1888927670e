"""What a live Feed reads of its predecessor from a busy log."""

from __future__ import annotations

import itertools
import uuid

from pods.recorder import publish
from pods.services import Services
from tapedeck_common.market import Bar, Trade, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.topics import PERMANENT_PARTITIONS, shard_of
from tapedeck_common.wire import encode, market_headers
from tapedeck_feed.live import resume

T0 = 1_723_075_200_000


def test_it_reads_back_beyond_later_records_of_other_symbols(services: Services) -> None:
    exchange, live = f"h{uuid.uuid4().hex[:8]}", market_headers("live")
    names = (f"{number}/USDT" for number in itertools.count())
    mine = next(names)
    same = [shard_of(series_key(exchange, mine), PERMANENT_PARTITIONS)]
    other = next(n for n in names if [shard_of(series_key(exchange, n), PERMANENT_PARTITIONS)] == same)

    def trade(symbol: str, number: int) -> tuple[str, bytes, str, list[tuple[str, str | bytes | None]]]:
        made = Trade(exchange, symbol, T0 + number * 100, str(number), 1.0, 1.0, "buy")
        return ("market.trades", encode(made), series_key(exchange, symbol), live)

    bar = Bar(exchange, mine, "1m", T0, 1.0, 2.0, 1.0, 2.0, 5.0, True)
    records = [trade(mine, number) for number in range(1_500)]
    records += [("market.bars", encode(bar), series_key(exchange, mine), live)]
    records += [trade(other, number) for number in range(resume.FIRST_READ + 100)]
    publish(services.broker.bootstrap, records)

    connections = Connections(kafka_bootstrap=services.broker.bootstrap)
    published = resume.read_published_records(
        connections, exchange, [mine, other, "none"], lambda records: len(records.trades) > 1
    )
    assert [trade.id for trade in published[mine].trades] == [str(number) for number in range(1_500)]
    assert published[mine].bars == {"1m": {T0: bar}}
    assert len(published[other].trades) == resume.FIRST_READ + 100
    assert not published["none"].trades
