"""WebKitGTK's MiniBrowser on a screen in memory, by its WebDriver."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from pods.driven_page import PageLeft
from tapedeck_crds.json import Json
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.ports import free_port
from waits import eventually

PROGRAM = shutil.which("WebKitWebDriver")
SCREEN = shutil.which("Xvfb")
_BROWSERS = "lib/*/webkit2gtk-*/MiniBrowser"
_ANSWER_SECONDS = 120.0  # for a busy machine
_SCRIPT_SECONDS = 20.0
# The buttons above the page are narrow, so that a window can be as narrow as a phone.
_STYLE = "button, entry { min-width: 0; margin: 0; padding: 0; border: 0 }"


class WebKit:
    """A driver: see driven_page.py."""

    def __init__(self, client: httpx.Client, *, dark: bool) -> None:
        self._client = client
        options = {"binary": _mini_browser(), "args": ["--automation", *(["--dark-mode"] if dark else [])]}
        wanted = {"pageLoadStrategy": "eager", "webkitgtk:browserOptions": options}
        self._session = ""
        made = self._post("", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/{made['sessionId']}"

    def open(self, url: str) -> None:
        self._post("/url", {"url": url})

    def evaluate(self, expression: str) -> Any:
        try:
            return self._post("/execute/sync", {"script": f"return {expression}", "args": []}, _SCRIPT_SECONDS)
        except httpx.ReadTimeout as error:  # the driver forgets a script whose document is unloaded
            raise PageLeft(expression) from error

    def perform(self, actions: list[Json]) -> None:
        self._post("/actions", {"actions": actions})

    def resize(self, width: int, height: int) -> None:
        outside = self.evaluate("outerHeight - innerHeight")
        self._post("/window/rect", {"width": width, "height": height + outside})
        eventually(lambda: self.evaluate("[innerWidth, innerHeight]") == [width, height])

    def close(self) -> None:
        self._client.delete(f"/session{self._session}").raise_for_status()

    def _post(self, path: str, body: Json, seconds: float = _ANSWER_SECONDS) -> Any:
        answer = self._client.post(f"/session{self._session}{path}", json=body, timeout=seconds)
        if answer.is_error:
            error = PageLeft if "before the unload event" in answer.text else RuntimeError
            raise error(f"{path}: {answer.text}")
        return answer.json()["value"]


@contextmanager
def running_webkit(folder: Path, *, dark: bool) -> Iterator[WebKit]:
    """Run it with a folder of settings of its own."""
    assert PROGRAM is not None
    style = folder / "gtk-3.0" / "gtk.css"
    style.parent.mkdir(parents=True)
    style.write_text(_STYLE)
    port, log = free_port(), folder / "webkit.log"
    with _screen(folder) as display:
        env = {
            **os.environ,
            "DISPLAY": display,
            "XDG_CONFIG_HOME": str(folder),
            "NO_AT_BRIDGE": "1",
            "LC_ALL": "C.UTF-8",  # the language of a system that has none: the page is drawn all the same
        }
        process = processes.start([PROGRAM, f"--port={port}"], log=log, env=env)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=_ANSWER_SECONDS) as client:
                processes.wait_ready("WebKitWebDriver", process, lambda: _answers(client), log=log)
                webkit = WebKit(client, dark=dark)
                yield webkit
                webkit.close()
        finally:
            processes.stop(process, grace=10)


@contextmanager
def _screen(folder: Path) -> Iterator[str]:
    """The name of a display that the server has chosen."""
    assert SCREEN is not None
    log = folder / "screen.log"
    command = [SCREEN, "-displayfd", "1", "-screen", "0", "1600x1000x24", "-nolisten", "tcp", "-noreset"]
    process = processes.start(command, log=log)
    try:
        processes.wait_ready("Xvfb", process, lambda: _display(log) is not None, log=log)
        yield f":{_display(log)}"
    finally:
        processes.stop(process, grace=10)


def _display(log: Path) -> str | None:
    found = re.search(r"^\d+$", log.read_text(), re.MULTILINE)
    return found and found[0]


def _answers(client: httpx.Client) -> bool:
    try:
        return bool(client.get("/status").json()["value"]["ready"])
    except httpx.TransportError:
        return False


def _mini_browser() -> str:
    """The browser of the driver's package, which is not on the path."""
    return str(next(Path("/usr").glob(_BROWSERS)))
