"""`tapedeck strategies` and `check`: the built-in strategies, and checks of a Backtest's strategy for biases.

The checks run the code of the backtest workload in a process of its own, as its pods do.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Backtest
from tapedeck_crds.parse import InvalidResource, parse_resource
from tapedeck_crds.report import BacktestReport
from tapedeck_deck.cli.printing import print_note
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.documents import Document
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.pods import start_pod
from tapedeck_deck.embedded.user_objects import CONFIG_MAP, validate_config_map
from tapedeck_operator.plan import Settings
from tapedeck_operator.plan.names import APPLIED_FROM
from tapedeck_operator.plan.pods import run_job
from tapedeck_operator.reconcile.errors import ObjectNotFound

CHECK_PROGRAM = "tapedeck_backtest.check"
CHECK_TIMEOUT_SECONDS = 1_800.0
PROGRESS_SECONDS, PROGRESS_SECONDS_MAX = 2.0, 30.0  # between lines that say that the checks run


def strategies_text(strategies: Sequence[Json]) -> str:
    """One block of text for each strategy: its name, its description, and each param with default and type."""
    blocks = []
    for strategy in strategies:
        lines = [strategy["name"], f"  {strategy['about']}"]
        lines += [
            f"    {name}: {json.dumps(param['default'])} ({param['type']})"
            for name, param in strategy["params"].items()
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def check_strategies(objects: Objects, documents: list[Document], namespace: str) -> dict[str, BacktestReport]:
    """The findings for each Backtest, by backtest/name. Nothing is stored. Raises DeckError, InvalidResource."""
    config_maps = _config_maps(documents)
    backtests = _backtests(documents, namespace)
    if not backtests:
        raise DeckError("got no Backtest, expected at least one")
    return {f"backtest/{b.metadata.name}": _check_strategy(objects, config_maps, b) for b in backtests}


def _config_maps(documents: list[Document]) -> dict[str, Json]:
    """The ConfigMaps among the documents, by name. They need not have been applied."""
    found: dict[str, Json] = {}
    for document in documents:
        content = document.content
        if isinstance(content, dict) and content.get("kind") == CONFIG_MAP:
            validate_config_map({"metadata": {}} | content)
            found[content["metadata"]["name"]] = content
    return found


def _backtests(documents: list[Document], namespace: str) -> list[Backtest]:
    found = []
    for document in documents:
        content = document.content
        if not isinstance(content, dict) or content.get("kind") != "Backtest":
            continue
        given: Json = content["metadata"] if isinstance(content.get("metadata"), dict) else {}
        added = {"uid": "check", "annotations": {APPLIED_FROM: str(document.folder)}}
        try:
            parsed = parse_resource(content | {"metadata": {"namespace": namespace} | given | added})
        except InvalidResource as error:
            raise DeckError(f"{document.where}: {error}") from None
        if isinstance(parsed, Backtest):
            found.append(parsed)
    return found


def wait_for_checks(process: processes.Process, name: str) -> None:
    """Wait for the checks to end, and say that they run. Raises DeckError after CHECK_TIMEOUT_SECONDS."""
    started = time.monotonic()
    pause = PROGRESS_SECONDS
    while (elapsed := time.monotonic() - started) < CHECK_TIMEOUT_SECONDS:
        try:
            process.wait(min(pause, CHECK_TIMEOUT_SECONDS - elapsed))
            return
        except subprocess.TimeoutExpired:
            print_note(f"backtest/{name}: checking for {time.monotonic() - started:.0f} s")
            pause = min(2 * pause, PROGRESS_SECONDS_MAX)
    raise DeckError(f"{name}: the checks did not end within {CHECK_TIMEOUT_SECONDS:g} s")


def _check_strategy(objects: Objects, config_maps: dict[str, Json], backtest: Backtest) -> BacktestReport:
    """Run the checks in the pod that the Backtest would have, without its resource."""

    def lookup(kind: str, name: str) -> Json:
        if kind == CONFIG_MAP and name in config_maps:
            return config_maps[name]
        return objects.get(kind, backtest.metadata.namespace, name)

    name = backtest.metadata.name
    settings = Settings(
        images={"backtest": CHECK_PROGRAM}, operator_key=b"", results_key=b"", http_port=0, files_beside_resource=True
    )
    template = run_job(backtest, settings)["spec"]["template"]["spec"]
    pod = {"metadata": {"name": "check", "namespace": backtest.metadata.namespace}, "spec": template}
    with tempfile.TemporaryDirectory(prefix="tapedeck-check-") as folder:
        log = Path(folder) / "log"
        try:
            running = start_pod(pod, start=processes.start_module, folder=Path(folder) / "pod", log=log, lookup=lookup)
        except ObjectNotFound as error:
            raise DeckError(str(error)) from None
        try:
            wait_for_checks(running.process, name)
        finally:
            running.process.kill()
            running.process.wait()
        if not running.termination_message:
            raise DeckError(f"{name}: {log.read_text(errors='replace')[-2000:]}")
        return BacktestReport.model_validate_json(running.termination_message)
