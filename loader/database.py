"""Connections: which server, how to reach it, and what an error of it means to the user."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo

from loader.errors import Busy, ConnectionFailed, LoaderError, Refused

T = TypeVar("T")

# Worth another try by itself: serialisation, deadlock, lost or refused connections.
TRANSIENT = ("40001", "40P01", "08", "57P01", "57P02", "57P03", "53300")
LIBPQ_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE", "PGUSER")


def resolve_dsn(dsn: str | None = None, service: str | None = None) -> str:
    """Find the server to use.

    The order: `dsn`, `service`, DATABASE_URL, libpq's own variables, the embedded server.
    """
    if dsn:
        # SQLAlchemy's spelling of the same thing.
        return dsn.replace("postgresql+psycopg://", "postgresql://", 1)
    if service:
        return conninfo.make_conninfo(service=service)
    if url := os.environ.get("DATABASE_URL"):
        return url.replace("postgresql+psycopg://", "postgresql://", 1)
    if any(os.environ.get(name) for name in LIBPQ_VARIABLES):
        return ""
    from loader import server

    return server.dsn()


def connect(dsn: str, *, autocommit: bool = False) -> psycopg.Connection[Any]:
    """Open a connection with the session settings all of loader relies on."""
    try:
        connection = psycopg.connect(
            dsn,
            autocommit=autocommit,
            connect_timeout=10,
            application_name="loader",
            options="-c datestyle=ISO,YMD -c intervalstyle=postgres -c extra_float_digits=1"
            " -c client_min_messages=warning",
        )
    except psycopg.OperationalError as error:
        raise ConnectionFailed(
            f"cannot connect to {describe(dsn)}",
            detail=str(error).strip().splitlines()[-1],
            hint="run loader server start, or name a server with --dsn",
        ) from error
    except psycopg.ProgrammingError as error:
        raise ConnectionFailed(
            "the DSN cannot be read",
            detail=str(error).strip(),
            hint="use postgresql://user@host:port/database or key=value pairs",
        ) from error
    return connection


def describe(dsn: str) -> str:
    """Name a server for a message, without its password."""
    try:
        parts = conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        return "the server"
    host = parts.get("host") or os.environ.get("PGHOST", "localhost")
    port = parts.get("port") or os.environ.get("PGPORT", "5432")
    name = parts.get("dbname") or os.environ.get("PGDATABASE", "")
    return f"{host}:{port}/{name}"


def is_transient(error: psycopg.Error) -> bool:
    """Tell whether the same work may succeed when tried again."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(TRANSIENT)


def retrying(work: Callable[[], T], *, tries: int = 5, pause: float = 0.2) -> T:
    """Run `work` again on transient errors, with back-off, at most `tries` times."""
    for attempt in range(1, tries + 1):
        try:
            return work()
        except psycopg.Error as error:
            if attempt == tries or not is_transient(error):
                raise
        except ConnectionFailed as failure:
            if attempt == tries or not isinstance(failure.__cause__, psycopg.OperationalError):
                raise
            if "password" in (failure.detail or "") or "does not exist" in (failure.detail or ""):
                raise
        time.sleep(pause * 2 ** (attempt - 1) * random.uniform(0.875, 1.125))
    raise AssertionError("unreachable")


def explain(error: psycopg.Error, *, what: str = "") -> LoaderError:
    """Turn a server error into what the user needs to know."""
    state = error.sqlstate or ""
    primary = error.diag.message_primary or str(error).strip().split("\n")[0]
    primary = primary.removeprefix("plpy.Error: ")  # PL/Python puts it before what a kernel says
    nothing = f"nothing of {what} was loaded" if what else "nothing was changed"
    if state == "55P03":
        return Busy(
            f"another run holds the lock; {nothing}",
            detail=primary,
            hint="wait for it, then run again",
        )
    if state == "53100":
        return Refused(
            f"disk full on server; {nothing}",
            detail=primary,
            hint="make room on the server and run the same command again",
        )
    if state == "25006":
        return Refused(
            f"the server is read-only (a replica?); {nothing}", hint="use the primary server"
        )
    if state == "42501":
        return ConnectionFailed(f"no rights: {primary}", hint="connect as a role that may do this")
    if not state or state.startswith(("08", "57P")):
        return ConnectionFailed(
            f"the server closed the connection; {nothing}",
            detail=primary,
            hint="see that the server is up (loader doctor), then run the same command again",
        )
    return Refused(
        primary,
        detail=error.diag.message_detail or (f"SQLSTATE {state}" if state else None),
        hint=error.diag.message_hint,
    )


@contextmanager
def explaining(what: str = "") -> Iterator[None]:
    """Let server errors of the block leave as LoaderError."""
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        raise Refused(
            "the statement was cancelled", detail=str(error).strip().split("\n")[0]
        ) from error
    except psycopg.Error as error:
        raise explain(error, what=what) from error
