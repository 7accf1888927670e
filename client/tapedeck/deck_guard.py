"""``python deck_guard.py COMMAND HOME [FOLDER]``: ends a private deck when its program has ended.

It reads a pipe that the program holds, so that the deck also ends where the program is killed; then it removes FOLDER.
A byte means that the program ends the deck itself.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

DOWN_SECONDS = 100.0
START_SECONDS = 5.0  # until a deck that a killed program was starting has locked its folder, so that `down` finds it


def main(command: str, home: str, folder: str | None = None) -> int:
    """Wait for a byte or the end of standard input, stop the deck, remove the folder; returns the exit code."""
    was_killed = not sys.stdin.buffer.read(1)
    code = _down(command, home)
    if was_killed:
        time.sleep(START_SECONDS)
        code = _down(command, home)
    if code == 0 and folder is not None:  # the folder of a deck that runs stays
        shutil.rmtree(folder, ignore_errors=True)
    return code


def _down(command: str, home: str) -> int:
    words = [command, "--home", home, "down"]
    try:
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=DOWN_SECONDS, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
