"""``python -m bench.paced_plain BOOTSTRAP TOPIC BARS PER_MS``: a plain transactional producer, paced as a replay is.

It publishes the bars of a replay by the same clock and commits as often, and then waits for the commit. It prints w0,
the time at which its clock begins, ms.
"""

from __future__ import annotations

import sys
import time

from confluent_kafka import Producer

from pods.replay import MINUTE, T0
from tapedeck_common.kafka import transactional_producer
from tapedeck_common.market import Bar, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.wire import Epoch, encode, replay_headers
from tapedeck_replay.output.transactions import COMMIT_SECONDS

LEAD_MS, CALL_SECONDS = 1_000, 30.0


def main(bootstrap: str, topic: str, bars: int, per_ms: int) -> None:
    """Publish so many bars, each at its time."""
    client = transactional_producer(Connections(kafka_bootstrap=bootstrap), topic)
    client.init_transactions(CALL_SECONDS)
    key, headers = series_key("plain", "BTC/USD"), replay_headers("plain", Epoch())
    values = [
        encode(Bar("plain", "BTC/USD", "1m", T0 + n * MINUTE, 6_000.0, 6_001.25, 5_999.25, 6_000.5, 7.25))
        for n in range(bars)
    ]
    w0 = time.time() * 1_000 + LEAD_MS
    print(w0, flush=True)
    sent, opened = 0, time.monotonic()
    client.begin_transaction()
    while sent < bars:
        due = min(bars, max(sent, int((time.time() * 1_000 - w0) * per_ms)))
        for value in values[sent:due]:
            client.produce(topic, value, key, 0, headers=headers)
        sent = due
        if time.monotonic() - opened >= COMMIT_SECONDS:
            opened = _commit(client, again=True)
        next_due = (w0 + (sent + 1) / per_ms) / 1_000 - time.time()
        time.sleep(max(0.0, min(next_due, opened + COMMIT_SECONDS - time.monotonic())))
    _commit(client, again=False)


def _commit(client: Producer, *, again: bool) -> float:
    client.commit_transaction(CALL_SECONDS)
    if again:
        client.begin_transaction()
    return time.monotonic()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
