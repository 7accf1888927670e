"""``python -m tapedeck_deck.inspection``: looks at uploaded files for the deck's daemon.

It is a process of its own, which can be ended: what it reads may be anything. It reads an InspectionRequest as JSON
from standard input, and writes what it found, or why it found nothing, to standard output.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tapedeck_crds.errors import TapedeckError
from tapedeck_crds.json import Json
from tapedeck_crds.text import excerpt, printable
from tapedeck_deck.inspection.document import document
from tapedeck_deck.inspection.feeds import feeds, new_name
from tapedeck_deck.inspection.inspect import OptionRefused, look
from tapedeck_deck.inspection.listed import Listed
from tapedeck_deck.inspection.options import declared, default_layout


def inspection(request: Json) -> Json:
    """The files below ``root`` as `tapedeck import --dry-run -o json` tells them, and the Feeds that import them."""
    names, options = request["files"], request["options"]
    own = {"format": options.get("layout") or default_layout(options)}
    try:
        looked = look(Listed(Path(request["root"]), tuple(names), frozenset(names)), declared(options, own))
    except OptionRefused as error:
        return {"error": f"{error.option}: {error.said}"}
    except TapedeckError as error:
        return {"error": str(error)}
    return {"found": _shown(document(looked)), "feeds": feeds(looked.found, new_name()) if looked.found else []}


def _shown(value: Any) -> Any:
    """The values with all texts as a page may show them. Names of columns are as short as other foreign text."""
    if isinstance(value, dict):
        columns = value.get("columns")
        if isinstance(columns, dict):
            value = value | {"columns": {k: excerpt(v) if isinstance(v, str) else v for k, v in columns.items()}}
        return {key: _shown(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_shown(each) for each in value]
    return printable(value) if isinstance(value, str) else value


if __name__ == "__main__":
    json.dump(inspection(json.load(sys.stdin)), sys.stdout)
