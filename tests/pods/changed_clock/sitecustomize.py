"""Loaded by Python at its start, see set_clock.py: ``time.time`` is off by the seconds in the file, which may change.

The monotonic clock is the machine's, as where an administrator or NTP sets a clock.
"""

import os
import time
from pathlib import Path

_path, _time = Path(os.environ["TEST_CLOCK_FILE"]), time.time


def _changed() -> float:
    return _time() + float(_path.read_text("ascii"))


time.time = _changed
time.time_ns = lambda: int(_changed() * 1e9)
