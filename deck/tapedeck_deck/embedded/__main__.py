"""``python -m tapedeck_deck.embedded HOME PORT [--metrics] [--traces=URL] [ORIGIN…]``: the deck's daemon."""

from __future__ import annotations

import signal
import sys

from tapedeck_deck.interruption import interruptible


def main() -> int:
    """Exit 0 after SIGINT or SIGTERM, and 1 after an error, with a line that begins with ``error:``."""
    try:
        with interruptible(signal.SIGINT, signal.SIGTERM):  # also during the imports
            return _run()
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second one must not change the exit code
            signal.signal(number, signal.SIG_IGN)
        return 0


def _run() -> int:
    from tapedeck_deck.embedded.deck import METRICS_OPTION, TRACES_OPTION, run_foreground
    from tapedeck_deck.embedded.errors import DeckError
    from tapedeck_deck.embedded.problems import describe
    from tapedeck_deck.embedded.state_dir import StateDir

    try:
        home, port, *rest = sys.argv[1:]
        traces = next((each.removeprefix(TRACES_OPTION) for each in rest if each.startswith(TRACES_OPTION)), "")
        origins = [each for each in rest if not each.startswith("--")]
        run_foreground(StateDir.at(home), int(port), origins, metrics=METRICS_OPTION in rest, traces=traces)
    except (DeckError, OSError) as error:
        print(f"error: {describe(error)}".replace("\n", " | "), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
