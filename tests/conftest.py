"""Fixtures: a migrated template, a connection that rolls back, a copy to commit in."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, sql

from loader import schema, server

# A job in the background ignores Ctrl-C, and so would every command the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SHARED = Path(os.environ.get("WEIGHHOUSE_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The reference data beside the repository; tests that need it are skipped without."""
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip("reference data (../shared/data) is not there")
    return data


@pytest.fixture(scope="session")
def server_url() -> str:
    """A server on which databases can be made: TEST_SERVER_URL, else the embedded one."""
    if url := os.environ.get("TEST_SERVER_URL"):
        return url
    server.start(progress=lambda text: None)
    return server.dsn()


def in_database(url: str, name: str) -> str:
    """Give the DSN of another database of the same server."""
    return conninfo.make_conninfo(url, dbname=name)


def admin(url: str) -> psycopg.Connection[Any]:
    """Connect for creating and dropping databases."""
    return psycopg.connect(in_database(url, "postgres"), autocommit=True)


def drop_database(url: str, name: str) -> None:
    """Drop a database whoever is in it."""
    with admin(url) as connection:
        connection.execute(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
        )


def copy_database(url: str, template: str, name: str) -> None:
    """Copy a closed database; TimescaleDB's scheduler may hold a session in it for a moment."""
    with admin(url) as connection:
        for attempt in range(20):
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                (template,),
            )
            try:
                connection.execute(
                    sql.SQL("create database {} template {}").format(
                        sql.Identifier(name), sql.Identifier(template)
                    )
                )
                break
            except psycopg.errors.ObjectInUse:
                if attempt == 19:
                    raise
        # Settings of a database are not copied with it.
        connection.execute(
            sql.SQL('alter database {} set search_path = "$user", public, core, bi, api').format(
                sql.Identifier(name)
            )
        )
        connection.execute(sql.SQL("alter database {} set jit = off").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """One migrated database, closed for connections."""
    name = f"wh_template_{uuid.uuid4().hex[:8]}"
    with admin(server_url) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    schema.upgrade(in_database(server_url, name))
    with admin(server_url) as connection:
        connection.execute(
            sql.SQL("alter database {} allow_connections false").format(sql.Identifier(name))
        )
    yield name
    with admin(server_url) as connection:
        connection.execute(
            sql.SQL("alter database {} allow_connections true").format(sql.Identifier(name))
        )
    drop_database(server_url, name)


@pytest.fixture
def fresh_url(server_url: str, template: str) -> Iterator[str]:
    """A migrated database of its own, for what commits."""
    name = f"wh_test_{uuid.uuid4().hex[:8]}"
    copy_database(server_url, template, name)
    yield in_database(server_url, name)
    drop_database(server_url, name)


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"wh_empty_{uuid.uuid4().hex[:8]}"
    with admin(server_url) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield in_database(server_url, name)
    drop_database(server_url, name)


@pytest.fixture(scope="session")
def shared_url(server_url: str, template: str) -> Iterator[str]:
    """A migrated database in which nothing is ever committed."""
    name = f"wh_shared_{uuid.uuid4().hex[:8]}"
    copy_database(server_url, template, name)
    yield in_database(server_url, name)
    drop_database(server_url, name)


@pytest.fixture
def db(shared_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose work is rolled back after the test."""
    with psycopg.connect(shared_url) as connection:
        yield connection
        connection.rollback()
