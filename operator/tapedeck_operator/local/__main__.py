"""``python -m tapedeck_operator.local HOME PORT``: the deck's daemon."""

from __future__ import annotations

import sys

from tapedeck_operator.local.deck import run_foreground
from tapedeck_operator.local.errors import DeckError
from tapedeck_operator.local.home import Home


def main() -> int:
    try:
        run_foreground(Home.at(sys.argv[1]), int(sys.argv[2]))
    except DeckError as error:
        print(f"error: {error}".replace("\n", " | "), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
