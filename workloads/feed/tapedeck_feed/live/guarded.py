"""ccxt's websocket clients, made safe against what they can't take.

A message that ccxt fails to read raises in its receive loop, which then never runs again: the connection stays
open and deaf. And a connection that breaks while nobody waits for its next message is replaced without a word.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tapedeck_feed.live.lean import Lean

Told = Callable[[str, str], None]
"""(what went wrong, the message)"""


def guarded(module: str, name: str) -> type[Any]:
    """The exchange class of a module of ccxt, guarded. Raises ModuleNotFoundError where there is none."""
    kind: type[Any] = getattr(importlib.import_module(module), name)

    class Guarded(Lean, kind):  # type: ignore[misc]
        """``on_malformed`` hears of messages that could not be read; ``breaks`` counts lost connections."""

        on_malformed: Told = staticmethod(lambda _reason, _payload: None)
        breaks = 0

        def client(self, url: str) -> Any:
            known = url in self.clients
            client = super().client(url)
            if not known:
                self._guard(client)
            return client

        def on_close(self, client: Any, error: Any) -> None:
            self.breaks += 1
            super().on_close(client, error)

        def on_error(self, client: Any, error: Any) -> None:
            self.breaks += 1
            super().on_error(client, error)

        def _guard(self, client: Any) -> None:
            read = client.handle_text_or_binary_message

            def read_safely(data: Any) -> None:
                try:
                    read(data)
                except Exception as error:  # whatever it is, the next message must be read
                    self.on_malformed(f"{type(error).__name__}: {error}", str(data))

            client.handle_text_or_binary_message = read_safely

    Guarded.__name__ = name  # ccxt shows it in its messages
    return Guarded
