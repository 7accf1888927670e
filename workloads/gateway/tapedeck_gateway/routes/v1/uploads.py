"""Files for an embedded deck: they are uploaded in parts, told as `tapedeck import` does, and imported by Feeds."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import ValidationError

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.import_options import FileOptions
from tapedeck_crds.validation import validation_problems
from tapedeck_gateway.api_types.uploads import FileImport, UploadedFile, UploadLimits
from tapedeck_gateway.context import Context
from tapedeck_gateway.resources.deck_files import PART_BYTES_MAX, DeckFiles
from tapedeck_gateway.resources.errors import NoUploads
from tapedeck_gateway.routes.responses import json_response
from tapedeck_gateway.routes.v1.answers import json_answer
from tapedeck_gateway.routes.v1.documentation import (
    BYTES,
    binary_body,
    documented,
    problems,
    reading,
    request_body,
)
from tapedeck_gateway.routes.v1.resource_access import (
    JSON_TYPES,
    Body,
    ChangedNamespace,
    DryRun,
    ReadNamespace,
    note_change,
    require_type,
)

NONE_HERE = (
    "this gateway takes no files: on a cluster a Feed reads them from a volume or from s3://, gs:// or https:// "
    "(spec.source.files)"
)
_FULL = {507: "The deck's disk has no room for the file."}
router = APIRouter(prefix="/api/v1/namespaces/{namespace}/uploads", tags=["uploads"])
UploadName: TypeAlias = Annotated[
    str,
    Path(max_length=64, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", description="A name that the client chooses."),
]
FileName: TypeAlias = Annotated[
    str, Query(min_length=1, max_length=300, description="The file's name, of which its folders are left out.")
]
Size: TypeAlias = Annotated[
    int | None, Query(ge=1, le=2**50, description="Bytes of the whole file; those of the body where it is left out.")
]
Offset: TypeAlias = Annotated[int, Query(ge=0, le=2**50, description="Where in the file the body begins.")]


async def _files(context: Context) -> DeckFiles:
    if context.files is None:
        raise NoUploads(NONE_HERE)
    return context.files


Files: TypeAlias = Annotated[DeckFiles, Depends(_files)]


@reading(router, "", UploadLimits)
def upload_limits(request: Request, context: Context, namespace: ReadNamespace) -> Response:
    """Whether files can be uploaded, and how large ones."""
    if context.files is None:
        return json_answer(request, UploadLimits(False, NONE_HERE, 0, 0, 0))
    found = context.files.limits()
    part = min(context.options.limits.body_bytes, PART_BYTES_MAX)
    return json_answer(request, UploadLimits(True, "", found["fileBytes"], part, found["keptSeconds"]))


@router.post(
    "/{upload}",
    operation_id="upload_file",
    response_class=Response,
    status_code=201,
    responses=documented(UploadedFile, status=201) | problems(_FULL),
    openapi_extra=binary_body(),
)
def upload_file(
    files: Files,
    namespace: ChangedNamespace,
    upload: UploadName,
    request: Request,
    body: Body,
    name: FileName,
    size: Size = None,
    offset: Offset = 0,
) -> Response:
    """Upload a file, or the next part of one that is larger than a request may be."""
    require_type(request, frozenset({BYTES}))
    whole = len(body) if size is None else size
    note_change(request, f"upload {len(body)} bytes at {offset} of {whole} of {name}")
    sent = {"name": name, "size": str(whole), "offset": str(offset)}
    response = json_response(files.add(namespace, upload, sent, body))
    response.status_code = 201
    return response


@router.delete(
    "/{upload}", operation_id="delete_upload", response_class=Response, status_code=204, responses=problems()
)
def delete_upload(files: Files, namespace: ChangedNamespace, upload: UploadName) -> Response:
    """Remove the files of an upload that no Feed reads."""
    files.delete(namespace, upload)
    return Response(status_code=204)


@router.post(
    "/{upload}/import",
    operation_id="import_upload",
    response_class=Response,
    status_code=201,
    responses=documented(FileImport, status=201) | documented(FileImport),
    openapi_extra=request_body(FileOptions.__name__, "application/json"),
)
def import_upload(
    files: Files, namespace: ChangedNamespace, upload: UploadName, request: Request, body: Body, dry_run: DryRun = False
) -> Response:
    """Import the files of an upload by Feeds, 201; a dry run says what `tapedeck import --dry-run` does, 200."""
    require_type(request, JSON_TYPES)
    try:
        options = FileOptions.model_validate_json(body).model_dump(mode="json", by_alias=True, exclude_none=True)
    except ValidationError as error:
        raise InvalidInput("\n".join(validation_problems(error))) from None
    note_change(request, f"import {options}")
    response = json_response(files.import_files(namespace, upload, options, dry_run=dry_run))
    response.status_code = 200 if dry_run else 201
    return response
