"""``python -m reference.api_schemas``: the types of the API and of the WebSocket, for the page's TypeScript."""

from __future__ import annotations

import json

from reference.rest import document
from tapedeck_crds.json import Json
from tapedeck_gateway.push.protocol.asyncapi import asyncapi_document


def schemas() -> Json:
    """An OpenAPI document that has types alone."""
    api, socket = document(), asyncapi_document()
    types = {**api["components"]["schemas"], **socket["components"]["schemas"]}
    return {"openapi": api["openapi"], "info": api["info"], "paths": {}, "components": {"schemas": types}}


if __name__ == "__main__":
    print(json.dumps(schemas(), indent=1))
