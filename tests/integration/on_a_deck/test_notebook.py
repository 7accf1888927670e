"""The notebook of the examples: each cell runs, from the first import to two runs side by side, with pictures."""

from __future__ import annotations

import ast
import os
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from decks.process import Deck

ROOT = Path(__file__).parents[3]
NOTEBOOK = ROOT / "examples" / "first-strategy.ipynb"
CELL_SECONDS = 240


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_cell_runs(shared_deck: Deck, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "data", tmp_path / "data")
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code"), "commit it without outputs"
    environment = os.environ | {"TAPEDECK_HOME": str(shared_deck[0].root), "IPYTHONDIR": str(tmp_path / "ipython")}
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        startup_timeout=CELL_SECONDS,
        kernel_name="python3",  # that of the environment of the tests
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute(env=environment)
    shown = [_output(cell) for cell in notebook.cells if cell.cell_type == "code"]
    imported, symbols, table, strategy, run_plot, trades, compared, both, matrix, played = shown[1:]
    assert sum(count for _, count in ast.literal_eval(imported["text/plain"])) == 13_886
    for each in (symbols, table, strategy, trades, compared, matrix):
        assert "<table" in each["text/html"]
    assert "<svg" in table["text/html"]
    for picture in (run_plot, both):
        assert "<svg" in picture["image/svg+xml"]
    assert played["text/plain"].startswith("(1009, ")


def _output(cell: Any) -> Any:
    """What the last line of a cell shows, by media type."""
    return next((each.data for each in cell.outputs if each.output_type == "execute_result"), {})
