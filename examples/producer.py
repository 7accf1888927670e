"""A producer of stock bars: any program that follows the published schema joins in.

``python examples/producer.py --broker HOST:PORT bars.csv``; the file has a header line with symbol, ts (milliseconds
UTC of the open), open, high, low, close, volume. The exchange id is one's own choice, outside ccxt's.
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
    """Exit 0 when the broker has taken every bar."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--broker", default="127.0.0.1:9092")
    options.add_argument("--exchange", default="nasdaq")
    options.add_argument("--interval", default="1m")
    options.add_argument("file", type=Path)
    chosen = options.parse_args()
    producer = Producer({"bootstrap.servers": chosen.broker, "enable.idempotence": True})
    refused: list[str] = []
    with chosen.file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            bar = {"exchange": chosen.exchange, "symbol": row["symbol"], "interval": chosen.interval}
            bar |= {"ts": int(row["ts"]), "closed": True, "rev": 0}
            bar |= {name: float(row[name]) for name in ("open", "high", "low", "close", "volume")}
            key = f"{bar['exchange']}:{bar['symbol']}"  # all of one market goes to one partition, in order
            producer.produce(
                TOPIC,
                json.dumps(bar),
                key,
                headers=HEADERS,
                on_delivery=lambda error, _: refused.append(error.str()) if error is not None else None,
            )
            producer.poll(0)
    left = producer.flush(30)
    if refused or left:
        print(f"{len(refused)} bars refused, {left} not delivered: {refused[:1]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
