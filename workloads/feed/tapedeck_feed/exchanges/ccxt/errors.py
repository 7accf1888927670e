"""What ccxt's errors mean, and how long the exchange asks to be left alone."""

from __future__ import annotations

from collections.abc import Mapping

import ccxt

from tapedeck_feed.exchanges.adapter import BadInput, Unanswerable, Unreachable
from tapedeck_feed.exchanges.symbols import near


def meant(error: ccxt.BaseError, wait: float | None) -> BadInput | Unreachable | Unanswerable:
    """An error of ccxt as the adapter's; ``wait`` is how many seconds the exchange asked for."""
    text = str(error)[:500]
    if isinstance(error, (ccxt.AuthenticationError, ccxt.PermissionDenied)):
        return BadInput("WrongKey", f"apiKeySecret: the exchange refuses the key: {text}")
    if isinstance(error, (ccxt.RateLimitExceeded, ccxt.DDoSProtection)):
        return Unreachable(f"too many requests: {text}", wait if wait is not None else 5.0)
    if isinstance(error, ccxt.NetworkError):
        return Unreachable(text)
    return Unanswerable(text)


def wait_in(headers: Mapping[str, str]) -> float | None:
    """Seconds that the headers of an answer ask to be left alone."""
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return float(said) if said.isdigit() else None


def wait_of(error: Exception) -> float | None:
    """Seconds that a refused websocket asks for: ccxt keeps the refusal as it came."""
    headers = getattr(error.args[0] if error.args else None, "headers", None)
    return wait_in(headers) if headers else None


def no_key(exchange: str, error: Exception) -> BadInput:
    """Without what the error says, which may be the key."""
    return BadInput(
        "WrongKey",
        f"apiKeySecret: no request to {exchange} can be signed with it ({type(error).__name__}); "
        "expected apiKey and secret as the exchange gave them",
    )


def unknown_exchange(exchange: str) -> BadInput:
    """Names the exchanges that are near."""
    import ccxt.pro  # heavy, and wanted for its names alone

    return BadInput(
        "UnknownExchange",
        f"exchange: got {exchange!r}{near(exchange, [*ccxt.pro.exchanges, 'cryptocompare'])}; "
        "expected an id of ccxt.pro, or cryptocompare",
    )
