"""Translates the error messages of CryptoCompare's websocket into the adapter's errors."""

from __future__ import annotations

from tapedeck_feed.exchanges.cryptocompare.messages import Message
from tapedeck_feed.exchanges.errors import (
    ExchangeRequestFailed,
    ExchangeUnreachable,
    InvalidFeedInput,
    SubscriptionLost,
)

RATE_LIMIT_DELAY = 5.0  # seconds before the next connection where CryptoCompare limits connections
ERROR_TYPES = UNAUTHORIZED, LIMITED, _REJECTED = "401", "429", "500"


def translate_error(message_type: str, message: Message) -> Exception | None:
    """The adapter's error for an error message; None where it reports no problem."""
    name = str(message.get("MESSAGE"))
    text = " ".join(str(message[part]) for part in ("MESSAGE", "PARAMETER", "INFO") if message.get(part))[:300]
    if message_type == UNAUTHORIZED:
        return InvalidFeedInput("WrongKey", f"apiKeySecret: the exchange rejects the key: {text}")
    if message_type == LIMITED:
        if name.startswith("TOO_MANY_SUBSCRIPTIONS"):
            return InvalidFeedInput(
                "TooManySymbols", f"symbols: more than the key's plan allows: {text}; expected fewer, or shards"
            )
        return ExchangeUnreachable(f"cryptocompare: {text}", RATE_LIMIT_DELAY)
    if name == "SUBSCRIPTION_ALREADY_ACTIVE":
        return None
    if name in ("INVALID_SUB", "SUBSCRIPTION_UNRECOGNIZED"):
        return InvalidFeedInput("UnsupportedChannel", f"channels: the exchange does not send {text}")
    if name == "FORCE_DISCONNECT":
        return SubscriptionLost(f"cryptocompare: {text}")
    return ExchangeRequestFailed(f"cryptocompare: {text}")
