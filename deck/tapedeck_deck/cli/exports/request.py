"""The options of an export as what is to be done, or as a message of what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tapedeck_deck.cli.context import WrongArgument
from tapedeck_deck.cli.exports import arrow_file, backtrader, csv_text, freqtrade, json_lines, lean_zip, parquet
from tapedeck_deck.cli.exports.format import ExportFormat, FolderLayout
from tapedeck_deck.cli.exports.kinds import KINDS, ExportColumn, ExportKind
from tapedeck_deck.cli.exports.outputs import STDOUT
from tapedeck_deck.cli.exports.selection import ExportSelection
from tapedeck_deck.cli.object_store import is_object

_MODULES = (csv_text, json_lines, parquet, arrow_file, freqtrade, lean_zip, backtrader)
FORMATS: dict[str, ExportFormat] = {module.FORMAT.name: module.FORMAT for module in _MODULES}


@dataclass(frozen=True)
class ExportRequest:
    """``output`` is a file, a folder (with ``layout``) or STDOUT; ``empty``: the folder must have no files yet."""

    kind: ExportKind
    format: ExportFormat
    selection: ExportSelection
    output: str
    layout: Callable[[Sequence[ExportColumn]], FolderLayout] | None
    empty: bool


def parse_request(
    kind_name: str, selection: ExportSelection, format_name: str | None, output: str | None, partition: Sequence[str]
) -> ExportRequest:
    """The request of these options; the format is that of the file's suffix where none is given.

    Raises WrongArgument.
    """
    kind = KINDS.get(kind_name)
    if kind is None:
        raise WrongArgument(f"KIND: got {kind_name!r}, expected {', '.join(KINDS)}")
    selection.check(kind)
    form = _format(format_name, output, bool(partition))
    if form.of_bars and kind.name != "bars":
        raise WrongArgument(
            f"--format: got {form.name} for {kind.name}, which it cannot hold; expected csv, jsonl, parquet or arrow"
        )
    if form.one_series and not selection.is_one_series(kind):
        raise WrongArgument(
            f"--format: {form.name} has one series in a file; choose it by --exchange, --symbol and --interval"
        )
    if partition and form is not parquet.FORMAT:
        raise WrongArgument(f"--partition: got it for {form.name}, expected --format parquet")
    layout = parquet.partitioned(kind, partition) if partition else form.layout
    if output is not None and "://" in output and not is_object(output):
        raise WrongArgument(f"--output: got {output}, expected a file, a folder, s3:// or gs://")
    if output in (None, STDOUT) and layout is not None:
        raise WrongArgument("--output: expected a folder for the files")
    if output is None and form.binary:
        raise WrongArgument(f"--output: expected a file for {form.name}, or - for standard output")
    return ExportRequest(kind, form, selection, output or STDOUT, layout, empty=bool(partition))


def _format(name: str | None, output: str | None, partitioned: bool) -> ExportFormat:
    if name is not None:
        if name not in FORMATS:
            raise WrongArgument(f"--format: got {name!r}, expected {', '.join(FORMATS)}")
        return FORMATS[name]
    if partitioned:
        return parquet.FORMAT
    if output in (None, STDOUT):
        return csv_text.FORMAT
    suffix = Path(output or "").suffix.lower()
    for form in FORMATS.values():
        if suffix in form.suffixes:
            return form
    known = ", ".join(suffix for form in FORMATS.values() for suffix in form.suffixes)
    raise WrongArgument(f"--format: expected one of {', '.join(FORMATS)}, as {output} ends in none of {known}")
