"""The files of an embedded deck: uploads, and imports of them, which the deck's daemon answers at its socket."""

from __future__ import annotations

import json
from collections.abc import Mapping

import httpx

from tapedeck_crds.errors import NoSpace, TooLarge, Unavailable
from tapedeck_crds.json import Json
from tapedeck_gateway.resources.errors import printed, refusal
from tapedeck_gateway.resources.kubernetes_api import DRY_RUN

_ROOT = "/uploads/v1"
_LOOK_TIMEOUT = httpx.Timeout(340.0, connect=5.0)
"""Longer than the deck looks at files, and waits before it does."""
PART_BYTES_MAX = 2 * 2**20
"""A deck's socket takes bodies twice as large."""


class DeckFiles:
    """Methods block, may be called by several threads, and raise TapedeckErrors of ``errors``."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def limits(self) -> Json:
        """The bytes of a file at most, and the seconds for which an unused upload is kept."""
        return self._json(self._client.build_request("GET", f"{_ROOT}/limits"))

    def add(self, namespace: str, upload: str, query: Mapping[str, str], content: bytes) -> Json:
        """Send the next part of a file; ``query`` has its name, the size of the whole, and the offset of the part."""
        path = f"{_ROOT}/namespaces/{namespace}/uploads/{upload}"
        headers = {"content-type": "application/octet-stream"}
        return self._json(
            self._client.build_request("POST", path, params=dict(query), headers=headers, content=content)
        )

    def delete(self, namespace: str, upload: str) -> None:
        """Remove an upload, if it exists."""
        self._json(self._client.build_request("DELETE", f"{_ROOT}/namespaces/{namespace}/uploads/{upload}"))

    def import_files(self, namespace: str, upload: str, options: Json, *, dry_run: bool) -> Json:
        """What the files of an upload hold and, unless it is a dry run, the Feeds that import them."""
        path = f"{_ROOT}/namespaces/{namespace}/uploads/{upload}/import"
        body = json.dumps(options, allow_nan=False)
        request = self._client.build_request(
            "POST", path, params=DRY_RUN if dry_run else {}, content=body, timeout=_LOOK_TIMEOUT
        )
        return self._json(request)

    def _json(self, request: httpx.Request) -> Json:
        try:
            answer = self._client.send(request)
        except (httpx.HTTPError, OSError) as error:
            raise Unavailable("the deck does not answer; try again") from error
        try:
            found: Json = answer.json()
        except ValueError:
            raise Unavailable(f"the deck answered {answer.text[:200]!r}, expected an object") from None
        if answer.status_code >= 400:
            kinds = {413: TooLarge, 507: NoSpace}
            if (kind := kinds.get(answer.status_code)) is not None:
                raise kind(printed(found))
            raise refusal(answer.status_code, found)
        return found
