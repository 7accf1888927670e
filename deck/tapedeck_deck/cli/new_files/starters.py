"""What `tapedeck new` writes: a file that is valid as it is, and, but for a feed of files, runs without any data."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import yaml

from tapedeck_crds.json import Json
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.resource import API_VERSION, NAME_MAX, NAME_PATTERN
from tapedeck_crds.text import quoted
from tapedeck_deck.cli.context import WrongArgument
from tapedeck_deck.cli.examples import EXAMPLES
from tapedeck_deck.cli.new_files.commented_yaml import commented
from tapedeck_deck.embedded.errors import DeckError

_BITCOIN: Json = {"symbol": "BTC/USD", "price": 60000, "volatility": 0.6, "volume": 12}
_MARKET: Json = {"symbols": [_BITCOIN], "bars": 2880, "seed": 1}
_OF_MARKET = "-market"
"""What the name of a run's own market ends with."""
_BROKER: Json = {"cash": 10000, "commissionPercent": 0.1}
_STRATEGY = '''"""A strategy for Backtrader.

`tapedeck apply -f NAME.yaml` runs it, `tapedeck describe backtest NAME` shows the result.
"""

import backtrader as bt


class CLASS(bt.Strategy):
    """Buys above the highest price of the last bars and sells below their lowest: put your own rules in its place."""

    # A Backtest sets these in spec.strategy.params, a sweep varies them.
    params = (("period", 20),)

    def __init__(self):
        # Indicators are made once. They end at the bar before this one: a bar's own high is never below its close.
        self.highest = bt.ind.Highest(self.data.high(-1), period=self.p.period)
        self.lowest = bt.ind.Lowest(self.data.low(-1), period=self.p.period)

    def next(self):
        # Called when a bar has closed. A market order fills at the open of the next bar.
        if not self.position and self.data.close[0] > self.highest[0]:
            self.buy()
        elif self.position and self.data.close[0] < self.lowest[0]:
            self.close()
'''


def new_files(what: str, name: str | None) -> dict[str, str]:
    """File name → text. Raises WrongArgument."""
    if what not in _STARTERS:
        raise WrongArgument(f"what: got {what!r}, expected one of {', '.join(_STARTERS)}, {EXAMPLES}")
    longest = NAME_MAX - len(_OF_MARKET) if what in ("backtest", "strategy") else NAME_MAX
    return _STARTERS[what](checked_name(name or f"my-{what}", longest))


def checked_name(name: str, longest: int = NAME_MAX) -> str:
    """A name that a resource may have, of at most ``longest`` characters. Raises WrongArgument."""
    if len(name) > longest or not re.fullmatch(NAME_PATTERN, name):
        raise WrongArgument(
            f"name: got {quoted(name)}, expected a-z, 0-9 and -, at most {longest} characters, beginning and ending "
            "with a letter or a digit"
        )
    return name


def write_files(files: dict[str, str], folder: Path, *, replace: bool) -> list[Path]:
    """Write the files and return their paths. Raises DeckError where one exists, and then writes none."""
    paths = [folder / name for name in files]
    if not replace and (existing := [str(path) for path in paths if path.exists()]):
        raise DeckError(f"{', '.join(existing)} exists already: give another name, or --force to replace it")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in zip(paths, files.values(), strict=True):
        path.write_text(text)
    return paths


def _feed(name: str) -> dict[str, str]:
    files = {
        "exchange": "my-exchange",
        "interval": "1m",
        "sets": [{"symbol": "BTC/USD", "path": "data/*.csv"}],
    }
    return _file(
        name,
        "A Feed of files, whose layout is recognized. `tapedeck import FILE…` does the same without a file like this.",
        commented(_resource("Feed", name, {"source": {"files": files}})),
    )


def _replay(name: str) -> dict[str, str]:
    spec: Json = {"source": {"synthetic": _MARKET}, "speed": 3600}
    return _file(
        name,
        "Two days of an invented market in 48 seconds. source.store plays what is stored in the same way.",
        commented(_resource("Replay", name, spec)),
    )


def _scenario(name: str) -> dict[str, str]:
    scenario = [
        {
            "shock": {"percent": -20, "duration": 600, "recovery": 14400, "recovered": 60},
            "from": "2024-01-01T12:00:00Z",
        },
        {"outage": {"percent": 100}, "from": "2024-01-02T00:00:00Z", "to": "2024-01-02T00:20:00Z"},
        {"delay": {"seconds": 1, "jitter": 4}},
    ]
    spec: Json = {"source": {"synthetic": _MARKET}, "scenario": scenario, "speed": 3600}
    return _file(
        name,
        "An invented market with a crash of 20 percent, an outage of 20 minutes and late bars. The same changes apply "
        "to source.store.",
        commented(_resource("Replay", name, spec)),
    )


def _backtest(name: str) -> dict[str, str]:
    strategy = {"builtin": "sma-cross", "params": {"fast": 10, "slow": 30}}
    return _file(name, "A built-in strategy on a market of its own.", _market(name), _run(name, strategy))


def _strategy(name: str) -> dict[str, str]:
    module = name.replace("-", "_")
    if not module.isidentifier():
        raise WrongArgument(
            f"name: got {name!r}, expected a letter first, then a-z, 0-9 and -: it names a Python module"
        )
    title = "".join(word.capitalize() for word in module.split("_"))
    strategy = {"module": f"{module}:{title}", "params": {"period": 20}}
    text = _STRATEGY.replace("NAME", name).replace("CLASS", title)
    title_line = f"The strategy in {module}.py on a market of its own."
    return {f"{module}.py": text, **_file(name, title_line, _market(name), _run(name, strategy))}


def _market(name: str) -> str:
    """The market of a run: an invented one, which needs no stored data."""
    document = _resource("Replay", f"{name}{_OF_MARKET}", {"source": {"synthetic": _MARKET}, "unpaced": True})
    return yaml.safe_dump(document, sort_keys=False)


def _run(name: str, strategy: Json) -> str:
    data = {"replay": {"name": f"{name}{_OF_MARKET}"}}
    spec: Json = {"strategy": strategy, "data": data, "broker": _BROKER, "sizer": {"percent": 95}}
    return commented(_resource("Backtest", name, spec))


def _resource(kind: str, name: str, spec: Json) -> Json:
    document: Json = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    parse_resource(document)
    return document


def _file(name: str, title: str, *documents: str) -> dict[str, str]:
    sentences = re.sub(r"(?<=\.) ", "\n# ", title)
    return {f"{name}.yaml": f"# {sentences}\n" + "---\n".join(documents)}


_STARTERS: dict[str, Callable[[str], dict[str, str]]] = {
    "feed": _feed,
    "replay": _replay,
    "backtest": _backtest,
    "strategy": _strategy,
    "scenario": _scenario,
}
WHAT = tuple(_STARTERS)
