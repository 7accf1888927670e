"""Files that tests upload to a deck by its gateway."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tapedeck_deck.cli.deck import page_address
from tapedeck_deck.embedded.state_dir import StateDir

SECONDS = 60


def uploaded(home: StateDir, name: str) -> list[Path]:
    """The uploaded files of a name; others may be deleted meanwhile."""
    return [Path(folder, name) for folder, _, files in os.walk(home.uploads) if name in files]


@dataclass(frozen=True)
class Uploader:
    """A client of a deck's uploads in a namespace; without a token where that is empty."""

    url: str
    token: str

    @classmethod
    def of(cls, home: StateDir, *, token: bool = True) -> Uploader:
        url, _, control = page_address(home).partition("#token=")
        return cls(url.rstrip("/"), control if token else "")

    def send(self, upload: str, name: str, content: bytes, **query: int) -> requests.Response:
        """A file, or a part of one."""
        headers = {"content-type": "application/octet-stream"}
        return self._post(upload, {"name": name, **query}, headers=headers, data=content)

    def look(self, upload: str, **options: Any) -> requests.Response:
        return self._post(f"{upload}/import", {"dryRun": 1}, json=options)

    def import_files(self, upload: str, **options: Any) -> requests.Response:
        return self._post(f"{upload}/import", {}, json=options)

    def _post(self, path: str, query: dict[str, Any], **sent: Any) -> requests.Response:
        headers = {**sent.pop("headers", {}), **({"authorization": f"Bearer {self.token}"} if self.token else {})}
        address = f"{self.url}/api/v1/namespaces/default/uploads/{path}"
        return requests.post(address, params=query, headers=headers, timeout=SECONDS, **sent)
