"""How xdist distributes the tests."""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling


class SharedFolderScheduling(LoadFileScheduling):  # type: ignore[misc]
    """Run the tests of a file on one worker in order, and those of a folder that shares a deck or a server likewise."""

    def _split_scope(self, nodeid: str) -> str:
        folder, _, _ = nodeid.rpartition("/")
        return folder if folder.rpartition("/")[2].startswith("on_a") else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharedFolderScheduling | None:
    return SharedFolderScheduling(config, log) if config.getvalue("dist") == "loadfile" else None
