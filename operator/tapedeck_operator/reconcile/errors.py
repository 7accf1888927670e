"""Why a call of a resource API failed. Both APIs raise these, so the reconciler and the command line know one set."""

from __future__ import annotations

from tapedeck_crds.errors import Conflict, InvalidInput, NotFound, TapedeckError, Unavailable


class ResourceApiError(TapedeckError):
    """A call failed. ``verb`` and ``resource`` name the call as RBAC does, ``detail`` is the API's own message.

    All three are empty where the API is the deck's store: its whole message is the error's text.
    """

    def __init__(self, message: str, *, verb: str = "", resource: str = "", detail: str = "") -> None:
        self.verb, self.resource, self.detail = verb, resource, detail or message
        super().__init__(message)


class ObjectNotFound(ResourceApiError, NotFound):
    """No object has this name or this uid, or its namespace is being deleted."""


class ObjectConflict(ResourceApiError, Conflict):
    """The object has another resourceVersion or uid than the caller expects."""


class ObjectExists(ResourceApiError, Conflict):
    """An object has this name already."""


class AccessDenied(ResourceApiError):
    """A right is missing, or a quota or an admission policy forbids the call."""


class ManifestRejected(ResourceApiError, InvalidInput):
    """The API refuses the document: it fails validation."""


class ApiUnavailable(ResourceApiError, Unavailable):
    """The API does not answer, answers with a transient error, or somebody else answered. The caller retries."""
