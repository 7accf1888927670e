"""The commands with their arguments and options, as `--help` shows them."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import typer

from reference.markdown import code, prose, table
from tapedeck_deck.cli.app import app
from tapedeck_deck.cli.output import FORM

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
        "## Common options\n",
        table(
            ("option", "what it does"),
            [
                (
                    code("--home FOLDER"),
                    "The deck's folder, before any command or behind one that uses a deck. `TAPEDECK_HOME` names it, "
                    "too; `.tapedeck` if neither does.",
                ),
                (code("-o FORM"), _forms(group.commands)),
                (code("--version"), "Of `tapedeck` alone: prints the version."),
                (
                    code("--install-completion"),
                    "Of `tapedeck` alone: the shell completes commands, kinds, names, fields and forms.",
                ),
            ],
        ),
    ]
    for name, command in group.commands.items():
        parts += [f"## tapedeck {name}\n", *_about(command), *_parameters(command)]
    return "\n".join(parts)


def _forms(commands: dict[str, Any]) -> str:
    """Which commands have -o, and what it means where it is no format."""
    metavars = {
        name: each.metavar for name, command in commands.items() for each in command.params if "-o" in each.opts
    }
    without = [code(name) for name in commands if name not in metavars]
    others = [f"{code(name)} (`{metavar}`)" for name, metavar in metavars.items() if metavar != FORM]
    return (
        "The format of what a command prints; the table of the command says which it has. Of "
        f"{' and '.join(others)} it names what they write. {', '.join(without[:-1])} and {without[-1]} have no `-o`."
    )


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
