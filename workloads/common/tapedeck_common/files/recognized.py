"""What the recognition of a file returns."""

from __future__ import annotations

from dataclasses import dataclass

from tapedeck_crds.files import Kind, SecurityType
from tapedeck_crds.intervals import Interval


@dataclass(frozen=True)
class Recognized:
    """How a file is read. ``symbol``, ``interval`` and ``exchange`` are None where nothing says them.

    A layout that ``is_common`` may be that of another exchange. The symbol is None, too, where ``by_row`` each row says
    its own; it ``is_sure`` where a known currency in the file's name says it.
    ``columns`` are the names, or numbers from 1, of the fields' columns; ``assumed`` is what the file does not say.
    ``security_type`` is that of a file of LEAN.
    """

    layout: str
    kind: Kind
    exchange: str | None
    is_common: bool
    symbol: str | None
    by_row: bool
    is_sure: bool
    interval: Interval | None
    unit: str
    zone: str
    columns: dict[str, str | int]
    assumed: tuple[str, ...]
    security_type: SecurityType | None = None
