"""Firefox without a window, by its own WebDriver BiDi."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from pods.driven_page import KEEP_PROBLEMS
from tapedeck_crds.json import Json
from tapedeck_deck.embedded import processes

PROGRAM = shutil.which("firefox-esr") or shutil.which("firefox")
_ANSWER_SECONDS = 120.0  # for a busy machine
# Nothing but the loopback is asked: a proxy that nothing listens at gets all else.
_PREFERENCES: dict[str, int | str | bool] = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
}


class Firefox:
    """A driver: see driven_page.py."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._sent = 0
        self._send("session.new", capabilities={})
        self._tab = self._send("browsingContext.getTree", maxDepth=0)["contexts"][0]["context"]
        self._send("script.addPreloadScript", functionDeclaration=KEEP_PROBLEMS)

    def open(self, url: str) -> None:
        self._send("browsingContext.navigate", context=self._tab, url=url, wait="none")

    def evaluate(self, expression: str) -> Any:
        expression = f"JSON.stringify({expression})"
        found = self._send("script.evaluate", target={"context": self._tab}, awaitPromise=False, expression=expression)
        if found["type"] == "exception":
            raise RuntimeError(f"{expression}: {found['exceptionDetails']['text']}")
        return json.loads(found["result"].get("value", "null"))

    def perform(self, actions: list[Json]) -> None:
        self._send("input.performActions", context=self._tab, actions=actions)

    def resize(self, width: int, height: int) -> None:
        self._send("browsingContext.setViewport", context=self._tab, viewport={"width": width, "height": height})

    def close(self) -> None:
        self._send("browser.close")

    def _send(self, method: str, **params: object) -> Json:
        """Send a command and return its result; no events come, since none are subscribed to."""
        self._sent += 1
        self._connection.send(json.dumps({"id": self._sent, "method": method, "params": params}))
        answer = json.loads(self._connection.recv(timeout=_ANSWER_SECONDS))
        if answer["type"] != "success":
            raise RuntimeError(f"{method}: {answer}")
        result: Json = answer["result"]
        return result


@contextmanager
def running_firefox(folder: Path, *, dark: bool) -> Iterator[Firefox]:
    """Run it with a profile of its own."""
    assert PROGRAM is not None
    profile, log = folder / "profile", folder / "firefox.log"
    profile.mkdir(parents=True)
    preferences = {**_PREFERENCES, "layout.css.prefers-color-scheme.content-override": 0 if dark else 1}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()]
    (profile / "user.js").write_text("".join(lines))
    command = [PROGRAM, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    process = processes.start(command, log=log)
    try:
        told = profile / "WebDriverBiDiServer.json"
        processes.wait_ready("Firefox", process, lambda: told.exists() and told.read_text().endswith("}"), log=log)
        port = json.loads(told.read_text())["ws_port"]
        with connect(f"ws://127.0.0.1:{port}/session", max_size=None) as connection:
            firefox = Firefox(connection)
            yield firefox
            firefox.close()
    finally:
        processes.stop(process, grace=10)
