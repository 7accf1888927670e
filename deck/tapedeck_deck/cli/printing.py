"""How commands print: text from outside, such as a file's values or an exchange's answer, is not obeyed by a terminal.

All output goes through ``print_text`` and ``print_note``; a test forbids any other way.
"""

from __future__ import annotations

import re
import sys

import typer

from tapedeck_crds.text import printable

_PHASES = {
    "Running": "36", "Complete": "32", "Succeeded": "32", "Failed": "31", "Degraded": "33", "Paused": "33",
    "Pending": "33",
}  # fmt: skip
_COLOURED = re.compile("|".join(f"(?:\x1b\\[{code}m{phase}\x1b\\[0m)" for phase, code in _PHASES.items()))


def coloured(text: str) -> str:
    """The text of a phase in its colour; any other text as it is."""
    return f"\x1b[{_PHASES[text]}m{text}\x1b[0m" if text in _PHASES else text


def escaped(text: str) -> str:
    r"""The text as a terminal shows it: all that it would obey as an escape such as ``\x1b``, but for lines and tabs.

    Phases that ``coloured`` made keep their colour.
    """
    if text.isprintable():
        return text
    parts, end = [], 0
    for found in _COLOURED.finditer(text):
        parts += [printable(text[end : found.start()], keep="\n\t"), found[0]]
        end = found.end()
    return "".join([*parts, printable(text[end:], keep="\n\t")])


def print_text(text: str = "", *, end: str = "\n", flush: bool = False) -> None:
    """Print a text, escaped, on standard output."""
    print(escaped(text), end=end, flush=flush)


def print_note(text: str) -> None:
    """Print a line, escaped, on standard error: standard output holds only data."""
    print(escaped(text), file=sys.stderr)


def ask(question: str) -> bool:
    """Ask a question, escaped, on standard error, and return whether the answer is yes."""
    return typer.confirm(escaped(question), err=True)
