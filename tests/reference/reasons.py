"""The reasons of conditions and errors, each with its meaning and what to do."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

import yaml

import tapedeck_backtest
import tapedeck_common
import tapedeck_crds
import tapedeck_feed
import tapedeck_gateway
import tapedeck_recorder
import tapedeck_replay
import tapedeck_transform
from reference.markdown import code, prose, table
from tapedeck_crds.errors import EXIT_BAD_INPUT, EXIT_FAILED, EXIT_FENCED, TapedeckError
from tapedeck_operator.plan.conditions import APPLIED, DEGRADED, FINISHED, PODS_FAILING, READY
from tapedeck_operator.plan.reasons import REASONS

_ROOMS = {
    "any": tapedeck_crds, "any pod": tapedeck_common, "Feed": tapedeck_feed, "Replay": tapedeck_replay,
    "transforms": tapedeck_transform, "Backtest": tapedeck_backtest, "recorder": tapedeck_recorder,
    "gateway": tapedeck_gateway,
}  # fmt: skip
_CONDITIONS = (
    (READY, "The resource does what its spec says."),
    (FINISHED, "The run has ended: Complete, Degraded or Failed, which is final."),
    (APPLIED, "Its children are applied. Set only after one could not be."),
    (DEGRADED, "A Feed refuses a larger share of rows than permitted. Set only after that."),
    (PODS_FAILING, "Pods fail one after another, or one cannot start; others may work. Set only after that."),
)


_WRITTEN = yaml.safe_load((Path(__file__).parent / "reasons.yaml").read_text())
ACTIONS: dict[str, str] = _WRITTEN["errors"]
"""What to do, by the reason of an error's class."""
POD_REASONS: dict[str, dict[str, str]] = _WRITTEN["pods"]
"""Whose it is, its meaning and what to do, by a reason that is no class of errors."""


def page() -> str:
    """The page of reasons."""
    return "\n".join(
        [
            "# Conditions and reasons\n",
            "`conditions[].reason` is one word for programs, `message` is for people. `kubectl describe` and `tapedeck "
            "describe` show both.\n",
            table(("condition", "when it is True"), _CONDITIONS),
            "## Reasons that the operator sets\n",
            table(
                ("reason", "meaning", "what to do"),
                ((code(each), prose(each.meaning), prose(each.action) or "Nothing.") for each in REASONS),
            ),
            "## Reasons of errors\n",
            "A pod that ends with an error reports its reason, and the gateway answers it as `reason`. The exit "
            "code says "
            f"whether another try may help: {EXIT_FAILED}, it may; {EXIT_BAD_INPUT}, it cannot, and the Job "
            "fails at once; "
            f"{EXIT_FENCED}, a successor has taken over.\n",
            table(("reason", "of", "exit code", "HTTP status", "meaning", "what to do"), _error_rows()),
            "## Further reasons of pods\n",
            table(
                ("reason", "of", "meaning", "what to do"),
                ((code(reason), each["of"], each["meaning"], each["action"]) for reason, each in POD_REASONS.items()),
            ),
        ]
    )


def _error_rows() -> list[tuple[str, ...]]:
    rows = {
        (kind.reason, room): (
            code(kind.reason),
            room,
            str(kind.exit_code),
            str(kind.http_status),
            _first_sentence(kind),
            ACTIONS[kind.reason],
        )
        for room, package in _ROOMS.items()
        for kind in _errors_of(package.__name__)
        if "reason" in vars(kind)
    }
    return [rows[key] for key in sorted(rows)]


def _errors_of(package: str) -> list[type[TapedeckError]]:
    found: list[type[TapedeckError]] = []
    module = importlib.import_module(package)
    for each in pkgutil.walk_packages(module.__path__, f"{package}."):
        if each.name.endswith("__main__") or ".migrations" in each.name:
            continue
        values = vars(importlib.import_module(each.name)).values()
        kinds = (value for value in values if inspect.isclass(value) and value.__module__ == each.name)
        found.extend(kind for kind in kinds if issubclass(kind, TapedeckError))
    return found


def _first_sentence(kind: type[TapedeckError]) -> str:
    text = " ".join((inspect.getdoc(kind) or "").split())
    return prose(text.split(". ")[0].rstrip(".") + ".")
