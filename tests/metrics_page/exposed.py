"""Comparison of the page with what a running pod exposes."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from metrics_page.sections import EVERY_POD, Section

OF_LIBRARIES = ("process_", "python_", "stamina_")
"""What the page tells of in its introduction."""


def exposed(text: str) -> set[tuple[str, str, str]]:
    """Name, type and meaning of the metrics in an answer of /metrics, without those of libraries."""
    families = [each for each in text_string_to_metric_families(text) if not each.name.startswith(OF_LIBRARIES)]
    return {
        (each.name + ("_total" if each.type == "counter" else ""), each.type, each.documentation) for each in families
    }


def documented(*sections: Section) -> set[tuple[str, str, str]]:
    """The same of a pod with these sections of the page."""
    metrics = [metric for section in (EVERY_POD, *sections) for metric in section.metrics()]
    return {(metric.name, metric.type, metric.about) for metric in metrics}
