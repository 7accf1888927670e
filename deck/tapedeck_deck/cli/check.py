"""`tapedeck check`: whether the strategies of Backtests look ahead, or trade on indicators that are not ready.

A strategy is run again and again over stored bars, in the pod that its Backtest would have; nothing is kept of it.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Backtest
from tapedeck_crds.parse import InvalidResource, parse_resource
from tapedeck_crds.report import BacktestReport
from tapedeck_deck.cli import config_map
from tapedeck_deck.embedded import processes
from tapedeck_deck.embedded.documents import Document
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import NotFound, Objects
from tapedeck_deck.embedded.pods import start_pod
from tapedeck_operator.plan import Settings
from tapedeck_operator.plan.names import APPLIED_FROM
from tapedeck_operator.plan.pods import run_job

PROGRAM = "tapedeck_backtest.bias_checks"
ANSWER_SECONDS = 1_800.0


def check(objects: Objects, documents: list[Document], namespace: str) -> dict[str, BacktestReport]:
    """What was found of each Backtest, by backtest/name. Raises DeckError, InvalidResource."""
    brought = _config_maps(documents)
    found = {f"backtest/{b.metadata.name}": _checked(objects, brought, b) for b in _backtests(documents, namespace)}
    if not found:
        raise DeckError("got no Backtest, expected at least one")
    return found


def _config_maps(documents: list[Document]) -> dict[str, Json]:
    """Those that come with the Backtests, by name: they need not be applied."""
    found: dict[str, Json] = {}
    for document in documents:
        content = document.content
        if isinstance(content, dict) and content.get("kind") == config_map.KIND:
            config_map.check({"metadata": {}} | content)
            found[content["metadata"]["name"]] = content
    return found


def _backtests(documents: list[Document], namespace: str) -> list[Backtest]:
    found = []
    for document in documents:
        content = document.content
        if not isinstance(content, dict) or content.get("kind") != "Backtest":
            continue
        given: Json = content["metadata"] if isinstance(content.get("metadata"), dict) else {}
        ours = {"uid": "check", "annotations": {APPLIED_FROM: str(document.folder)}}
        try:
            parsed = parse_resource(content | {"metadata": {"namespace": namespace} | given | ours})
        except InvalidResource as error:
            raise DeckError(f"{document.where}: {error}") from None
        if isinstance(parsed, Backtest):
            found.append(parsed)
    return found


def _checked(objects: Objects, brought: dict[str, Json], backtest: Backtest) -> BacktestReport:
    def lookup(kind: str, name: str) -> Json:
        if kind == config_map.KIND and name in brought:
            return brought[name]
        return objects.get(kind, backtest.metadata.namespace, name)

    settings = Settings(images={"backtest": PROGRAM}, operator_key=b"", http_port=0, files_beside_resource=True)
    template = run_job(backtest, settings)["spec"]["template"]["spec"]
    pod = {"metadata": {"name": "check", "namespace": backtest.metadata.namespace}, "spec": template}
    with tempfile.TemporaryDirectory(prefix="tapedeck-check-") as folder:
        log = Path(folder) / "log"
        try:
            running = start_pod(pod, start=processes.start_module, folder=Path(folder) / "pod", log=log, lookup=lookup)
        except NotFound as error:
            raise DeckError(str(error)) from None
        try:
            running.process.wait(ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            raise DeckError(f"{backtest.metadata.name}: no answer within {ANSWER_SECONDS:g} s") from None
        finally:
            running.process.kill()
            running.process.wait()
        if not running.termination_message:
            raise DeckError(f"{backtest.metadata.name}: {log.read_text(errors='replace')[-2000:]}")
        return BacktestReport.model_validate_json(running.termination_message)
