"""Pages of resources over one namespace, some, or all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tapedeck_crds.json import Json
from tapedeck_gateway.resources.kubernetes_api import KubernetesApi


class ListPlace(NamedTuple):
    """Where a page begins: the number of the namespace, and the API's own token of the place in it."""

    namespace: int = 0
    more: str = ""


def list_page(
    api: KubernetesApi, plural: str, namespaces: Sequence[str], limit: int, place: ListPlace
) -> tuple[list[Json], ListPlace | None]:
    """At most ``limit`` resources, and where the next page begins; an empty namespace stands for all."""
    found: list[Json] = []
    for number in range(max(place.namespace, 0), len(namespaces)):
        more = place.more if number == place.namespace else ""
        page = api.page(plural, namespaces[number], limit - len(found), more)
        found += page.items
        if page.more:
            return found, ListPlace(number, page.more)
        if len(found) >= limit:
            return found, ListPlace(number + 1) if number + 1 < len(namespaces) else None
    return found, None
