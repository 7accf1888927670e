"""The AsyncAPI 3 document of /api/v1/ws, made of the types of its messages."""

from __future__ import annotations

import functools
import inspect
from typing import get_args

import msgspec

from tapedeck_common.version import VERSION
from tapedeck_crds.json import Json
from tapedeck_gateway.push.protocol.messages import CLOSE_CODES, ChannelMessage, SocketMessage
from tapedeck_gateway.push.protocol.requests import REQUESTS

ADDRESS = "/api/v1/ws"
_ID: Json = {"type": "string", "description": "The client's name of the subscription."}
_SEQ: Json = {"type": "integer", "description": "Counts up by one with each message of the session."}
ABOUT = """\
A socket has a session. Its first message is `welcome`, with the session's id and the limits.

Subscribe to channels with ids of your own. The answer is `subscribed`, then a snapshot (`snapshot: true`), then
updates. A snapshot replaces everything that was sent of the subscription; so does one that comes later, in place of
updates that a slow client could not take.

`reset` says that a seek or a loop has taken back what was sent; a snapshot follows. `revise` has bars that had closed
and have changed. Nothing that belongs to a replay is sent beyond its position, unless `future` is asked for.

After a lost connection, connect again and send `resume` with the session and the last `seq`: the messages after it are
repeated, or, where it is too late for that, `resumed` says so and a snapshot of each subscription follows.

A browser, which can send no header, offers the subprotocols `tapedeck.v1` and `bearer.<token>`; others send
`Authorization: Bearer <token>`.
"""


@functools.cache
def asyncapi_document() -> Json:
    """The document: the messages of ``requests`` and ``messages``, with the ``seq`` and ``id`` that sockets add."""
    of_sockets, of_channels = get_args(SocketMessage), get_args(ChannelMessage)
    kinds = (*REQUESTS, *of_sockets, *of_channels)
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    for kind in of_sockets:
        _put_first(schemas[kind.__name__], seq=_SEQ)
    for kind in of_channels:
        _put_first(schemas[kind.__name__], seq=_SEQ, id=_ID)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Tapedeck WebSocket", "version": VERSION, "description": ABOUT},
        "defaultContentType": "application/json",
        "channels": {
            "socket": {
                "address": ADDRESS,
                "description": _close_codes(),
                "messages": {_name(kind): {"$ref": f"#/components/messages/{_name(kind)}"} for kind in kinds},
            }
        },
        "operations": {
            "receiveRequests": _operation("receive", "What a client sends.", REQUESTS),
            "sendMessages": _operation("send", "What the gateway sends.", (*of_sockets, *of_channels)),
        },
        "components": {
            "messages": {
                _name(kind): {
                    "name": _name(kind),
                    "summary": (inspect.getdoc(kind) or "").partition("\n")[0],
                    "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
                }
                for kind in kinds
            },
            "schemas": schemas,
        },
    }


def _name(kind: type[msgspec.Struct]) -> str:
    tag = str(kind.__struct_config__.tag)
    return f"subscribe.{tag}" if kind.__struct_config__.tag_field == "channel" else f"{_side(kind)}{tag}"


def _side(kind: type[msgspec.Struct]) -> str:
    return "request." if kind in REQUESTS else ""


def _operation(action: str, summary: str, kinds: tuple[type[msgspec.Struct], ...]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/socket"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/socket/messages/{_name(kind)}"} for kind in kinds],
    }


def _put_first(schema: Json, **properties: Json) -> None:
    schema["properties"] = {**properties, **schema["properties"]}
    schema["required"] = [*properties, *schema.get("required", [])]


def _close_codes() -> str:
    return "Close codes:\n\n" + "\n".join(f"- {code}: {meaning}" for code, meaning in CLOSE_CODES.items())
