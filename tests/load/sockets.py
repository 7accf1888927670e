"""``python -m load.sockets GATEWAY COUNT``: clients of /api/v1/ws that follow the live bars of the load.

Client n follows the n-th symbol, again from the first after the last. After a line on its input it prints, as JSON, how
many messages they got, how many they lack (holes in ``seq``), how many sockets were closed, and the age of each one's
newest bar at the worst, in seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

SYMBOLS = 20
INTERVAL = "1s"


@dataclass
class Follower:
    """One socket, and what it has received."""

    gateway: str
    symbol: str
    messages: int = 0
    missing: int = 0
    closed: bool = False
    heard: float = 0.0

    async def run(self, ready: asyncio.Semaphore) -> None:
        url = f"{self.gateway.replace('http', 'ws', 1)}api/v1/ws"
        async with connect(url, max_size=None, open_timeout=60) as socket:
            subscribe = {"type": "subscribe", "id": "b", "channel": "bars", "symbol": self.symbol, "interval": INTERVAL}
            await socket.send(json.dumps(subscribe))
            ready.release()
            try:
                async for text in socket:
                    self._take(json.loads(text))
            except ConnectionClosed:
                pass
            self.closed = True

    def _take(self, message: dict[str, object]) -> None:
        seq = message["seq"]
        assert isinstance(seq, int)
        self.missing += seq - self.messages - 1
        self.messages = seq
        if message["type"] == "error":
            raise RuntimeError(f"{self.symbol}: {message}")
        if message["type"] == "bars":
            self.heard = time.monotonic()


async def main(gateway: str, count: int) -> None:
    """Follow until the line on the input."""
    followers = [Follower(gateway, f"binance:L{number % SYMBOLS:02}/USDT") for number in range(count)]
    ready = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(follower.run(ready)) for follower in followers]
    for _ in tasks:
        await asyncio.wait_for(ready.acquire(), 120)
    await asyncio.sleep(1)
    for task in (task for task in tasks if task.done()):
        task.result()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    now = time.monotonic()
    found = {
        "messages": sum(follower.messages for follower in followers),
        "missing": sum(follower.missing for follower in followers),
        "closed": sum(follower.closed for follower in followers),
        "oldest": max(now - follower.heard for follower in followers),
    }
    for task in tasks:
        task.cancel()
    failed = [error for error in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(error, Exception)]
    print(json.dumps(found | {"failed": len(failed)}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
