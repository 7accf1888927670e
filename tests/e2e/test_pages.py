"""The page for a cluster, as a reader follows it: its commands on the release that these tests install."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pages.blocks import blocks
from release import KUBECONFIG, TIMEOUT_SECONDS, Deck, kubectl

PAGE = Path(__file__).parents[2] / "docs/start/kind.md"
AFTER = "needs a cluster"  # the mark of what follows the installation
WATCHED_SECONDS = 5


def test_the_page_for_a_cluster_can_be_followed(deck: Deck, tmp_path: Path) -> None:
    folder = PAGE.parents[2]
    config = tmp_path / "kubeconfig"
    config.write_bytes(Path(KUBECONFIG).read_bytes())
    variables = {**os.environ, "KUBECONFIG": str(config)}
    kubectl("--kubeconfig", str(config), "config", "set-context", "--current", f"--namespace={deck.namespace}")
    commands = [command for block in blocks(PAGE) if block.value == AFTER for command in block.commands]
    assert len(commands) > 4
    for command in commands:
        plain = command.partition("  #")[0].rstrip()
        if plain.endswith(" -w"):
            plain = f"timeout --signal=INT {WATCHED_SECONDS} {plain} || [ $? -eq 124 ]"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", plain],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert len(done.stdout.strip()) >= 16  # the token of the page
    for name in ("backtest/sma-cross", "replay/coinbase-sample"):
        kubectl("-n", deck.namespace, "delete", name)
