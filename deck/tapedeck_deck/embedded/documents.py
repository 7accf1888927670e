"""Reading YAML and JSON documents from files, folders and standard input, with kubectl's rules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapedeck_common.yaml_documents import InvalidDocument, read_documents
from tapedeck_deck.embedded.errors import DeckError

SUFFIXES = (".yaml", ".yml", ".json")
MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Document:
    """One document. ``where`` names it in messages; relative paths in it are relative to ``folder``, its file's."""

    where: str
    folder: Path
    content: Any


def read(sources: list[str], *, recursive: bool = False) -> list[Document]:
    """The documents of files, of the YAML and JSON files in folders, and of standard input (-).

    With ``recursive`` also those in the folders of a folder, but for hidden ones. A ``kind: List`` is replaced by its
    items. Raises DeckError with file, document and field of every error.
    """
    texts = [text for source in sources for text in _texts(source, recursive)]
    documents: list[Document] = []
    errors: list[str] = []
    for name, folder, text in texts:
        try:
            documents.extend(_documents(name, folder, text))
        except DeckError as error:
            errors.append(str(error))
    if errors:
        raise DeckError("\n".join(errors))
    if not documents:
        raise DeckError(f"{', '.join(sources)}: got no document, expected at least one")
    return documents


def parse(text: str, where: str) -> Any:
    """One YAML or JSON value. Raises DeckError."""
    documents = _documents(where, Path.cwd(), text)
    if len(documents) != 1:
        raise DeckError(f"{where}: got {len(documents)} documents, expected one")
    return documents[0].content


def _texts(source: str, recursive: bool) -> Iterator[tuple[str, Path, str]]:
    if source == "-":
        yield "standard input", Path.cwd(), _decode("standard input", sys.stdin.buffer.read(MAX_BYTES + 1))
        return
    path = Path(source)
    if path.is_dir():
        found = sorted(p for p in _below(path, recursive) if p.suffix in SUFFIXES and p.is_file())
        if not found:
            hint = "" if recursive else "; --recursive also reads the folders in it"
            raise DeckError(f"{source}: got a folder without {', '.join(SUFFIXES)} files, expected at least one{hint}")
    else:
        found = [path]
    for file in found:
        try:
            with file.open("rb") as opened:
                raw = opened.read(MAX_BYTES + 1)
        except OSError as error:
            raise DeckError(f"{file}: cannot be read: {error.strerror}") from None
        yield str(file), file.resolve().parent, _decode(str(file), raw)


def _below(folder: Path, recursive: bool) -> Iterator[Path]:
    for each in folder.iterdir():
        if recursive and each.is_dir() and not each.is_symlink() and not each.name.startswith("."):
            yield from _below(each, recursive)
        else:
            yield each


def _decode(name: str, raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise DeckError(f"{name}: got more than {MAX_BYTES // 2**20} MiB, expected less")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DeckError(f"{name}: got a byte that is not UTF-8 at position {error.start}, expected text") from None


def _documents(name: str, folder: Path, text: str) -> list[Document]:
    try:
        found = read_documents(text, name)
    except InvalidDocument as error:
        raise DeckError(str(error)) from None
    return [document for where, content in found for document in _expanded(where, folder, content)]


def _expanded(where: str, folder: Path, value: Any) -> Iterator[Document]:
    if value is None:
        return
    if isinstance(value, dict) and value.get("kind") == "List" and isinstance(value.get("items"), list):
        for number, item in enumerate(value["items"]):
            yield Document(f"{where}, items[{number}]", folder, item)
    else:
        yield Document(where, folder, value)
