"""The layouts of files that are recognized by name."""

from __future__ import annotations

from reference.markdown import code, prose, table
from tapedeck_crds.file_presets import preset_document, preset_names
from tapedeck_crds.files import AUTO, LEAN, MESSAGES


def page() -> str:
    """The page of layouts."""
    return "\n".join(
        [
            "# Layouts of files\n",
            f"A Feed's `spec.source.files.format` is {code(AUTO)} if omitted: what files hold is told by their "
            "content, "
            "whatever their names ([files and columns](../guides/files.md)). A name declares a layout, and files "
            "that are "
            "not of it are refused.\n",
            table(("name", "what it is", "rows", "exchange", "source of the layout"), map(_row, preset_names())),
            f"{code(LEAN)} (QuantConnect LEAN's zips) and {code(MESSAGES)} (messages of Binance's websocket, one "
            "on each "
            "line) have a reader of their own.\n",
        ]
    )


def _row(name: str) -> tuple[str, ...]:
    preset = preset_document(name)
    source = str(preset.get("source", ""))
    link = f"[link]({source})" if source.startswith("http") else prose(source)
    return code(name), prose(preset["about"]), str(preset.get("kind", "")), str(preset.get("exchange", "")), link
