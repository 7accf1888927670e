"""What `tapedeck` says without a command: the five things to do next."""

from __future__ import annotations

from tapedeck_crds.kinds import KINDS
from tapedeck_deck.cli.context import open_objects
from tapedeck_deck.cli.text_table import TextTable
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir

_FIRST = (
    ("tapedeck doctor", "check this machine: Python, disk, memory, ports, kernel"),
    ("tapedeck up", "start broker, database, recorder and page"),
    ("tapedeck new replay", "write a commented file: a market that never closes"),
    ("tapedeck apply -f my-replay.yaml", "play it, as with kubectl"),
    ("tapedeck explain replay.spec", "look up a field"),
)
_STOPPED = ("tapedeck up", "start the deck again, with all that it has")
_EMPTY = (
    ("tapedeck new replay", "write a commented file: a market that never closes"),
    ("tapedeck apply -f my-replay.yaml", "play it, as with kubectl"),
    ("tapedeck import FILE…", "load files of your own; their layout is recognized"),
    ("tapedeck page", "the address of the page, with its token"),
    ("tapedeck down", "stop the deck; its data is kept"),
)


def next_steps(home: StateDir) -> tuple[tuple[str, str], ...]:
    """Five commands with what each does, by what there is in the deck's folder. Raises DeckError."""
    if not home.objects.exists():
        return _FIRST
    with open_objects(home) as objects:
        steps = _steps_of(objects)
    return (_STOPPED, *steps[:4]) if home.running() is None else steps


def _steps_of(objects: Objects) -> tuple[tuple[str, str], ...]:
    first = {kind: found[0]["metadata"]["name"] for kind in KINDS if (found := objects.list(kind))}
    if not first:
        return _EMPTY
    steps = [("tapedeck get all -w", "watch the resources change")]
    if "Replay" in first:
        steps.append(
            (f"tapedeck patch replay {first['Replay']} --pause", "control it; --speed, --seek, --step, --loop")
        )
    if "Backtest" in first:
        steps.append((f"tapedeck describe backtest {first['Backtest']}", "return, drawdown, trades, and events"))
    else:
        steps.append(("tapedeck new strategy", "write a strategy of your own and a Backtest of it"))
    if "Feed" in first:
        steps.append((f"tapedeck errors feed/{first['Feed']}", "what it refused or lost, and where"))
    steps += [("tapedeck symbols", "what the store has, and how whole it is"), _EMPTY[3], _EMPTY[4]]
    return tuple(steps[:5])


def step_lines(steps: tuple[tuple[str, str], ...]) -> list[str]:
    """The steps as text."""
    table = TextTable(("", "")).lines([[f"  {command}", about] for command, about in steps], header=False)
    return ["Market data with the controls of a tape deck. Next:", *table, "All commands: tapedeck --help"]
