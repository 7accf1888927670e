"""Why the API of resources did not do what was asked. Each maps to an HTTP status."""

from __future__ import annotations

from tapedeck_crds.errors import Conflict, InvalidInput, NotFound, TapedeckError, Unavailable
from tapedeck_crds.json import Json
from tapedeck_crds.text import printable

MESSAGE_MAX = 2_000


class ReadOnlyGateway(TapedeckError):
    """The gateway has no access to resources, or not the one that is needed."""

    http_status = 403
    reason = "ReadOnly"


class ResourceNotFound(NotFound):
    """No object has this name."""


class ResourceConflict(Conflict):
    """The name is in use, or the object has changed meanwhile."""


class ResourceRejected(InvalidInput):
    """The document or the patch is not valid."""

    reason = "InvalidResource"


class NoUploads(NotFound):
    """The gateway takes no files."""

    reason = "NoUploads"


def printed(answer: Json) -> str:
    """The message of a Status object; empty where it has none."""
    return printable(str(answer.get("message") or ""), keep="\n")[:MESSAGE_MAX]


def refusal(status: int, answer: Json) -> TapedeckError:
    """The error for an answer with this HTTP status and a Status object."""
    message = printed(answer) or f"status {status}"
    if status == 404:
        return ResourceNotFound(message)
    if status == 409:
        return ResourceConflict(message)
    if status == 403:
        return ReadOnlyGateway(f"the gateway's rights on the cluster do not permit this: {message}")
    if status in (400, 405, 413, 415, 422):
        return ResourceRejected(_problems(answer) or message)
    return Unavailable(f"the API of resources cannot answer now ({status}): {message}")


def _problems(answer: Json) -> str:
    """A line for each cause, which begins with its field."""
    details = answer.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    lines = [f"{cause.get('field')}: {cause.get('message')}" for cause in causes or () if isinstance(cause, dict)]
    return printable("\n".join(lines), keep="\n")[:MESSAGE_MAX]
