"""What an attack tried, and what of it got through."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from tapedeck_deck.embedded.deadline import Deadline

HANG_SECONDS = 5.0  # of an idle machine
GIVE_UP_SECONDS = 60.0  # until a client of a busy machine no longer waits
MEMORY_BYTES = 256 * 1024 * 1024
SHOWN_CHARS = 200


@dataclass
class Outcome:
    """``through`` has a line for each input that was not held.

    ``slowest`` is in seconds of an idle machine, ``grown`` in bytes.
    """

    name: str
    tried: int = 0
    through: list[str] = field(default_factory=list)
    slowest: float = 0.0
    grown: int = 0

    def attempt(self, shown: object, call: Callable[[], str | None]) -> None:
        """Try one input. ``call`` returns what is wrong with the answer; it may raise only what is not held."""
        self.tried += 1
        clock = Deadline(HANG_SECONDS)
        try:
            problem = call()
        except Exception:
            problem = traceback.format_exc().strip().splitlines()[-1]
        hangs = clock.passed()
        self.slowest = max(self.slowest, clock.spent)
        if problem is None and hangs:
            problem = f"no answer in {HANG_SECONDS:g} s, it took {clock.spent:.1f} s"
        if problem is not None:
            self.add(f"{repr(shown)[:SHOWN_CHARS]}: {problem}")

    def add(self, problem: str) -> None:
        """Something got through."""
        self.through.append(problem)

    def check_memory(self, grown: int) -> None:
        """Memory that the attack made the process take, in bytes."""
        self.grown = max(self.grown, grown)
        if grown > MEMORY_BYTES:
            self.add(f"memory grew by {grown >> 20} MB, expected at most {MEMORY_BYTES >> 20} MB")
