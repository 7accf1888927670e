"""The name under which a request is counted: that of its token's holder, or its client's address."""

from __future__ import annotations

from starlette.types import Scope

from tapedeck_gateway.access.client_address import client_key
from tapedeck_gateway.access.tokens import ANONYMOUS, Grant


def client_of(scope: Scope) -> str:
    """The client's address: that which a trusted proxy names, or that of the connection's peer."""
    return client_key((scope.get("client") or (None,))[0])


def counted_as(scope: Scope, grant: Grant | None = None) -> str:
    """The holder of the token, else the address: clients of one machine, or behind one proxy, share an address.

    Without ``grant`` it is that of ``scope``, which the guard has set.
    """
    found = grant or scope.get("state", {}).get("grant", ANONYMOUS)
    return client_of(scope) if found == ANONYMOUS else f"token {found.name}"
