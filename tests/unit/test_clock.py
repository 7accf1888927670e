"""The anchor of the virtual clock against its definition."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tapedeck_crds.clock import Anchor

anchors = st.builds(
    Anchor,
    number=st.just(1),
    v0=st.integers(0, 2**40),
    w0=st.integers(0, 2**40),
    speed=st.floats(0.1, 1e6),
)


@given(anchors, st.integers(0, 10**9))
def test_virtual_time_is_linear(anchor: Anchor, elapsed: int) -> None:
    assert anchor.at(anchor.w0 + elapsed) == anchor.v0 + elapsed * anchor.speed
    assert anchor.at(anchor.w0 - 1 - elapsed) == anchor.v0


@given(anchors, st.integers(0, 10**9))
def test_wall_of_is_the_inverse(anchor: Anchor, ahead: int) -> None:
    wall = anchor.wall_of(anchor.v0 + ahead)
    assert math.isclose(anchor.at(wall), anchor.v0 + ahead, rel_tol=1e-9, abs_tol=anchor.speed * 1e-3)


def test_a_paused_clock_stops() -> None:
    anchor = Anchor(number=1, v0=5, w0=10, speed=0.0)
    assert anchor.paused
    assert anchor.at(10**12) == 5
    assert anchor.wall_of(6) == math.inf
    assert anchor.wall_of(5) == 10


def test_an_unpaced_clock_does_not_wait() -> None:
    anchor = Anchor(number=1, v0=5, w0=10, speed=1.0, unpaced=True)
    assert anchor.at(9) == 5
    assert anchor.at(10) == math.inf
    assert anchor.wall_of(10**15) == 10
