"""``python -m bench.gateway_clients PORT COUNT STALLED``: clients of /api/v1/ws in as little time as possible.

Prints ``ready`` once all have their snapshot. The bar's volume is the number of its state, from 1 on. A line on its
input has the times, s, at which these were published; then it prints how many messages the clients got, how many
states they know of, and the 99th percentile of the times, ms, from the publication of a state until a client had it or
a later one, which replaces it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import resource
import statistics
import sys
import time
from collections.abc import Sequence

SUBSCRIBE = json.dumps(
    {"type": "subscribe", "id": "b", "channel": "bars", "symbol": "bench:BTC/USD", "interval": "1m", "snapshot": 1}
).encode()
VOLUME, END = b'"volume":', b","


class BenchClient(asyncio.Protocol):
    """One socket. Frames of a server are not masked, and these are shorter than 64 kB."""

    def __init__(self, reads: bool) -> None:
        self.received: list[tuple[int, float]] = []  # the number of a state, and when it was received
        self._reads = reads
        self._buffer = b""
        self._upgraded = False
        self.subscribed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(
            b"GET /api/v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        now = time.time()
        self._buffer += data
        if not self._upgraded:
            _, blank, rest = self._buffer.partition(b"\r\n\r\n")
            if not blank:
                return
            self._upgraded, self._buffer = True, rest
            self.transport.write(_masked(SUBSCRIBE))
        while (frame := self._next_frame()) is not None:
            opcode, text = frame
            if opcode == 9:
                self.transport.write(_masked(text, opcode=10))
            elif b'"snapshot":true' in text:
                self.subscribed.set_result(None)
                if not self._reads:
                    self.transport.pause_reading()
            elif (at := text.rfind(VOLUME)) >= 0:
                self.received.append((int(float(text[at + len(VOLUME) : text.index(END, at)])), now))

    def _next_frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        length, begin = buffer[1], 2
        if length == 126:
            length, begin = int.from_bytes(buffer[2:4], "big"), 4
        if len(buffer) < begin + length:
            return None
        self._buffer = buffer[begin + length :]
        return buffer[0] & 0x0F, buffer[begin : begin + length]


def _masked(text: bytes, opcode: int = 1) -> bytes:
    """A client's frame, with a mask of zeros."""
    length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + text


def delays(received: Sequence[tuple[int, float]], published: Sequence[float]) -> list[float]:
    """The seconds from the publication of each state until a client had it or a later one, of those that it knows of.

    ``received`` are the numbers of states, from 1 on, and when each was received, in that order.
    """
    found: list[float] = []
    for number, at in received:
        found += [at - begun for begun in published[len(found) : number]]
    return found


async def main(port: int, count: int, stalled: int) -> None:
    """Connect, wait for the line on the input, and print."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop, clients = asyncio.get_running_loop(), list[BenchClient]()
    for number in range(count):

        def make(reads: bool = number >= stalled) -> BenchClient:
            return BenchClient(reads)

        _, client = await loop.create_connection(make, "127.0.0.1", port)
        await asyncio.wait_for(client.subscribed, 30)
        clients.append(client)
    print("ready", flush=True)
    published = json.loads(await asyncio.to_thread(sys.stdin.readline))
    waited = [delay for client in clients for delay in delays(client.received, published)]
    p99 = statistics.quantiles(waited, n=100)[98] * 1_000 if len(waited) > 1 else 0.0
    messages = sum(len(client.received) for client in clients)
    print(json.dumps({"messages": messages, "known": len(waited), "p99": p99}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
