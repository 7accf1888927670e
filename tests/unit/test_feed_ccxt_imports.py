"""A pod's ccxt has one exchange, which is the one that a ccxt as it comes has."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

TELL = """
import json, sys
{first}
import ccxt.pro
kind = ccxt.pro.{exchange}
loaded = [name for name in sys.modules if name.rpartition(".")[0] in ("ccxt", "ccxt.async_support", "ccxt.pro")]
described = kind().describe()
told = {{key: described[key] for key in ("id", "has", "urls", "timeframes", "fees")}}
names = sorted(name for name in dir(ccxt.pro) if name[0].isupper())
parents = [f"{{each.__module__}}.{{each.__name__}}" for each in kind.__mro__]
try:
    ccxt.pro.nonesuch
except AttributeError as error:
    refused = str(error)
print(json.dumps([loaded, [told, parents, names, ccxt.pro.exchanges, ccxt.pro.__version__, refused]]))
"""


def ccxt_with(first: str, exchange: str) -> tuple[set[str], list[Any]]:
    """The modules of ccxt that are loaded, and what is told of the exchange."""
    code = TELL.format(first=first, exchange=exchange)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    loaded, told = json.loads(run.stdout)
    return set(loaded), told


def test_one_exchange_is_loaded_and_is_the_same() -> None:
    """One that is made of another, and looks for its own REST class where the package has it."""
    loaded, told = ccxt_with("import tapedeck_feed.exchanges.ccxt", "binanceus")
    all_loaded, expected = ccxt_with("", "binanceus")
    assert told == expected
    assert len(all_loaded) > 200
    of_exchanges = {name for name in loaded if name.rpartition(".")[2] in expected[3]}
    assert of_exchanges == {
        f"{package}.{kind}" for package in ("ccxt.pro", "ccxt.async_support") for kind in ("binance", "binanceus")
    }
