"""``python -m attack.child NAME SEED COUNT``: an attack on the code itself, in a process whose memory is measured."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict

from attack.outcome import Outcome

Attack = Callable[[random.Random, int, Outcome], None]
SECONDS = 900


def attacks() -> dict[str, Attack]:
    """Name → attack. Their imports are heavy."""
    from attack.bombs import bombs
    from attack.command_line import command_line
    from attack.resources import resources, yaml_texts
    from attack.source_files import files

    return {"resources": resources, "yaml": yaml_texts, "files": files, "bombs": bombs, "command-line": command_line}


def run(name: str, seed: int, count: int) -> Outcome:
    """Run an attack in a process of its own. Raises subprocess.TimeoutExpired."""
    command = [sys.executable, "-m", "attack.child", name, str(seed), str(count)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if ended.returncode != 0:
        outcome = Outcome(name, tried=1)
        outcome.add(f"the process ended with {ended.returncode}: {ended.stderr[-300:]}")
        return outcome
    return Outcome(**json.loads(ended.stdout.splitlines()[-1]))


def main(name: str, seed: int, count: int) -> None:
    """Run the attack here and print its outcome as JSON."""
    attack, outcome = attacks()[name], Outcome(name)
    attack(random.Random(seed), 3, Outcome(name))  # loads what is loaded once
    before = _peak()
    attack(random.Random(seed), count, outcome)
    outcome.check_memory(_peak() - before)
    print(json.dumps(asdict(outcome)))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
