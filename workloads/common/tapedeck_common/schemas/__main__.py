"""``python -m tapedeck_common.schemas``: write the schemas (``--check`` only compares)."""

from __future__ import annotations

import sys

from tapedeck_common.schemas import rendered, stale


def main() -> int:
    if "--check" in sys.argv[1:]:
        for path in stale():
            print(f"{path.name}: differs from the types; run `make crds`")
        return 1 if stale() else 0
    for path, text in rendered().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
