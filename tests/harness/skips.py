"""With CI=true, a test that is skipped fails: CI can make all that the tests need."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

# Test and reason: what CI cannot have.
ALLOWED = (
    # A TimescaleDB under its own licence, which Debian does not package: TAPEDECK_TEST_TIMESCALE names one.
    ("tests/integration/test_store_migrate.py::", "TAPEDECK_TEST_TIMESCALE: "),
    # On kind or a cluster of the user the services and the network are the cluster's own.
    ("tests/e2e/test_secured.py::", "needs the services of tests/e2e/images"),
    ("tests/e2e/test_feed.py::", "pods reach no exchange of this machine"),
    ("tests/e2e/test_faults.py::", "needs the rig"),
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and _in_ci():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not allowed(item.nodeid, reason):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI, where nothing may be skipped for what CI can make: {reason}"
    return report


def allowed(test: str, reason: str) -> bool:
    """Whether a test may be skipped in CI for a reason."""
    reason = reason.removeprefix("Skipped: ")
    return any(test.startswith(name) and reason.startswith(start) for name, start in ALLOWED)


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true")
