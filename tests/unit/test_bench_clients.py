"""How the benchmark of many WebSockets counts: a later state of a bar stands for those that it replaces."""

from __future__ import annotations

from bench.gateway_clients import delays

PUBLISHED = [10.0, 10.5, 11.0, 11.5]


def test_each_state_counts_from_its_own_time() -> None:
    assert delays([(1, 10.25), (2, 10.75), (3, 11.25), (4, 11.75)], PUBLISHED) == [0.25] * 4


def test_a_replaced_state_waits_for_the_one_that_replaces_it() -> None:
    assert delays([(1, 10.25), (3, 11.25), (4, 11.75)], PUBLISHED) == [0.25, 0.75, 0.25, 0.25]
    assert delays([(4, 12.0)], PUBLISHED) == [2.0, 1.5, 1.0, 0.5]


def test_what_comes_twice_counts_once() -> None:
    assert delays([(2, 11.0), (2, 11.25), (1, 11.5), (3, 11.75)], PUBLISHED) == [1.0, 0.5, 0.75]


def test_a_state_that_nothing_follows_is_not_known() -> None:
    assert delays([(3, 11.5)], PUBLISHED) == [1.5, 1.0, 0.5]
    assert delays([], PUBLISHED) == []
