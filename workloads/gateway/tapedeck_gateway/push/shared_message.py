"""Messages that are encoded once for all sockets that want them."""

from __future__ import annotations

from collections.abc import Hashable

import msgspec

_encode = msgspec.json.Encoder().encode


class SharedMessage:
    """A message without its ``seq`` and ``id``: a socket puts its own before the rest.

    ``kind`` is the message's type. A message replaces an unsent one of the same ``key`` in the same subscription; one
    without a key replaces none.
    """

    __slots__ = ("_body", "key", "kind", "message")

    def __init__(self, message: msgspec.Struct, key: Hashable = None) -> None:
        self.message = message
        self._body = b""
        self.key = key
        self.kind = str(message.__struct_config__.tag)

    @property
    def body(self) -> bytes:
        """The encoded fields, from the first one's name to the closing brace."""
        if not self._body:
            self._body = _encode(self.message)[1:]
        return self._body

    def text(self, seq: int, encoded_id: bytes) -> bytes:
        """The message of a socket; ``encoded_id`` is JSON, empty for a message that belongs to no subscription."""
        if encoded_id:
            return b'{"seq":%d,"id":%b,%b' % (seq, encoded_id, self.body)
        return b'{"seq":%d,%b' % (seq, self.body)
