"""Reports of copies that the broker has lost: on the mirror topic, they are not published again."""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, Message

from tapedeck_common.kafka import kafka_error, producer
from tapedeck_common.log_positions import LogPosition
from tapedeck_common.logs import log
from tapedeck_common.market import series_key
from tapedeck_common.records import IngestError
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_INGEST
from tapedeck_common.wire import encode, market_headers
from tapedeck_crds.errors import Unavailable
from tapedeck_replay.errors import describe_kafka_error
from tapedeck_replay.output.partition_output import PartitionOutput

FLUSH_SECONDS = 10.0


def report_lost_copies(
    connections: Connections, output: PartitionOutput, replay: str, known: Mapping[int, LogPosition] | None = None
) -> None:
    """Publish an ingest error for each partition of the mirror topic of which the broker has lost copies.

    The recorder tells what was lost after it was recorded; only this Replay knows of what was lost before. ``known`` as
    in ``PartitionOutput.lost_copies``. No transaction may be open. Raises Unavailable.
    """
    try:
        lost = output.lost_copies(known)
    except KafkaException as error:
        raise Unavailable(f"{output.topic}: {describe_kafka_error(kafka_error(error))}") from error
    if not lost:
        return
    exchange = output.mirrors[-1].new_exchange if output.mirrors else ""
    client = producer(connections, f"{output.topic}.{output.shard}.losses")
    refusals: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            refusals.append(error)

    for (topic, number), offsets in lost.items():
        reason = (
            f"the broker lost offsets {offsets.start} to {offsets.stop - 1}, copies of Replay {replay} among them; "
            "those that were not recorded are missing, which another Replay of the range makes up for"
        )
        log.error("the broker lost copies", topic=topic, partition=number, reason=reason)
        place = f"{topic} partition {number}"
        report = IngestError(replay, exchange, "", place, reason, "", time.time_ns() // 1_000_000)
        headers = market_headers("replay")
        client.produce(MARKET_INGEST, encode(report), series_key(exchange, ""), headers=headers, on_delivery=delivered)
    if remaining := client.flush(FLUSH_SECONDS):
        raise Unavailable(f"{MARKET_INGEST}: {remaining} reports of lost records are not delivered")
    if refusals:
        raise Unavailable(f"{MARKET_INGEST}: a report of lost records: {describe_kafka_error(refusals[0])}")
