"""Logs: one event a line, JSON on stderr, or coloured text on a terminal.

Fields have one name each: ``kind``, ``namespace``, ``name`` and ``uid`` of a resource, ``topic``, ``partition`` and
``offset`` of a record, ``exchange`` and ``symbol`` of a market, ``reason`` of a failure, ``repeated`` where a line
stands for several.
"""

from __future__ import annotations

import atexit
import logging
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import TextIO, cast

import structlog

from tapedeck_common.logs.libraries import ForwardingHandler, log_uncaught
from tapedeck_common.logs.output import UnfailingLog
from tapedeck_common.logs.repeats import EventDict, RepeatFilter
from tapedeck_common.logs.secrets import hide_secret, without_secrets

__all__ = ["UnfailingLog", "configure_logging", "flush_log", "hide_secret", "log"]

log: structlog.stdlib.BoundLogger = structlog.get_logger()
_on_flush: deque[Callable[[], None]] = deque(maxlen=1)  # of the last configuration


def flush_log() -> None:
    """Write the repetitions that were kept back: before the end of a process that skips what is done at its exit."""
    for flush in _on_flush:
        flush()


def configure_logging(level: str, fields: Mapping[str, str], output: TextIO | None = None) -> None:
    """Configure structlog and the standard library's logging; ``fields`` that are not empty are added to every line.

    Lines go to stderr where no ``output`` is given.
    """
    output = output or sys.stderr
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    target = UnfailingLog(output.fileno())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if output.isatty() else structlog.processors.JSONRenderer()
    )
    last: tuple[structlog.typing.Processor, ...] = (structlog.processors.format_exc_info, renderer, _hide)

    def write(event: EventDict) -> None:
        """A line that the filter kept back; it has passed what comes before the filter."""
        rendered: object = event
        for processor in last:
            rendered = processor(None, "", cast(EventDict, rendered))
        target.write(f"{rendered}\n")

    repeats = RepeatFilter(write)
    _on_flush.append(repeats.flush)
    structlog.configure(
        processors=[
            _adds({name: value for name, value in fields.items() if value}),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            repeats,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, target)),
        cache_logger_on_first_use=True,
    )
    atexit.register(flush_log)
    log_uncaught(log)
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[ForwardingHandler(log)], force=True)
    logging.captureWarnings(True)


def _adds(bound: Mapping[str, str]) -> structlog.typing.Processor:
    """Adds fields that a line does not have. A context variable would be missing in the lines of other threads."""

    def add(_logger: object, _method: str, event: EventDict) -> EventDict:
        for name, value in bound.items():
            event.setdefault(name, value)
        return event

    return add


def _hide(_logger: object, _method: str, line: object) -> str:
    return without_secrets(str(line))
