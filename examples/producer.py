"""A producer of stock bars: an example of any program that publishes to Kafka by the published schemas.

``python examples/producer.py --config kafka.properties bars.csv``: the configuration is a properties file of librdkafka
with the broker's address and an account, such as ``.tapedeck/kafka.properties`` of an embedded deck. The table has a
header line with symbol, ts (milliseconds UTC of the open), open, high, low, close, volume. Choose an exchange id that
ccxt does not have.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

from confluent_kafka import Producer

TOPIC = "market.bars"
HEADERS: list[tuple[str, str | bytes | None]] = [("td", b"1;live")]  # version 1; live, backfill or synthetic


def main() -> int:
    """Exits 0 once the broker has acknowledged every bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(".tapedeck/kafka.properties"))
    parser.add_argument("--exchange", default="nasdaq")
    parser.add_argument("--interval", default="1m")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    broker = dict(line.split("=", 1) for line in options.config.read_text().split())
    producer = Producer({**broker, "enable.idempotence": True})
    rejected: list[str] = []
    with options.file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            bar = {"exchange": options.exchange, "symbol": row["symbol"], "interval": options.interval}
            bar |= {"ts": int(row["ts"]), "closed": True, "rev": 0}
            bar |= {name: float(row[name]) for name in ("open", "high", "low", "close", "volume")}
            key = f"{bar['exchange']}:{bar['symbol']}"  # all bars of a symbol go to one partition, in order
            producer.produce(
                TOPIC,
                json.dumps(bar),
                key,
                headers=HEADERS,
                on_delivery=lambda error, _: rejected.append(error.str()) if error is not None else None,
            )
            producer.poll(0)
    remaining = producer.flush(30)
    if rejected or remaining:
        print(f"{len(rejected)} bars rejected, {remaining} not delivered: {rejected[:1]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
