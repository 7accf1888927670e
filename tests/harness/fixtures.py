"""A shared fixture that failed to start is started again for the next test that needs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

MAX_FAILURES = 3
_FAILURES = pytest.StashKey[Counter[str]]()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """pytest keeps the error of a fixture for its whole scope: after a slow start all tests of a worker would fail."""
    try:
        return (yield)
    except (Exception, pytest.fail.Exception):
        if fixturedef.scope != "function":
            failures = request.config.stash.setdefault(_FAILURES, Counter())
            name = f"{fixturedef.baseid}::{fixturedef.argname}"
            failures[name] += 1
            if failures[name] < MAX_FAILURES:
                fixturedef.finish(request)  # type: ignore[arg-type]
        raise
