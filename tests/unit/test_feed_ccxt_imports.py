"""A pod loads one exchange of ccxt, and it is the same as in an unchanged ccxt."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.slow

DESCRIBE = """
import json, sys
{first}
import ccxt.pro
kind = ccxt.pro.{exchange}
loaded = [name for name in sys.modules if name.rpartition(".")[0] in ("ccxt", "ccxt.async_support", "ccxt.pro")]
described = kind().describe()
facts = {{key: described[key] for key in ("id", "has", "urls", "timeframes", "fees")}}
names = sorted(name for name in dir(ccxt.pro) if name[0].isupper())
parents = [f"{{each.__module__}}.{{each.__name__}}" for each in kind.__mro__]
try:
    ccxt.pro.nonesuch
except AttributeError as error:
    refused = str(error)
print(json.dumps([loaded, [facts, parents, names, ccxt.pro.exchanges, ccxt.pro.__version__, refused]]))
"""


def ccxt_with(first: str, exchange: str) -> tuple[set[str], list[Any]]:
    """The modules of ccxt that are loaded, and the description of the exchange."""
    code = DESCRIBE.format(first=first, exchange=exchange)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900, check=True)
    loaded, description = json.loads(run.stdout)
    return set(loaded), description


def test_one_exchange_is_loaded_and_is_the_same() -> None:
    """An exchange that derives from another, and looks up its own REST class in the package."""
    loaded, description = ccxt_with("import tapedeck_feed.exchanges.ccxt", "binanceus")
    all_loaded, expected = ccxt_with("", "binanceus")
    assert description == expected
    assert len(all_loaded) > 200
    of_exchanges = {name for name in loaded if name.rpartition(".")[2] in expected[3]}
    assert of_exchanges == {
        f"{package}.{kind}" for package in ("ccxt.pro", "ccxt.async_support") for kind in ("binance", "binanceus")
    }
