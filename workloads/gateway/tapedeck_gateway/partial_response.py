"""Responses made of what the broker and the database have: one that does not answer is named instead of failing all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, TypeAlias, TypeVar

from fastapi import Depends, Response

from tapedeck_common.logs import log
from tapedeck_crds.errors import Unavailable

MISSING_HEADER = "x-tapedeck-missing"
T = TypeVar("T")


class PartialResponse:
    """The parts of one response. The header ``x-tapedeck-missing`` names the services whose part it lacks."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self._loaded = 0
        self._must_be_whole = False
        self._missing: dict[str, Unavailable] = {}

    @property
    def headers(self) -> dict[str, str]:
        """The header that names what is missing, if anything is."""
        return {MISSING_HEADER: ", ".join(self._missing)} if self._missing else {}

    def load(self, service: str, load: Callable[[], list[T]]) -> list[T]:
        """What ``load`` returns, or nothing where the service does not answer.

        Raises Unavailable then where the response must be whole.
        """
        try:
            found = load()
        except Unavailable as error:
            if self._must_be_whole:
                raise
            log.warning("a response is incomplete", service=service, reason=str(error.__cause__ or error))
            self._missing[service] = error
            self._response.headers.update(self.headers)
            return []
        self._loaded += 1
        return found

    def require_whole(self) -> None:
        """From now on a service that does not answer is an error: a file has no place that says what it lacks."""
        self._must_be_whole = True

    def lack(self, services: Iterable[str]) -> None:
        """Say that the response may lack parts of services, which do not answer."""
        for service in services:
            self._missing.setdefault(service, Unavailable(f"the {service} does not answer; try again"))
        self._response.headers.update(self.headers)

    def require_any(self) -> None:
        """Raises Unavailable where no service answered."""
        if not self._loaded and self._missing:
            raise next(iter(self._missing.values()))


async def _partial_response(response: Response) -> PartialResponse:
    return PartialResponse(response)


Parts: TypeAlias = Annotated[PartialResponse, Depends(_partial_response)]
