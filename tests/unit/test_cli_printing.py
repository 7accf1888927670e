"""What commands print: nothing from outside reaches a terminal in a form that it obeys, by whichever command."""

from __future__ import annotations

import ast
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import tapedeck_deck.cli
from decks.command import Run
from tapedeck_deck.cli.exports.outputs import StandardOutput
from tapedeck_deck.cli.output import as_json_line, as_yaml_stream
from tapedeck_deck.cli.printing import ask, coloured, escaped, print_text
from tapedeck_deck.cli.sql import print_csv, print_json, print_yaml
from tapedeck_deck.cli.statement import StatementResult

CLI = Path(tapedeck_deck.cli.__file__).parent
HOSTILE = "a\x1b]0;own\x07b\x9b31mc\u202ed\u2066"
PRINTING = frozenset({"print", "echo", "secho", "confirm", "prompt", "pprint", "print_json"})
STREAMS = frozenset({"stdout", "stderr"})
HARMLESS = frozenset({"isatty", "flush"})
# Where else something is printed, and why it may be.
EXCEPTIONS = {
    "printing.py:print_text": "it escapes",
    "printing.py:print_note": "it escapes",
    "printing.py:ask": "it escapes",
    "__init__.py:_loaded_app": "the names of a package and of Python's folder; the packages may be missing",
    "exports/outputs.py:__init__": "bytes for files and pipes; to a terminal it escapes",
    "sql.py:run_sql": "rows: cells are escaped, and JSON and YAML have escapes of their own",
    "top/run.py:_print_once": "tables of rich, whose texts view.py makes printable",
    "psql.py:open_shell": "it is the prompt, which reads",
}


def _violations(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Function and line of what prints anything but literals, or takes hold of a stream."""

    def visit(node: ast.AST, function: str) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            inside = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
            if _prints(child) or _takes_stream(child, node):
                yield inside, getattr(child, "lineno", 0)
            yield from visit(child, inside)

    yield from visit(tree, "")


def _prints(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
    return name in PRINTING and not all(isinstance(each, ast.Constant) for each in node.args)


def _takes_stream(node: ast.AST, parent: ast.AST) -> bool:
    """Whether this is sys.stdout or sys.stderr, and not to ask whether it is a terminal."""
    if not isinstance(node, ast.Attribute) or node.attr not in STREAMS:
        return False
    if not isinstance(node.value, ast.Name) or node.value.id != "sys":
        return False
    return not (isinstance(parent, ast.Attribute) and parent.attr in HARMLESS)


def test_commands_print_by_the_functions_that_escape() -> None:
    found: set[str] = set()
    lines: list[str] = []
    for path in sorted(CLI.rglob("*.py")):
        name = path.relative_to(CLI).as_posix()
        for function, line in _violations(ast.parse(path.read_text())):
            found.add(f"{name}:{function}")
            if f"{name}:{function}" not in EXCEPTIONS:
                lines.append(f"{name}:{line}: {function}")
    assert not lines, f"expected print_text, print_note or ask of printing.py: {lines}"
    assert found >= EXCEPTIONS.keys(), f"no longer needed: {sorted(EXCEPTIONS.keys() - found)}"


@pytest.mark.parametrize(
    "code",
    ["print(x)", "print(f'{x}')", "typer.echo(x)", "console.print(x)", "sys.stdout.write(x)", "out = sys.stdout"],
)
def test_the_check_finds_what_prints(code: str) -> None:
    assert [*_violations(ast.parse(f"def f(x):\n    {code}\n"))] == [("f", 2)]
    assert not [*_violations(ast.parse("def f(x):\n    print('fine')\n    sys.stdout.isatty()\n"))]


def test_texts_keep_lines_and_the_colours_of_phases(capsys: pytest.CaptureFixture[str]) -> None:
    print_text(f"{coloured('Failed')}\t{HOSTILE}\n\x1b[31mown\x1b[0m")
    out = capsys.readouterr().out
    assert out.startswith("\x1b[31mFailed\x1b[0m\ta\\x1b]0;own\\x07b\\x9b31mc\\u202ed")
    assert out.endswith("\n\\x1b[31mown\\x1b[0m\n")
    assert coloured("other") == "other" and escaped("币安\n") == "币安\n"


def test_a_question_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def confirm(text: str, **_: Any) -> bool:
        asked.append(text)
        return True

    monkeypatch.setattr("typer.confirm", confirm)
    assert ask(HOSTILE)
    assert asked == [escaped(HOSTILE)]


def test_rows_in_each_form() -> None:
    def printed(print_rows: Any, value: str) -> str:
        out = io.StringIO()
        print_rows(StatementResult([value], iter([[(value,)]])), out)
        assert out.getvalue().replace("\n", "").isprintable()
        return out.getvalue()

    assert json.loads(printed(print_json, HOSTILE)) == [{HOSTILE: HOSTILE}]
    assert yaml.safe_load(printed(print_yaml, HOSTILE)) == [{HOSTILE: HOSTILE}]
    assert printed(print_csv, HOSTILE) == f"{escaped(HOSTILE)}\n" * 2
    assert "币安" in printed(print_json, "币安") and "币安" in printed(print_yaml, "币安")


def test_documents() -> None:
    assert json.loads(as_json_line({"a": HOSTILE})) == {"a": HOSTILE} and as_json_line({"a": HOSTILE}).isascii()
    text = as_yaml_stream([{"a": HOSTILE}, {"b": "é"}])
    assert [*yaml.safe_load_all(text)] == [{"a": HOSTILE}, {"b": "é"}] and text.isascii()


def test_an_export_is_escaped_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream(io.TextIOWrapper):
        terminal = True

        def isatty(self) -> bool:
            return self.terminal

    for is_terminal, expected in ((True, escaped(HOSTILE)), (False, HOSTILE)):
        buffer = io.BytesIO()
        stream = Stream(buffer, encoding="utf-8")
        stream.terminal = is_terminal
        monkeypatch.setattr(sys, "stdout", stream)
        output = StandardOutput()
        data = HOSTILE.encode()
        output.write(data[:-1])  # within a character
        output.write(data[-1:])
        assert (output.tell(), buffer.getvalue().decode()) == (len(data), expected)


def test_a_dry_run_escapes_the_values_of_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("date,open,high,low,close,volume\n2024-01-02,1,2,0.5,1.5,10\n2024-01-03,\x1b]0;own\x07,2,1,1,10\n")
    shown = run(
        "import", str(file), "--symbol", "A/B", "--exchange", "x", "--interval", "1d", "--zone", "UTC", "--dry-run"
    )
    text = shown.stdout + shown.stderr
    assert "own" in text
    assert text.replace("\n", "").isprintable()
