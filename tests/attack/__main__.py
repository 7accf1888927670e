"""``make attack [NAME=…]``: print each attack, what was tried, and what got through; exit 1 if anything did."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path

from attack import child
from attack.on_a_deck import ON_A_DECK, attack_deck
from attack.outcome import Outcome
from decks.process import running_deck

SEED = int(os.environ.get("TAPEDECK_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
# Name → inputs. TAPEDECK_ATTACK multiplies them.
COUNTS = {
    "resources": 2_000, "yaml": 1_000, "files": 1_000, "bombs": 100, "command-line": 500,
    "records": 1_000, "udf": 1_000, "rest": 1_000, "websocket": 500, "api": 2_000,
}  # fmt: skip
SHOWN = 20


def line(outcome: Outcome) -> str:
    """The outcome as text, columns apart by spaces."""
    held = "held" if not outcome.through else f"{len(outcome.through)} got through"
    return (
        f"{outcome.name:13} {outcome.tried:6,} tried  slowest {outcome.slowest:5.2f} s  "
        f"memory +{outcome.grown >> 20:3} MB  {held}"
    )


def main(wanted: str) -> int:
    """Run what is asked for; exit 2 for a name that is not known."""
    chosen = [name for name in COUNTS if wanted in ("", name)]
    if not chosen:
        print(f"NAME: got {wanted!r}, expected one of {', '.join(COUNTS)}", file=sys.stderr)
        return 2
    print(f"seed {SEED}", flush=True)
    factor = float(os.environ.get("TAPEDECK_ATTACK", "1"))
    counts = {name: int(COUNTS[name] * factor) for name in chosen}
    outcomes: list[Outcome] = []

    def show(outcome: Outcome) -> None:
        outcomes.append(outcome)
        print("\n".join([line(outcome), *(f"  {problem}" for problem in outcome.through[:SHOWN])]), flush=True)

    for name in child.attacks():
        if name in counts:
            show(child.run(name, SEED, counts[name]))
    if any(name in counts for name in ON_A_DECK):
        with tempfile.TemporaryDirectory(prefix="td-") as folder, running_deck(Path(folder) / "home") as running:
            for name in ON_A_DECK:
                if name in counts:
                    show(attack_deck(running, name, SEED, counts[name]))
    through = sum(len(outcome.through) for outcome in outcomes)
    print(f"{sum(outcome.tried for outcome in outcomes):,} inputs, {through} got through")
    return 1 if through else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
