"""A gateway's routes over the socket of a deck that has objects and uploads, but no broker and no database."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from tapedeck_common.settings import Connections
from tapedeck_crds.json import Json
from tapedeck_deck.embedded.api_socket import ApiSocket
from tapedeck_deck.embedded.object_api import ObjectApi
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.embedded.upload_api import UploadApi
from tapedeck_deck.embedded.uploads import Uploads
from tapedeck_gateway.access.tokens import Tokens
from tapedeck_gateway.app import make_app
from tapedeck_gateway.context import GatewayContext
from tapedeck_gateway.options import GatewayOptions
from tapedeck_gateway.resources.connection import connect_files, connect_resources
from waits import eventually

CONTROL, DESK = "c" * 32, "d" * 32
URL = "http://127.0.0.1"
SOURCE = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}}
TYPES = {"Feed": "feeds", "Replay": "replays", "Backtest": "backtests"}


class NoReplays:
    """Of a broker on which no replay has played."""

    def positions(self) -> dict[str, int | None]:
        return {}

    def last_known(self) -> list[Any]:
        return []


class SocketDeck:
    """A deck's objects, and clients of a gateway with them; one without ``files`` takes no uploads, as on a cluster."""

    def __init__(self, home: StateDir, tokens: Path, options: GatewayOptions, *, files: bool = True) -> None:
        self.objects = Objects(home.objects)
        address = f"unix:{home.api_socket}"
        self._api = connect_resources(address, None)
        self._files = connect_files(address) if files else None
        known = Tokens(tokens, open_reading=True)
        app = make_app(Connections(), options, known, lambda: None)
        missing: Any = None
        replays: Any = NoReplays()
        app.state.context = GatewayContext(
            options, missing, missing, missing, missing, replays, missing, missing, missing, missing, known, self._api,
            self._files,
        )  # fmt: skip
        self.anyone = TestClient(app, URL)
        self.owner = TestClient(app, URL, headers={"authorization": f"Bearer {CONTROL}"})
        self.desk = TestClient(app, URL, headers={"authorization": f"Bearer {DESK}"})

    def close(self) -> None:
        assert self._api is not None
        self._api.close()
        if self._files is not None:
            self._files.close()
        self.objects.close()


def long_home(folder: Path) -> StateDir:
    """A folder whose name is too long for the address of a socket."""
    home = StateDir.at(folder / ("long" * 25) / "home")
    home.prepare()
    return home


@contextmanager
def serving_socket(home: StateDir) -> Iterator[StateDir]:
    """The socket of a deck without its broker and database."""
    loop = asyncio.new_event_loop()
    objects = Objects(home.objects)
    uploads = UploadApi(objects, Uploads(home.uploads))
    task = loop.create_task(ApiSocket(home, ObjectApi(objects), uploads).run())

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(home.api_socket.exists)
    try:
        yield home
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)
        loop.close()
        objects.close()
        assert not home.api_socket.exists()


@contextmanager
def socket_deck(home: StateDir, tokens: Path) -> Iterator[SocketDeck]:
    """A served deck with the tokens of ``write_tokens``."""
    deck = SocketDeck(home, write_tokens(tokens), GatewayOptions())
    yield deck
    deck.close()


def manifest(kind: str = "Replay", name: str = "tape", **spec: Any) -> Json:
    """A resource that a deck takes."""
    filled: Json = {"source": SOURCE} if kind == "Replay" else {}
    if kind == "Backtest":
        filled = {"data": SOURCE, "strategy": {"builtin": "sma-cross"}}
    if kind == "Feed":
        filled = {"exchange": "binance", "symbols": ["BTC/USDT"]}
    metadata = {"name": name}
    return {"apiVersion": "tapedeck.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": {**filled, **spec}}


def write_tokens(folder: Path) -> Path:
    """A folder with the tokens of the owner, and of one who may change the namespace desk."""
    folder.mkdir()
    (folder / "owner.control").write_text(CONTROL)
    (folder / "desk.control.desk").write_text(DESK)
    return folder
