"""``python -m bench.gateway_clients PORT COUNT STALLED``: clients of /api/v1/ws in as little time as possible.

Prints ``ready`` once all have subscribed. After a line on its input it prints the number and the 99th percentile of the
times, ms, from the close of a received bar (when it was published, s) until it was received.
"""

from __future__ import annotations

import asyncio
import base64
import json
import resource
import statistics
import sys
import time

SUBSCRIBE = json.dumps(
    {"type": "subscribe", "id": "b", "channel": "bars", "symbol": "bench:BTC/USD", "interval": "1m", "snapshot": 1}
).encode()
CLOSE, END = b'"close":', b","


class BenchClient(asyncio.Protocol):
    """One socket. Frames of a server are not masked, and these are shorter than 64 kB."""

    def __init__(self, latencies: list[float], reads: bool) -> None:
        self._latencies, self._reads = latencies, reads
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
            elif (at := text.find(CLOSE)) >= 0:
                self._latencies.append(now - float(text[at + len(CLOSE) : text.index(END, at)]))

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


async def main(port: int, count: int, stalled: int) -> None:
    """Connect, wait for the line on the input, and print."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop, latencies = asyncio.get_running_loop(), list[float]()
    for number in range(count):

        def make(reads: bool = number >= stalled) -> BenchClient:
            return BenchClient(latencies, reads)

        _, client = await loop.create_connection(make, "127.0.0.1", port)
        await asyncio.wait_for(client.subscribed, 30)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    p99 = statistics.quantiles(latencies, n=100)[98] * 1_000 if len(latencies) > 1 else 0.0
    print(json.dumps({"count": len(latencies), "p99": p99}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
