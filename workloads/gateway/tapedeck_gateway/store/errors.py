"""What a database's error means for a request."""

from __future__ import annotations

import psycopg
from psycopg import errors
from psycopg_pool import PoolTimeout

from tapedeck_crds.errors import Unavailable

# A query that is wrong in itself raises other errors.
DATABASE_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError)
# Those that end a connection: the server stops or starts.
_GONE = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow)


class QueryTooSlow(Unavailable):
    """The database answers, but not this query in time."""

    http_status = 504
    reason = "QueryTooSlow"


def unavailable(error: Exception, *, query_seconds: float, database_answers: bool) -> Unavailable:
    """What to tell of one of DATABASE_ERRORS.

    ``query_seconds`` limits a query. ``database_answers`` is what is known otherwise: a connection that a request did
    not get may have been used by others.
    """
    if isinstance(error, errors.QueryCanceled):
        return QueryTooSlow(
            f"query: got no result within {query_seconds:g} s; ask for a shorter range or for fewer rows"
        )
    if isinstance(error, PoolTimeout) and database_answers:
        return Unavailable("the database is busy: none of the gateway's connections was free in time; try again")
    if isinstance(error, psycopg.Error) and error.sqlstate is not None and not isinstance(error, _GONE):
        return Unavailable(f"the database cannot answer now ({type(error).__name__}); try again")
    return Unavailable("the database does not answer; try again")
