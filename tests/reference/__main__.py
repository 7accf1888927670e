"""``python -m reference``: write the pages of docs/reference that follow from the code; ``--check`` compares."""

from __future__ import annotations

import sys

from reference.pages import FOLDER, rendered, stale


def main() -> int:
    if "--check" in sys.argv[1:]:
        differing = stale()
        for path in differing:
            print(f"docs/{path.parent.name}/{path.name}: differs from the code; run `make reference`")
        return 1 if differing else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in rendered().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
