"""What exchanges have, and how large a download is: asked by the program of the feed workload, as its pods would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tapedeck_crds.errors import EXIT_BAD_INPUT
from tapedeck_crds.json import Json
from tapedeck_crds.text import printable
from tapedeck_deck.cli.progress import ProgressLines
from tapedeck_deck.cli.text_table import TextTable
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.services import endpoint_policy
from tapedeck_deck.embedded.state_dir import StateDir

COMMAND = (sys.executable, "-m", "tapedeck_feed.offer")
TIMEOUT_SECONDS = 300.0
AT_ONCE = 8
ERROR_MAX = 1_000


class NoOffer(DeckError):
    """An exchange cannot be asked. ``is_final`` tells that asking again cannot help."""

    def __init__(self, message: str, *, is_final: bool) -> None:
        super().__init__(message)
        self.is_final = is_final


def offer_of(home: StateDir, spec: Json) -> Json:
    """What the exchange of a Feed's spec has of its symbols, with the size of its backfill. Raises NoOffer."""
    policy = endpoint_policy(home.endpoints_file).model_dump_json()
    environment = {**os.environ, "TAPEDECK_SPEC": json.dumps(spec), "TAPEDECK_ENDPOINTS": policy}
    try:
        done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        raise NoOffer(f"{spec['exchange']}: got no answer within {TIMEOUT_SECONDS:g} s", is_final=False) from None
    if done.returncode:
        reason = printable(done.stderr.strip()[-ERROR_MAX:], keep="\n")
        raise NoOffer(reason or f"{spec['exchange']}: got no answer", is_final=done.returncode == EXIT_BAD_INPUT)
    found: Json = json.loads(done.stdout)
    return found


def offers_of(home: StateDir, specs: Sequence[Json]) -> list[Json | NoOffer]:
    """The offers of several exchanges, asked at the same time; a NoOffer for one that cannot be asked."""

    def ask(spec: Json) -> Json | NoOffer:
        try:
            return offer_of(home, spec)
        except NoOffer as error:
            return error

    exchanges = ", ".join(str(spec["exchange"]) for spec in specs)
    with ProgressLines(f"asking {exchanges}"), ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(ask, specs))


def symbol_lines(offers: Sequence[Json]) -> list[str]:
    """The symbols of exchanges as a table; steps are empty where an exchange gives none."""
    rows = [
        [
            offer["exchange"],
            each["symbol"],
            each["base"],
            each["quote"],
            _step(each["priceStep"]),
            _step(each["amountStep"]),
        ]
        for offer in offers
        for each in offer["symbols"]
    ]
    return TextTable(("exchange", "symbol", "base", "quote", "price step", "amount step")).lines(rows)


def summary(offer: Json) -> str:
    """What an exchange offers, in a line."""
    intervals = ", ".join(offer["intervals"]) or "no interval"
    return (
        f"{offer['exchange']}: {len(offer['symbols']):,} symbols; bars of {intervals}; "
        f"{offer['barsPerRequest']:,} bars a request, {_pace(offer['secondsPerRequest'])}"
    )


def size(offer: Json) -> str:
    """What a download takes, in a line, said before it begins."""
    found = offer["estimate"]
    symbols = len(offer["symbols"])
    return (
        f"{offer['exchange']}: {found['bars']:,} bars of {symbols:,} symbol{'' if symbols == 1 else 's'}: "
        f"{found['requests']:,} requests, about {duration(found['seconds'])} at {_pace(offer['secondsPerRequest'])}; "
        "fewer where bars are stored"
    )


def duration(seconds: float) -> str:
    """A time as people say it: 40 s, 12 minutes, 3.5 hours, 2.1 days."""
    if seconds < 120:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 3 * 3_600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3_600:.1f} hours" if seconds < 2 * 86_400 else f"{seconds / 86_400:.1f} days"


def _pace(seconds: float) -> str:
    return f"{1 / seconds:.3g} requests a second" if seconds > 0 else "no limit of requests"


def _step(step: float | None) -> str:
    return "" if step is None else f"{step:.12f}".rstrip("0").rstrip(".")
