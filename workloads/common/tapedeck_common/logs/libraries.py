"""Lines of libraries, in the form of the program's own: librdkafka's, uvicorn's, kopf's, and what nobody caught."""

from __future__ import annotations

import logging
import re
import sys
import threading
from types import TracebackType

import structlog

_LIBRDKAFKA = re.compile(r"(?P<facility>\w+) \[(?P<client>[^\]]+)\] (?P<message>.*)", re.DOTALL)


class ForwardingHandler(logging.Handler):
    """Passes the standard library's records on to the program's log."""

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            event, fields = _fields_of(record)
            self._log.log(record.levelno, event, exc_info=record.exc_info, **fields)
        except Exception:  # a line that cannot be formatted ends no program
            self.handleError(record)


def _fields_of(record: logging.LogRecord) -> tuple[str, dict[str, str]]:
    text = record.getMessage()
    if record.name == "librdkafka" and (found := _LIBRDKAFKA.fullmatch(text)) is not None:
        return "librdkafka", found.groupdict()
    return text, {"logger": record.name}


def log_uncaught(log: structlog.stdlib.BoundLogger) -> None:
    """Write what ends the program or a thread to the log, as a line."""

    def on_exception(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None, thread: str = ""
    ) -> None:
        if not issubclass(kind, (KeyboardInterrupt, SystemExit)):
            where = {"thread": thread} if thread else {}
            log.critical("uncaught error", exc_info=(kind, error, traceback), **where)

    def on_thread_exception(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            name = args.thread.name if args.thread is not None else ""
            on_exception(args.exc_type, args.exc_value, args.exc_traceback, name)

    sys.excepthook = on_exception
    threading.excepthook = on_thread_exception
