"""``python -m tapedeck_crds``: write the CRD YAML beside this package and into the chart; ``--check`` compares."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from tapedeck_crds.kinds import KINDS
from tapedeck_crds.schema import crd

FOLDER = Path(__file__).resolve().parent.parent
CHART = FOLDER.parent / "charts/tapedeck/files/crds"  # a chart is packaged on its own, so it needs a copy
HEADER = "# Generated from crds/tapedeck_crds by `make crds`; edit the types, not this file.\n"


def rendered() -> dict[Path, str]:
    """Path → text of each CRD."""
    return {
        folder / f"{kind.plural}.yaml": HEADER + yaml.safe_dump(crd(kind), sort_keys=False, width=110)
        for kind in KINDS.values()
        for folder in (FOLDER, CHART)
    }


def main() -> int:
    stale = [path for path, text in rendered().items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(FOLDER.parent)}: differs from the types; run `make crds`")
        return 1 if stale else 0
    for path, text in rendered().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
