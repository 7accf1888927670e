"""The broker's file of properties says the paths of a deck, whatever characters its folder has."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapedeck_deck.embedded.broker import KafkaBroker


@pytest.mark.parametrize("folder", ["/a/deck", "/my deck ä", "/市场/deck", "/back\\slash", "/😀/deck"])
def test_java_reads_the_folder_of_the_log(folder: str) -> None:
    text = KafkaBroker(Path(folder), port=1, controller_port=2)._properties()
    (value,) = (line.removeprefix("log.dirs=") for line in text.splitlines() if line.startswith("log.dirs="))
    assert value.isascii()
    # Java reads UTF-16 units as escapes; Python's reader leaves pairs of them apart.
    read = value.encode().decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16")
    assert read == f"{folder}/data"
