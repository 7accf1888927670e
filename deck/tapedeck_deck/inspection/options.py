"""What a user says of files, by the names of options, as the fields of a Feed's files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tapedeck_crds.files import AUTO, LEAN
from tapedeck_deck.inspection.inspect import Declared

_TIME = {"unit": "unit", "timeFormat": "format", "zone": "zone", "stamp": "stamp"}
_FIELDS = (
    "kind", "securityType", "fileName", "delimiter", "decimal", "thousands", "encoding", "scale", "adjust", "columns",
)  # fmt: skip


def declared(options: Mapping[str, Any], own: Mapping[str, Any]) -> Declared:
    """What ``options`` say, None or "" for nothing, beside the fields of a layout of the user's own."""
    said = {name: value for name, value in options.items() if value not in (None, "")}
    time = {field: said[option] for option, field in _TIME.items() if option in said}
    fields = {**own, **{name: said[name] for name in _FIELDS if name in said}}
    if time or own.get("time"):
        fields["time"] = {**(own.get("time") or {}), **time}
    return Declared(
        fields={name: value for name, value in fields.items() if name not in ("exchange", "interval")},
        symbol=said.get("symbol"),
        exchange=said.get("exchange", own.get("exchange")),
        interval=said.get("interval", own.get("interval")),
    )


def default_layout(options: Mapping[str, Any]) -> str:
    """The layout where no option names one."""
    return LEAN if options.get("securityType") else AUTO
