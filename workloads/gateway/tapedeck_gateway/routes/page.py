"""The page's static files."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent.parent / "page"
NOT_BUILT = "The page is not built yet: run `make page`, then restart the gateway.\n"


def is_page_file(path: str) -> bool:
    """Whether a path belongs to the page's files, which hold nothing private."""
    return path in ("/", "/index.html", "/icon.svg", "/NOTICE.txt") or path.startswith("/assets/")


class PageFiles(StaticFiles):
    """The built page. If it is not built, ``/`` says how to build it."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER, html=True, check_dir=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        if not (FOLDER / "index.html").exists():
            if path in (".", ""):
                return PlainTextResponse(NOT_BUILT, 503)
            raise HTTPException(404)
        return await super().get_response(path, scope)
