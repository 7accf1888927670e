"""``python -m dashboards``: write the JSON of each dashboard beside its source, and the plain rule file of the alerts.

With ``--check`` nothing is written, and the exit code is 1 where a file differs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import analytics, backtest, broker, feed, market, operator, overview, recorder, replay, rules, sweep

FOLDER = Path(__file__).parent
BUILDERS = (overview, market, analytics, replay, feed, backtest, sweep, recorder, broker, operator)


def documents() -> dict[Path, str]:
    """The text of each file."""
    boards = (module.build() for module in BUILDERS)
    return {FOLDER / _name(built): _text(built) for built in boards} | {rules.BUILT: rules.plain_rules()}


def main(arguments: list[str]) -> int:
    """Write the files, or compare them. Returns the exit code."""
    wanted = documents()
    stale = set(FOLDER.glob("*.json")) - wanted.keys()
    if arguments == ["--check"]:
        wrong = {path for path, text in wanted.items() if not path.is_file() or path.read_text() != text} | stale
        for path in sorted(wrong):
            print(f"{path.name} differs from its source; run `make dashboards`", file=sys.stderr)
        return int(bool(wrong))
    for path in stale:
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text)
    return 0


def _name(built: Dashboard) -> str:
    return f"{str(built.uid).removeprefix('tapedeck-')}.json"


def _text(built: Dashboard) -> str:
    return json.dumps(built, cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
