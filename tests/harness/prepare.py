"""``python -m harness.prepare``: download and build what the tests need once, before a test waits for it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import timescale.chroot
from stores import debian, influxdb, questdb
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.jars import class_path

STEPS: dict[str, Callable[[], object]] = {
    "Kafka": class_path,
    "QuestDB": questdb.class_path,
    "InfluxDB": influxdb.program,
    "promtool": lambda: debian.unpacked("prometheus"),
    "TimescaleDB": timescale.chroot.chroot,
}


def main() -> None:
    """What cannot be made is reported; the tests that need it are skipped, and fail with CI=true."""
    for name, make in STEPS.items():
        try:
            make()
        except (DeckError, questdb.StoreNotInstallable, timescale.chroot.Unavailable) as error:
            print(f"the tests run without {name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
