"""Times that are written as text: in which order their date is, and reading them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import Literal, TypeAlias, get_args

from tapedeck_crds.text import quoted

DateOrder: TypeAlias = Literal["ymd", "dmy", "mdy"]
"""The order of year, month and day where the month is a number."""
ParseTime: TypeAlias = Callable[[str], datetime]
"""A text as a time with or without an offset; fractions of a microsecond are cut off. Raises ValueError."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CLOCK = (
    r"(?:(?:[ T;,]+|D(?=\d\d:))"
    r"(?P<H>\d{1,2})(?:[:h](?P<M>\d{2})(?:[:m](?P<S>\d{2})(?:[.,:](?P<f>\d{1,9}))?)?|(?=[ -]?[AaPp][Mm]))"
    r"(?:[ -]?(?P<p>[AaPp])[Mm])?)?"
)
_COMPACT_CLOCK = r"(?:[ T;,-]?(?P<H>\d{2}):?(?P<M>\d{2})(?::?(?P<S>\d{2})(?:\.?(?P<f>\d{1,9}))?)?)?"
_ZONE = r" ?(?P<z>Z|UTC|(?:GMT|UTC)?[+-]\d{2}(?::?\d{2})?|GMT)?"
_NAME = r"(?P<b>[A-Za-z]{3})[a-z]*\.?"
_ORDERED: dict[DateOrder, str] = {
    "ymd": r"(?P<Y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})" + _CLOCK,
    "dmy": r"(?P<d>\d{1,2})[-/.](?P<m>\d{1,2})[-/.](?P<Y>\d{4}|\d{2})" + _CLOCK,
    "mdy": r"(?P<m>\d{1,2})[-/](?P<d>\d{1,2})[-/](?P<Y>\d{4}|\d{2})" + _CLOCK,
}
_UNORDERED = (
    r"(?P<Y>\d{4})(?P<m>\d{2})(?P<d>\d{2})" + _COMPACT_CLOCK,
    rf"(?P<d>\d{{1,2}})[- ]{_NAME},?[- ](?P<Y>\d{{4}}|\d{{2}})" + _CLOCK,
    rf"{_NAME} (?P<d>\d{{1,2}}),? (?P<Y>\d{{4}})" + _CLOCK,
)
_DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<Y>\d{2})",
    "m": r"(?P<m>\d{1,2})",
    "d": r"(?P<d>\d{1,2})",
    "b": r"(?P<b>[A-Za-z]{3})",
    "B": r"(?P<b>[A-Za-z]{3})[a-z]*",
    "H": r"(?P<H>\d{1,2})",
    "I": r"(?P<H>\d{1,2})",
    "M": r"(?P<M>\d{1,2})",
    "S": r"(?P<S>\d{1,2})",
    "f": r"(?P<f>\d{1,9})",
    "p": r"(?P<p>[AaPp])[Mm]",
    "z": r"(?P<z>Z|[+-]\d{2}(?::?\d{2})?)",
    "%": "%",
}
EXAMPLES: dict[DateOrder, str] = {
    "ymd": "2018-04-25 13:30:00",
    "dmy": "25/04/2018 13:30:00",
    "mdy": "04/25/2018 13:30:00",
}
FORMATS: dict[DateOrder, str] = {"ymd": "%Y-%m-%d", "dmy": "%d/%m/%Y", "mdy": "%m/%d/%Y"}
"""What to declare for each order, as the start of a format."""


def date_orders(texts: Iterable[str]) -> list[DateOrder]:
    """The orders in which every text is a time; more than one where no day is above 12."""
    found = list(get_args(DateOrder))
    for text in texts:
        found = [order for order in found if _is_time(parser(order), text)]
    return found


@cache
def parser(order: DateOrder) -> ParseTime:
    """A parser of times whose date is in this order, compact (20180425) or has the name of the month."""
    return _parser([re.compile(text + _ZONE) for text in (_ORDERED[order], *_UNORDERED)], EXAMPLES[order])


def format_parser(format_: str) -> ParseTime:
    """A parser of a format with directives as those of strptime. Raises ValueError for one that is unknown."""
    parts, rest = [], format_
    while rest:
        before, percent, rest = rest.partition("%")
        parts.append(re.escape(before))
        if percent:
            if rest[:1] not in _DIRECTIVES:
                known = " ".join(f"%{name}" for name in _DIRECTIVES)
                raise ValueError(f"time.format: got {quoted('%' + rest[:1])} in {quoted(format_)}, expected {known}")
            parts.append(_DIRECTIVES[rest[0]])
            rest = rest[1:]
    try:
        pattern = re.compile("".join(parts))
        if not {"Y", "d"} <= (given := pattern.groupindex.keys()) or not {"m", "b"} & given:
            raise ValueError(f"time.format: got {quoted(format_)}, expected %Y or %y, %m or %b, and %d in it")
        return _parser([pattern], format_)
    except re.error:  # a directive twice
        raise ValueError(f"time.format: got {quoted(format_)}, expected each directive once") from None


def _parser(patterns: Sequence[re.Pattern[str]], example: str) -> ParseTime:
    def parse(text: str) -> datetime:
        for pattern in patterns:
            if found := pattern.fullmatch(text):
                return _moment(found.groupdict(), text)
        raise ValueError(f"got {quoted(text)}, expected a time like {example}")

    return parse


def _moment(part: dict[str, str | None], text: str) -> datetime:
    try:
        written = part["Y"] or ""
        year = int(written)
        if len(written) == 2:
            year += 2000 if year < 70 else 1900
        name = part.get("b")
        month = _MONTHS.index(name.lower()) + 1 if name else int(part["m"] or "")
        hour = int(part.get("H") or 0)
        if half := part.get("p"):
            if not 1 <= hour <= 12:
                raise ValueError
            hour = hour % 12 + (12 if half in "pP" else 0)
        fraction = int(f"{part.get('f') or '':0<6.6}")
        return datetime(
            year,
            month,
            int(part["d"] or ""),
            hour,
            int(part.get("M") or 0),
            int(part.get("S") or 0),
            fraction,
            _offset(part.get("z")),
        )
    except ValueError:
        raise ValueError(f"got {quoted(text)}, expected an existing date and time") from None


def _offset(text: str | None) -> tzinfo | None:
    if not text:
        return None
    digits = text.removeprefix("GMT").removeprefix("UTC")
    if digits in ("", "Z"):
        return UTC
    hours, minutes = int(digits[1:3]), int(digits[-2:] if len(digits) > 3 else 0)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if digits[0] == "-" else offset)


def _is_time(parse: ParseTime, text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
