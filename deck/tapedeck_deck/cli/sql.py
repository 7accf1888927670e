"""`tapedeck sql`: the rows of a statement as a table, CSV, YAML or JSON."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, TextIO

from tapedeck_deck.cli.output import CSV, JSON, TABLE, YAML, as_json_line, as_yaml_line
from tapedeck_deck.cli.printing import escaped, print_note
from tapedeck_deck.cli.progress import ProgressLines
from tapedeck_deck.cli.statement import Rows, StatementResult, require_distinct, running
from tapedeck_deck.cli.text_table import TextTable


def run_sql(dsn: str, statement: str, form: str) -> None:
    """Run a statement that reads, and print its rows on arrival. Raises DeckError."""
    with ProgressLines("the statement runs") as progress, running(dsn, statement) as result:
        batches = _until_first(progress, result.batches)
        count = _PRINTERS[form](result._replace(batches=batches), sys.stdout)
    if form == TABLE:
        print_note(f"({count:,} {'row' if count == 1 else 'rows'})")


def _until_first(progress: ProgressLines, batches: Iterator[Rows]) -> Iterator[Rows]:
    """The same batches; the progress is shown until the first one arrives."""
    for batch in batches:
        progress.end()
        yield batch


def print_table(result: StatementResult, out: TextIO) -> int:
    """Print aligned columns; returns the number of rows. Later batches use at least the widths of earlier ones."""
    table, count = TextTable(result.columns), 0
    for rows in result.batches:
        lines = table.lines([[cell_text(value) for value in row] for row in rows], header=not count)
        out.writelines(f"{line}\n" for line in lines)
        count += len(rows)
    if not count:
        out.writelines(f"{line}\n" for line in table.lines([]))
    return count


def print_csv(result: StatementResult, out: TextIO) -> int:
    """Print CSV with a header, and with control characters escaped; returns the number of rows.

    An empty cell is NULL or an empty text.
    """
    writer, count = csv.writer(out, lineterminator="\n"), 0
    writer.writerow(map(escaped, result.columns))
    for rows in result.batches:
        writer.writerows([escaped(cell_text(value)) for value in row] for row in rows)
        count += len(rows)
    return count


def print_json(result: StatementResult, out: TextIO) -> int:
    """Print an array with an object for each row, one a line; returns the number of rows. Raises DeckError."""
    count = 0
    for text in _objects(result):
        count += 1
        out.write(f"{'[' if count == 1 else ','}\n{text}")
    out.write("\n]\n" if count else "[]\n")
    return count


def print_yaml(result: StatementResult, out: TextIO) -> int:
    """Print a list with a mapping for each row, one a line; returns the number of rows. Raises DeckError."""
    count = 0
    for text in _objects(result):
        count += 1
        out.write(f"- {as_yaml_line(json.loads(text))}")
    if not count:
        out.write("[]\n")
    return count


_PRINTERS: dict[str, Callable[[StatementResult, TextIO], int]] = {
    TABLE: print_table,
    CSV: print_csv,
    YAML: print_yaml,
    JSON: print_json,
}


def cell_text(value: object) -> str:
    """A value as text: numbers to their last digit, nothing for NULL, JSON for arrays and documents."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(json_value(value), ensure_ascii=False)
    return repr(value) if isinstance(value, float) else str(value)


def json_value(value: Any) -> Any:
    """A value for JSON: numbers are exact, and what JSON has no number for is a text, as Postgres writes it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(Decimal(value))
    if isinstance(value, Decimal):
        return _exact(value)
    if isinstance(value, list):
        return [json_value(each) for each in value]
    if isinstance(value, dict):
        return {str(key): json_value(each) for key, each in value.items()}
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _exact(number: Decimal) -> int | float | str:
    """A numeric as the integer or float that equals it, else as its text."""
    if not number.is_finite():
        return str(number)
    if number == number.to_integral_value() and number.adjusted() < 40:
        return int(number)
    return float(number) if Decimal(repr(float(number))) == number else str(number)


def _objects(result: StatementResult) -> Iterator[str]:
    """Each row as a JSON object on one line. Raises DeckError where columns share a name."""
    require_distinct(result.columns)
    for rows in result.batches:
        for row in rows:
            fields = zip(result.columns, map(json_value, row), strict=True)
            yield as_json_line(dict(fields))
