"""The documentation site: Sphinx with MyST over the Markdown that GitHub shows. `make docs` builds it.

The source folder is the repository, so that a link leads to the same file here and there. A README of a folder is its
table of contents: the pages that it links to are its chapters.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
REDIRECT = '<!doctype html><meta http-equiv="refresh" content="0; url=docs/README.html"><title>Tapedeck</title>\n'
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")

project = "Tapedeck"
html_title = "Tapedeck"
copyright = "Tapedeck's authors"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
include_patterns = ["docs/*.md", "docs/**/*.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
root_doc = "docs/README"
html_theme = "furo"
html_show_sourcelink = False
myst_heading_anchors = 4
linkcheck_ignore = [r"http://(127\.0\.0\.1|localhost)\b"]
linkcheck_anchors = False  # some sites make them in the browser
suppress_warnings = ["myst.header", "misc.highlighting_failure"]


def _is_page(target: Path) -> bool:
    return target.suffix == ".md" and (target.is_relative_to(ROOT / "docs") or target.parent == ROOT)


def _chapters(folder: Path, text: str) -> str:
    """The table of contents of a README: the pages that it links to, in their order, then others of its folder."""
    targets = [Path(os.path.normpath(folder / link[1])) for link in _LINK.findall(text) if "://" not in link[1]]
    targets = [page for page in targets if page.parent == folder or folder == ROOT / "docs"]
    targets += sorted(page for page in folder.glob("*.md") if page.name != "README.md")
    pages = [page for page in dict.fromkeys(targets) if _is_page(page) and page != ROOT / "README.md"]
    names = [os.path.relpath(page.with_suffix(""), folder) for page in pages]
    return "\n```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n"


def _without_folders(folder: Path, text: str) -> str:
    """Links to folders, and to Markdown that is no page of the site, as plain text."""

    def shown(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(folder / link[2]))
        is_absent = target.is_dir() or (target.suffix == ".md" and not _is_page(target))
        return link[1] if "://" not in link[2] and is_absent else link[0]

    return _LINK.sub(shown, text)


def _read(_app: Any, name: str, source: list[str]) -> None:
    folder = (ROOT / name).parent
    chapters = _chapters(folder, source[0]) if name.startswith("docs/") and name.endswith("README") else ""
    source[0] = _without_folders(folder, source[0]) + chapters


def _finish(app: Any, error: Exception | None) -> None:
    if error is None:
        (Path(app.outdir) / "index.html").write_text(REDIRECT)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _read)
    app.connect("build-finished", _finish)
