"""The page's static files."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent.parent / "page"
NOT_BUILT = "The page is not built yet: run `make page`, then restart the gateway.\n"
# The addresses of the page's views beside /, as src/shell/router.tsx has them.
_VIEW = re.compile(r"/run/.{1,300}|/compare|/markets|/new")


def is_page_file(path: str) -> bool:
    """Whether a path belongs to the page's files, which hold nothing private."""
    files = ("/", "/index.html", "/icon.svg", "/NOTICE.txt", "/datafeed.js")
    return path in files or path.startswith("/assets/") or is_view(path)


def is_view(path: str) -> bool:
    """Whether a path is the address of a view, which index.html shows."""
    return _VIEW.fullmatch(path) is not None


class PageFiles(StaticFiles):
    """The built page. If it is not built, ``/`` and the views say how to build it."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER, html=True, check_dir=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        shown = "." if path in (".", "") or is_view(f"/{path}") else path
        if not (FOLDER / "index.html").exists():
            if shown == ".":
                return PlainTextResponse(NOT_BUILT, 503)
            raise HTTPException(404)
        return await super().get_response(shown, scope)
