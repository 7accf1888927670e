"""Transforms on a cluster: a pod for a Replay, with a user's function."""

from __future__ import annotations

from functools import partial

from decks.runs import EXAMPLES, ended
from kube.operator import PATHS
from release import Deck, kubectl

BARS = 2_880  # of the replay in examples/more/transforms.yaml


def test_the_example_is_computed_by_its_own_pod(deck: Deck) -> None:
    things = deck.things()
    kubectl("-n", things.namespace, "apply", "-f", str(EXAMPLES / "more" / "transforms.yaml"))
    path = PATHS["Replay"].format(things.namespace) + "/transforms"
    made = {**things.must(things.client.get(path)), "kind": "Replay"}
    ended(things, made)
    rows = "FROM points WHERE exchange = 'replay.transforms' AND series = '{}'"
    counts = {"sma5": BARS - 4, "above": BARS - 4, "true_range": BARS - 1, "hourly": BARS // 60}
    for series, count in counts.items():
        query = f"SELECT count(*), count(DISTINCT ts) {rows.format(series)}"
        things.until(partial(has_rows, deck, query, [[str(count)] * 2]), 30)
    positive = deck.sql(f"SELECT count(*) {rows.format('above')} AND value > 0")
    assert deck.sql(f"SELECT count(*) {rows.format('rising')}") == positive
    things.delete(made)


def has_rows(deck: Deck, query: str, rows: list[list[str]]) -> bool:
    return deck.sql(query) == rows
