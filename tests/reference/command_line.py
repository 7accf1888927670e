"""The commands with their arguments and options, as `--help` shows them."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import typer

from reference.markdown import code, prose, table
from tapedeck_deck.cli.app import app

_EXIT_CODES = (
    ("0", "done"),
    ("1", "refused, failed, unhealthy or not found: the message says why and what to do"),
    ("2", "wrong arguments"),
    ("130", "Ctrl-C"),
)


def page() -> str:
    """The page of the command line."""
    group: Any = typer.main.get_command(app)
    parts = [
        "# Command line\n",
        "`tapedeck` without a command shows five things to do next. Data is printed on standard output, notes "
        "and errors "
        "on standard error. `tapedeck COMMAND --help` shows what stands here.\n",
        "## Exit codes\n",
        table(("code", "meaning"), _EXIT_CODES),
        "## Options of every command\n",
        table(
            ("option", "what it does"),
            [
                (
                    code("--home FOLDER"),
                    "The deck's folder. `TAPEDECK_HOME` names it, too; `.tapedeck` if neither does.",
                ),
                (
                    code("-o FORM"),
                    "The format, where a command prints data: `table` or `text`, `wide`, `json`, `yaml`, `name`.",
                ),
                (code("--version"), "Of `tapedeck` alone: prints the version."),
                (
                    code("--install-completion"),
                    "Of `tapedeck` alone: the shell completes commands, kinds, names and fields.",
                ),
            ],
        ),
    ]
    for name, command in group.commands.items():
        parts += [f"## tapedeck {name}\n", *_about(command), *_parameters(command)]
    return "\n".join(parts)


def _about(command: Any) -> list[str]:
    """The text of the help: paragraphs, and blocks that keep their lines."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", textwrap.dedent(command.help or "")):
        head, _, kept = paragraph.partition("\b\n")
        if head.strip():
            found.append(f"{prose(head)}\n")
        if kept:
            found.append(f"```text\n{textwrap.dedent(kept).rstrip()}\n```\n")
    return found


def _parameters(command: Any) -> list[str]:
    rows = [
        (code(_name(each)), prose(each.help or ""), _default(each))
        for each in command.params
        if each.name not in ("help", "home")
    ]
    return [table(("argument or option", "what it does", "default"), rows)] if rows else []


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    names = ", ".join((*parameter.opts, *parameter.secondary_opts))
    metavar = parameter.metavar or ("" if parameter.is_flag else _type(parameter))
    return f"{names} {metavar}".strip()


def _type(parameter: Any) -> str:
    return str(parameter.bare_type()).strip("<>").upper()


def _default(parameter: Any) -> str:
    default = parameter.default
    if parameter.required:
        return "required"
    if (
        default is None
        or default is False
        or default == ()
        or callable(default)
        or str(default) in ("", "Sentinel.UNSET")
    ):
        return ""
    return code(default)
