"""How files of LEAN are read, before they are imported: LEAN's names say all but the security type of a lone file."""

from __future__ import annotations

from typing import cast

from tapedeck_common.files.layouts.file_names import unified
from tapedeck_common.files.lean_bars import DEFAULT_MARKETS, TRADE_COLUMNS, zone_of
from tapedeck_common.files.lean_paths import INTERVALS, LeanFile, LeanLayout, lean_file
from tapedeck_common.files.recognized import Recognized
from tapedeck_common.files.source_files import SourceFile
from tapedeck_crds.files import LEAN, Files, SecurityType
from tapedeck_crds.intervals import Interval

PAIRED: tuple[SecurityType, ...] = ("forex", "crypto", "cryptofuture")


def recognize_lean(files: Files, file: SourceFile, declared: str | None) -> Recognized | None:
    """How a file of LEAN is read; None for another file. ``declared`` is the declared symbol. Raises InvalidFiles.

    A lone file of two currencies is one of a crypto: in those of forex times and prices are written alike.
    """
    found = lean_file(file)
    if found is None:
        return None
    symbol, is_pair = _symbol(found, files)
    security = files.security_type or (found.layout.security if found.layout else None)
    assumed = []
    if security is None and is_pair:
        security = "crypto"
        assumed.append("securityType is crypto")
    layout = found.layout or (security and LeanLayout(security, DEFAULT_MARKETS.get(security, ""), found.resolution))
    return Recognized(
        layout=LEAN,
        kind="bars",
        exchange=found.layout.market if found.layout else None,
        is_common=found.layout is None,
        symbol=declared or symbol,
        by_row=False,
        is_sure=True,
        interval=cast(Interval, INTERVALS[found.resolution]),
        unit="text" if found.resolution in ("hour", "daily") else "ms",
        zone=str(zone_of(layout, file)) if layout else "",
        columns={name: number for number, name in enumerate(("ts", *TRADE_COLUMNS[1:]), 1)},
        assumed=tuple(assumed),
        security_type=security,
    )


def _symbol(found: LeanFile, files: Files) -> tuple[str, bool]:
    """The symbol of a ticker, and whether it is one of two currencies."""
    ticker = found.ticker.upper()
    security = files.security_type or (found.layout.security if found.layout else None)
    pair = unified(ticker)
    if security in (None, *PAIRED) and "/" in pair:
        return pair, True
    return ticker, False
