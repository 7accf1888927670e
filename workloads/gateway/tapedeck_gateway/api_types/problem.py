"""The form of an error: RFC 9457."""

from __future__ import annotations

from typing import Annotated

import msgspec

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was not served (RFC 9457)."""

    title: Annotated[str, msgspec.Meta(description="The phrase of the HTTP status.")]
    status: int
    detail: Annotated[str, msgspec.Meta(description="What was given, what is expected and what to do.")]
    reason: Annotated[str, msgspec.Meta(description="One word for programs, such as NotFound or Unavailable.")]
    type: str = "about:blank"
    field: Annotated[str | None, msgspec.Meta(description="The parameter or field that is wrong.")] = None
