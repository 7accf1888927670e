"""Times in options of commands."""

from __future__ import annotations

import re
from datetime import timedelta

from tapedeck_crds.base import parse_time, time_ms
from tapedeck_deck.cli.context import WrongArgument

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_SPAN = re.compile(r"([1-9][0-9]{0,5})([mhdwy])")
_UNITS = {
    "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}  # fmt: skip
SPAN_MAX = timedelta(days=50 * 365)


def parse_moment(option: str, text: str) -> str:
    """The time in the format of resources, from a day or a time with an offset. Raises WrongArgument."""
    moment = f"{text}T00:00:00Z" if _DAY.match(text) else text
    try:
        parse_time(moment)
    except ValueError as error:
        raise WrongArgument(f"{option}: got {text!r}, {error}, or a day like 2018-04-04") from None
    return moment


def parse_span(option: str, text: str) -> timedelta:
    """A length of time such as 30d: minutes, hours, days, weeks or years of 365 days. Raises WrongArgument."""
    found = _SPAN.fullmatch(text)
    if found is None or (span := int(found[1]) * _UNITS[found[2]]) > SPAN_MAX:
        raise WrongArgument(
            f"{option}: got {text!r}, expected a length of up to 50 years such as 90m, 12h, 30d, 4w or 1y"
        )
    return span


def moment_ms(option: str, text: str | None) -> int | None:
    """Milliseconds UTC of a day or a time with an offset; None where the option is missing. Raises WrongArgument."""
    return None if text is None else time_ms(parse_moment(option, text))


def range_ms(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Milliseconds UTC of --from and --to. Raises WrongArgument where the range is empty."""
    first, last = moment_ms("--from", start), moment_ms("--to", end)
    if first is not None and last is not None and last <= first:
        raise WrongArgument(f"--to: got {end}, expected a time after --from ({start})")
    return first, last
