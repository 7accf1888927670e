"""The functions of PostgreSQL that a user's statement may not name: they act on others, or run text as a statement.

Reading alone does not keep a statement from them. The role of the gateway is that of other workloads, too: it may end
their sessions, and may take the lock of a migration. The check is one of words, also in texts and comments, so that no
way of quoting hides one.
"""

from __future__ import annotations

import re

from tapedeck_crds.errors import InvalidInput

_REFUSED = re.compile(
    r"""\b(
        pg_(terminate|cancel)_backend            # sessions of other workloads
        |pg_(try_)?advisory_\w+                  # locks that others wait for
        |pg_(notify|logical_emit_message|promote|reload_conf|rotate_logfile|switch_wal|export_snapshot)
        |pg_(replication|create|drop|copy|logical|stat_reset|ls|read|stat_file|log_backend|wal_replay|backup)\w*
        |lo_(import|export|creat|create|open|unlink|put|from_bytea)|dblink\w*
        |query_to_xml\w*|cursor_to_xml\w*|ts_stat|ts_rewrite  # statements in a text
    )\b""",
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
_ESCAPED_NAME = re.compile(r"\bU&\s*[\"']", re.IGNORECASE | re.ASCII)


def refuse_functions(statement: str) -> None:
    """Raise InvalidInput for a statement that names a function of these, or may in escaped letters."""
    if match := _REFUSED.search(statement):
        raise InvalidInput(
            f"query: got {match[0][:60]}, expected functions that only read: this one acts on other sessions, locks or "
            "files, or runs a text as a statement; leave it out"
        )
    if match := _ESCAPED_NAME.search(statement):
        raise InvalidInput(f"query: got {match[0]!r}, expected names and texts without escapes; write the letters")
