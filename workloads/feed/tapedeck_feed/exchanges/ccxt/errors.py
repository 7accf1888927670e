"""Translates ccxt's errors into the adapter's, and reads how long the exchange requires a client to wait."""

from __future__ import annotations

from collections.abc import Mapping

import ccxt

from tapedeck_feed.exchanges.errors import ExchangeRequestFailed, ExchangeUnreachable, InvalidFeedInput
from tapedeck_feed.exchanges.symbols import near_matches

DEFAULT_RATE_LIMIT_DELAY = 5.0  # seconds, where the exchange names none


def translate_error(
    error: ccxt.BaseError, retry_after: float | None
) -> InvalidFeedInput | ExchangeUnreachable | ExchangeRequestFailed:
    """The adapter's error for one of ccxt. ``retry_after`` is the delay that the exchange requires, seconds."""
    text = str(error)[:500]
    if isinstance(error, (ccxt.AuthenticationError, ccxt.PermissionDenied)):
        return InvalidFeedInput("WrongKey", f"apiKeySecret: the exchange rejects the key: {text}")
    if isinstance(error, (ccxt.RateLimitExceeded, ccxt.DDoSProtection)):
        delay = retry_after if retry_after is not None else DEFAULT_RATE_LIMIT_DELAY
        return ExchangeUnreachable(f"too many requests: {text}", delay)
    if isinstance(error, ccxt.NetworkError):
        return ExchangeUnreachable(text)
    return ExchangeRequestFailed(text)


def retry_after_header(headers: Mapping[str, str]) -> float | None:
    """Seconds in the header Retry-After of a response; None where it has none."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return float(value) if value.isdigit() else None


def handshake_retry_after(error: Exception) -> float | None:
    """Retry-After of a rejected websocket handshake: ccxt keeps the response as the error's first argument."""
    headers = getattr(error.args[0] if error.args else None, "headers", None)
    return retry_after_header(headers) if headers else None


def unusable_key(exchange: str, error: Exception) -> InvalidFeedInput:
    """For a key that cannot sign a request. The error's text may contain the key and is left out."""
    return InvalidFeedInput(
        "WrongKey",
        f"apiKeySecret: no request to {exchange} can be signed with it ({type(error).__name__}); "
        "expected apiKey and secret as the exchange gave them",
    )


def unknown_exchange(exchange: str) -> InvalidFeedInput:
    """For an exchange id that neither ccxt.pro nor Tapedeck has; the message names similar ids."""
    import ccxt.pro  # slow to load, and only its list of names is needed

    candidates = [*ccxt.pro.exchanges, "cryptocompare"]
    return InvalidFeedInput(
        "UnknownExchange",
        f"exchange: got {exchange!r}{near_matches(exchange, candidates)}; expected an id of ccxt.pro, or cryptocompare",
    )
