"""The names in a PromQL expression, found by a scanner of its tokens."""

from __future__ import annotations

import re

_NOISE = re.compile(
    r'"(?:\\.|[^"\\])*"'  # strings
    r"|\[[^\]]*\]"  # ranges
    r"|\{\{\w+\}\}|\$\w+"  # Grafana variables
)
_LABELS = re.compile(r"\{([^}]*)\}")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_WORD = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_NUMBER = re.compile(r"\b\d+(?:\.\d+)?(?:e[+-]?\d+|[smhd])?\b")
WORDS = {
    "sum", "max", "min", "count", "rate", "increase", "deriv", "histogram_quantile", "last_over_time", "absent",
    "vector", "label_values", "or", "and", "unless", "offset", "changes", "Inf", "time", "label_replace", "avg",
    "topk", "max_over_time",
}  # fmt: skip


def metrics_of(expression: str) -> set[str]:
    """The names of the series that an expression reads."""
    text = _GROUPING.sub(" ", _LABELS.sub(" ", _NOISE.sub(" ", expression)))
    text = re.sub(r"^(label_values\(.*),\s*\w+\)$", r"\1)", text)
    return {word for word in _WORD.findall(_NUMBER.sub(" ", text)) if word not in WORDS}


def selectors_of(expression: str) -> list[tuple[str, str]]:
    """The name of each series that an expression reads, with its matchers; one that it reads twice is there twice."""
    names = metrics_of(expression)
    found = re.findall(rf"({_WORD.pattern})(?:\{{([^}}]*)\}})?", expression)
    return [(name, matchers) for name, matchers in found if name in names]


def labels_of(expression: str) -> set[str]:
    """The names of the labels that an expression selects or groups by."""
    text = _NOISE.sub(" ", expression)
    matched = {word for inside in _LABELS.findall(text) for word in _WORD.findall(inside)}
    return matched | {word for inside in _GROUPING.findall(text) for word in _WORD.findall(inside)}
