"""A pod whose metrics count nothing: ``python -m bench.unobserved MODULE``."""

from __future__ import annotations

import importlib
import runpy
import sys

from prometheus_client import Counter, Gauge, Histogram

from tapedeck_common.metrics import LateGauge

OF_A_POD = {
    "tapedeck_replay": ("tapedeck_replay.metrics", "LatenessHistogram", ("observe",)),
    "tapedeck_recorder": ("tapedeck_recorder.lag", "RecordingLag", ("assign", "read", "record", "see")),
}


def main(module: str) -> None:
    """Run the module as a program."""
    place, name, methods = OF_A_POD[module]
    own = getattr(importlib.import_module(place), name)
    for kind, names in (
        (Counter, ("inc",)),
        (Gauge, ("set", "inc", "dec")),
        (Histogram, ("observe",)),
        (LateGauge, ("set",)),
        (own, methods),
    ):
        for each in names:
            if not callable(getattr(kind, each)):
                raise TypeError(f"{kind.__name__}.{each}: expected a method")
            setattr(kind, each, _nothing)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _nothing(*_: object) -> None:
    pass


if __name__ == "__main__":
    main(sys.argv[1])
