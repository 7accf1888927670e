"""Pages for a cluster, as a reader follows them: their commands on the release that these tests install."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pages.blocks import blocks
from release import KUBECONFIG, TIMEOUT_SECONDS, Deck, kubectl

ROOT = Path(__file__).parents[2]
PAGE, RUNBOOKS = ROOT / "docs/start/kind.md", ROOT / "docs/runbooks"
AFTER = "needs a cluster"  # the mark of what follows the installation
WATCHED_SECONDS = 5
NAMES = {"feed": "coinbase-sample", "replay": "coinbase-sample", "backtest": "sma-cross"}  # of the examples
# The release of these tests has neither the chart's broker nor its database, no TLS, and no way in from outside.
ABSENT = ("redpanda", "timescaledb", "$TLS_SECRET", "$STORE_DSN", "$GATEWAY")


def commands(page: Path) -> Iterator[str]:
    return (command for block in blocks(page) if block.value == AFTER for command in block.commands)


def follow(command: str, variables: dict[str, str]) -> str:
    """What a command of a page prints. It must succeed."""
    plain = command.partition("  #")[0].rstrip()
    if plain.endswith(" -w"):
        plain = f"timeout --signal=INT {WATCHED_SECONDS} {plain} || [ $? -eq 124 ]"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", plain],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def test_the_page_for_a_cluster_can_be_followed(deck: Deck, tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    config.write_bytes(Path(KUBECONFIG).read_bytes())
    kubectl("--kubeconfig", str(config), "config", "set-context", "--current", f"--namespace={deck.namespace}")
    printed = [follow(command, {"KUBECONFIG": str(config)}) for command in commands(PAGE)]
    assert len(printed) > 4
    assert len(printed[-1].strip()) >= 16  # the token of the page
    for name in ("backtest/sma-cross", "replay/coinbase-sample"):
        kubectl("-n", deck.namespace, "delete", name)


def test_the_commands_of_runbooks_can_be_run(deck: Deck) -> None:
    here = ("-n", deck.namespace)
    for kind in NAMES:
        kubectl(*here, "apply", "-f", f"{ROOT}/examples/{kind}.yaml")
    pods = kubectl(*here, "get", "pods", "-l", "app.kubernetes.io/name=recorder", "-o", "name").split()
    followed = 0
    for page in sorted(RUNBOOKS.glob("*.md")):
        wanted = [command for command in commands(page) if not any(word in command for word in ABSENT)]
        kind = next((kind for kind in NAMES if any(f"describe {kind} " in command for command in wanted)), "feed")
        uid = kubectl(*here, "get", kind, NAMES[kind], "-o", "jsonpath={.metadata.uid}")
        variables = {
            "RELEASE": "td", "RELEASE_NAMESPACE": deck.namespace, "NAMESPACE": deck.namespace, "KIND": kind,
            "NAME": NAMES[kind], "POD": pods[0].removeprefix("pod/"), "RESOURCE_UID": uid, "KUBECONFIG": KUBECONFIG,
        }  # fmt: skip
        for command in wanted:
            follow(command, variables)
            followed += 1
    assert followed > 25
    for kind in ("backtest", "replay"):
        kubectl(*here, "delete", kind, NAMES[kind])
