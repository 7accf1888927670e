"""What the error messages of CryptoCompare's websocket mean."""

from __future__ import annotations

from tapedeck_feed.exchanges.adapter import BadInput, Broken, Unanswerable, Unreachable
from tapedeck_feed.exchanges.cryptocompare.messages import Message

TOO_FAST = 5.0  # seconds before the next try where it wants fewer connections
FAULTS = UNAUTHORIZED, LIMITED, _REFUSED = "401", "429", "500"


def fault_of(kind: str, message: Message) -> Exception | None:
    """What an error message comes to; None where all is as it should be."""
    name = str(message.get("MESSAGE"))
    text = " ".join(str(message[part]) for part in ("MESSAGE", "PARAMETER", "INFO") if message.get(part))[:300]
    if kind == UNAUTHORIZED:
        return BadInput("WrongKey", f"apiKeySecret: the exchange refuses the key: {text}")
    if kind == LIMITED:
        if name.startswith("TOO_MANY_SUBSCRIPTIONS"):
            return BadInput(
                "TooManySymbols", f"symbols: more than the key's plan allows: {text}; expected fewer, or shards"
            )
        return Unreachable(f"cryptocompare: {text}", TOO_FAST)
    if name == "SUBSCRIPTION_ALREADY_ACTIVE":
        return None
    if name in ("INVALID_SUB", "SUBSCRIPTION_UNRECOGNIZED"):
        return BadInput("UnsupportedChannel", f"channels: the exchange does not send {text}")
    return Broken(f"cryptocompare: {text}") if name == "FORCE_DISCONNECT" else Unanswerable(f"cryptocompare: {text}")
