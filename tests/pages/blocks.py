"""Fenced blocks of Markdown, with the mark in the comment before them.

``<!-- not-run: reason -->`` leaves a block out of a run. ``<!-- file: NAME -->`` writes it into a file of the reader's
folder. Without a mark a block of the language ``console`` is run: lines that begin with ``$ `` are commands, those
with ``> `` continue one, and all others are what is shown. A command that watches until Ctrl-C is ended after a few
seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<body>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"<!-- (?P<name>[\w-]+): (?P<value>[^>]+?) -->\s*\Z")
_WATCHES = re.compile(r" (-w|--watch)$|^tapedeck logs .* (-f|--follow)$|^tapedeck top( -o json)?$")
MARKS = ("not-run", "file")
WATCHED_SECONDS = 3


@dataclass(frozen=True)
class Block:
    """A fenced block. ``mark`` and ``value`` are those of the comment before it; empty without one."""

    page: Path
    line: int
    language: str
    text: str
    mark: str = ""
    value: str = ""

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands of a console block, each with its continuation lines."""
        found: list[str] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append(line[2:])
            elif line.startswith("> ") and found and found[-1].endswith("\\"):
                found[-1] += f"\n{line[2:]}"
        return found


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in their order."""
    text = page.read_text()
    for match in _FENCE.finditer(text):
        mark = _MARK.search(text[: match.start()])
        yield Block(
            page=page,
            line=text.count("\n", 0, match.start()) + 1,
            language=match["language"],
            text=match["body"],
            mark=mark["name"] if mark else "",
            value=mark["value"] if mark else "",
        )


def script(page: Path) -> tuple[dict[str, str], str]:
    """The files of a page by name, and its commands as one script that ends with the first that fails."""
    files: dict[str, str] = {}
    lines = ["set -euo pipefail"]
    for block in blocks(page):
        if block.mark == "file":
            files[block.value] = block.text
        elif block.language == "console" and block.mark != "not-run":
            for command in block.commands:
                lines += [f"echo '# {block.place}: '{_quoted(command.splitlines()[0])} >&2", _ended(command)]
    return files, "\n".join(lines) + "\n"


def _ended(command: str) -> str:
    """The command; one that watches is interrupted, which is not a failure."""
    plain = command.partition("  #")[0].rstrip()
    if not plain.startswith("tapedeck ") or not _WATCHES.search(plain):
        return command
    return f"timeout --signal=INT {WATCHED_SECONDS} {plain} || [ $? -eq 124 ]"


def _quoted(command: str) -> str:
    return "'" + command.replace("'", "'\\''") + "'"
