"""Uploads and imports at a deck's socket: files arrive in parts, are looked at, and Feeds import them.

The paths are the deck's own: Kubernetes has nothing like it.
"""

from __future__ import annotations

import re

from pydantic import ValidationError

from tapedeck_crds.errors import Conflict, InvalidInput, TapedeckError
from tapedeck_crds.import_options import FileOptions
from tapedeck_crds.json import Json
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.validation import validation_problems
from tapedeck_deck.embedded.api_answers import ApiAnswer, ApiRequest, NoSuchPath, failure, json_body, require_method
from tapedeck_deck.embedded.file_inspection import inspect_files
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.uploads import FILE_BYTES_MAX, KEPT_SECONDS, FilePart, Uploads
from tapedeck_operator.plan.names import APPLIED_FROM

PREFIX = "/uploads/v1"
_NAMESPACE = rf"{PREFIX}/namespaces/(?P<namespace>[a-z0-9-]{{1,63}})"
_LIMITS = f"{PREFIX}/limits"
_UPLOAD = re.compile(rf"{_NAMESPACE}/uploads/(?P<upload>[a-z0-9-]{{1,64}})")
_IMPORT = re.compile(rf"{_NAMESPACE}/uploads/(?P<upload>[a-z0-9-]{{1,64}})/import")


class UploadApi:
    """Answers requests about a deck's uploads. Safe for several threads."""

    def __init__(self, objects: Objects, uploads: Uploads) -> None:
        self._objects = objects
        self._uploads = uploads

    def answer(self, request: ApiRequest) -> ApiAnswer:
        """The answer; an error is one with a Status object."""
        try:
            return self._routed(request)
        except TapedeckError as error:
            return failure(error)

    def sweep(self) -> None:
        """Remove uploads that no Feed names, and files that are not whole, once they are old enough."""
        self._uploads.sweep(self._named())

    def _routed(self, request: ApiRequest) -> ApiAnswer:
        if request.path == _LIMITS:
            require_method(request, "GET")
            return ApiAnswer(200, {"fileBytes": FILE_BYTES_MAX, "keptSeconds": int(KEPT_SECONDS)})
        if match := _IMPORT.fullmatch(request.path):
            require_method(request, "POST")
            return self._import(request, match["namespace"], match["upload"])
        if match := _UPLOAD.fullmatch(request.path):
            if request.method == "DELETE":
                return self._delete(match["namespace"], match["upload"])
            require_method(request, "POST")
            return self._add(request, match["namespace"], match["upload"])
        raise NoSuchPath(f"path: got {request.path[:200]!r}, expected one of those that a deck serves")

    def _add(self, request: ApiRequest, namespace: str, upload: str) -> ApiAnswer:
        folder = self._uploads.folder_of(namespace, upload)
        self._require_free(str(folder), upload)
        size, offset = (_count(request, name) for name in ("size", "offset"))
        received = self._uploads.add(folder, FilePart(request.query.get("name", ""), size, offset, request.body))
        return ApiAnswer(201, {"upload": upload, **received._asdict()})

    def _delete(self, namespace: str, upload: str) -> ApiAnswer:
        folder = self._uploads.folder_of(namespace, upload)
        self._require_free(str(folder), upload)
        self._uploads.delete(folder)
        return ApiAnswer(200, {})

    def _import(self, request: ApiRequest, namespace: str, upload: str) -> ApiAnswer:
        """What the files hold and, unless it is a dry run, the Feeds that import them."""
        options = _options(request.body)
        folder = self._uploads.folder_of(namespace, upload)
        looked = inspect_files(folder, self._uploads.use(folder), options)
        found: Json = looked["found"]
        manifests = [_manifest(feed, namespace, str(folder)) for feed in looked["feeds"]]
        if request.query.get("dryRun") == "All":
            return ApiAnswer(200, {**found, "feeds": []})
        if found["errors"]:
            raise InvalidInput("\n".join([*(each["error"] for each in found["errors"]), "nothing was imported"]))
        if not found["files"]:
            raise InvalidInput("no file holds market data; nothing was imported")
        with self._objects.transaction():
            made = [self._objects.create(each) for each in manifests]
        return ApiAnswer(201, {**found, "feeds": made})

    def _require_free(self, folder: str, upload: str) -> None:
        if folder in self._named():
            raise Conflict(f"upload: got {upload!r}, which a Feed reads, expected another one; or delete the Feed")

    def _named(self) -> set[str]:
        feeds = self._objects.list("Feed")
        return {feed["metadata"].get("annotations", {}).get(APPLIED_FROM, "") for feed in feeds}


def _manifest(feed: Json, namespace: str, folder: str) -> Json:
    metadata = {**feed["metadata"], "namespace": namespace, "annotations": {APPLIED_FROM: folder}}
    manifest = {**feed, "metadata": metadata}
    parse_resource(manifest)
    return manifest


def _options(body: bytes) -> Json:
    """What the user says of the files. Raises InvalidInput."""
    try:
        options = FileOptions.model_validate(json_body(body))
    except ValidationError as error:
        raise InvalidInput("\n".join(validation_problems(error))) from None
    return options.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


def _count(request: ApiRequest, name: str) -> int:
    text = request.query.get(name, "")
    if not text.isdecimal() or len(text) > 15:
        raise InvalidInput(f"{name}: got {text[:20]!r}, expected a number of bytes")
    return int(text)
