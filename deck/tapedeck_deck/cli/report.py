"""`tapedeck report`: the report of a run as one file of HTML, which the gateway makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from tapedeck_crds.text import printable
from tapedeck_deck.cli.context import NOT_RUNNING
from tapedeck_deck.cli.exports.outputs import STDOUT, StandardOutput, whole_file
from tapedeck_deck.cli.progress import ProgressLines
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.state_dir import StateDir

TIMEOUT = httpx.Timeout(120.0, connect=5.0)
NAME = "report.html"


def save_report(home: StateDir, run: str, output: str) -> str:
    """Write the report of a run, given by its id or its Backtest's name, to a file or to standard output (-).

    Returns the id of the run. Raises DeckError.
    """
    facts = home.running()
    if facts is None:
        raise DeckError(NOT_RUNNING)
    token = home.control_token_file.read_text().strip()
    with ProgressLines("the gateway makes the report"), gateway_client(facts["gateway"], token) as client:
        run_id = find_run(client, run)
        content = _answer(client, f"runs/{quote(run_id, safe='')}/{NAME}").content
    if output == STDOUT:
        StandardOutput().write(content)
    else:
        with whole_file(Path(output)) as stream:
            stream.write(content)
    return run_id


def gateway_client(address: str, token: str, transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """A client of the deck's own gateway. It follows no redirect and uses no proxy: the token is for nobody else."""
    return httpx.Client(
        base_url=f"{address.rstrip('/')}/api/v1/",
        headers={"authorization": f"Bearer {token}"},
        timeout=TIMEOUT,
        trust_env=False,
        follow_redirects=False,
        transport=transport,
    )


def find_run(client: httpx.Client, run: str) -> str:
    """The id of the run of this id, else of the last run of the Backtest of this name. Raises DeckError."""
    found = _get(client, f"runs/{quote(run, safe='')}/metrics")
    if found.status_code == httpx.codes.OK:
        return run
    listed: list[Any] = _answer(client, "runs", {"name": run, "limit": "1"}).json()["runs"]
    named = [each for each in listed if each["name"] == run]  # an empty name lists all runs
    if not named:
        raise DeckError(f"run: got {run!r}, expected the id of a run, or its Backtest's name, in the store")
    return str(named[0]["run_id"])


def _answer(client: httpx.Client, path: str, query: dict[str, str] | None = None) -> httpx.Response:
    answer = _get(client, path, query)
    if answer.status_code != httpx.codes.OK:
        raise DeckError(f"gateway: {_detail(answer)}")
    return answer


def _get(client: httpx.Client, path: str, query: dict[str, str] | None = None) -> httpx.Response:
    try:
        return client.get(path, params=query)
    except httpx.HTTPError as error:
        raise DeckError(f"gateway: it does not answer ({error}); `tapedeck status` shows whether it runs") from error


def _detail(answer: httpx.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        told = None
    detail = told.get("detail") if isinstance(told, dict) else None
    return printable(str(detail or f"it answers with status {answer.status_code}"), keep="\n")
