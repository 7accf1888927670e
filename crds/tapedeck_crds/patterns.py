"""Patterns of text in the custom resources, in words: a message shows no regular expression."""

from __future__ import annotations

ADDRESS = r"://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/:-]*)?$"
"""What follows the scheme of a URL that has neither an account nor a query."""

_EDGES = "with a letter or a digit at both ends"
_IDENTIFIER = "a name of letters, digits and _, which does not begin with a digit"
IN_WORDS = {
    r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$": f"a name of a-z, 0-9 and -, {_EDGES}",
    r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$": f"a name of at most 40 characters of a-z, 0-9 and -, {_EDGES}",
    r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$": f"a name of a-z, 0-9, . and -, {_EDGES}",
    r"^[a-z0-9][a-z0-9._-]*$": "an id of a-z, 0-9, ., _ and -, with a letter or a digit at its begin",
    r"^[a-z][a-z0-9_]*$": "a name of a-z, 0-9 and _, with a letter at its begin",
    r"^[A-Za-z_][A-Za-z0-9_]*$": _IDENTIFIER,
    r"^[A-Za-z0-9._-]+$": "a name of letters, digits, ., _ and -",
    r"^[A-Za-z0-9_-]+$": "a name of letters, digits, _ and -",
    r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$": "a module and a name in it, like package.module:name",
    r"^([A-Za-z_][A-Za-z0-9_.]*:)?[A-Za-z_][A-Za-z0-9_]*$": "the name of a class, or module:name of one in a module",
    r"^([01][0-9]|2[0-3]):[0-5][0-9]$": "a time of day from 00:00 to 23:59, like 09:30",
    r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$": "a time of day from 00:00 to 24:00, like 16:00",
    r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$": "a number with or without a unit, like 500m or 2Gi",
    r"^[\t !#-~]$": "a character of ASCII other than a quotation mark",
    f"^https?{ADDRESS}": "an address without an account or a query, like https://api.example.com",
    f"^wss?{ADDRESS}": "an address without an account or a query, like wss://stream.example.com",
    r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$": "a time zone of the IANA database, like America/New_York",
}
"""What a pattern asks for, in words."""
