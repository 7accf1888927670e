"""The alerts with the chart's own thresholds, as a rule file for a Prometheus without an operator."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

CHART = Path(__file__).parents[1]
SOURCE, BUILT = CHART / "files/alerts.template.yaml", CHART / "files/alerts.yaml"
_HEADER = """\
# Built from alerts.template.yaml and the thresholds of values.yaml by `make dashboards`. Jobs have the names of the
# chart's monitors, and Prometheus scrapes one release: where it scrapes others, or jobs of the same names, let the
# chart render the rules (metrics.alerts), which limits them to the release's namespace.
"""
# Matchers of the chart alone.
_NAMESPACES = re.compile(r", @(?:own|watched)@|\{@(?:own|watched)@\}")


def plain_rules() -> str:
    """The text of the rule file: what the chart renders by default."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())["metrics"]["alerts"]
    text = _NAMESPACES.sub("", SOURCE.read_text())
    named = {name: values[name] for name in ("runbooks", "storeClaims", "logClaims")}
    for name, value in (named | values["thresholds"]).items():
        text = text.replace(f"@{name}@", str(value))
    return _HEADER + text[text.index("groups:") :]
