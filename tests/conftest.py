"""Fixtures: a migrated template, a connection that rolls back, a copy to commit in."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, sql

from loader import ingest, schema, server
from loader.reading import ReadOptions

# A job in the background ignores Ctrl-C, and so would every command the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The commands they start would compile the loader anew, each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SHARED = Path(os.environ.get("WEIGHHOUSE_SHARED", ROOT.parent / "shared"))


# The longest files, longest first: the last one to begin is a short one, and no worker ends alone.
LONG = (
    *("db/test_kinds", "unit/test_forecasting_contract", "db/test_schema", "loader/test_import"),
    *("db/test_accounting", "db/test_fit", "db/test_intake", "db/test_learning", "db/test_models"),
    *("loader/test_cli", "loader/test_models", "db/test_scheduler", "db/test_storage"),
    *("db/test_retraining", "db/test_expectations", "loader/test_readme", "db/test_jobs"),
    *("unit/test_tabular", "db/test_dataset_models", "db/test_conventions", "db/test_datasets"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Keep the order below: xdist would begin with the files of the most tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files."""
    places = {ROOT / f"tests/{name}.py": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


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
    # One that runs is taken as it is: without torch the tests that need it are skipped.
    extras = () if server.status().state == "running" else ("neural",)
    server.start(progress=lambda text: None, extras=extras)
    return server.dsn()


def in_database(url: str, name: str) -> str:
    """Give the DSN of another database of the same server."""
    return conninfo.make_conninfo(url, dbname=name)


def database_of(url: str) -> str:
    """Name the database of a DSN."""
    return str(conninfo.conninfo_to_dict(url)["dbname"])


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
        for setting in ('search_path = "$user", public, core, bi, api', "jit = off"):
            connection.execute(
                sql.SQL("alter database {} set {}").format(sql.Identifier(name), sql.SQL(setting))
            )


def rename_database(url: str, name: str, new: str) -> None:
    """Rename a closed database."""
    with admin(url) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s",
            (name,),
        )
        connection.execute(
            sql.SQL("alter database {} rename to {}").format(
                sql.Identifier(name), sql.Identifier(new)
            )
        )


def allow_connections(url: str, name: str, allowed: bool) -> None:
    """Open a database, or close it so that it can be copied."""
    with admin(url) as connection:
        connection.execute(
            sql.SQL("alter database {} allow_connections {}").format(
                sql.Identifier(name), sql.Literal(allowed)
            )
        )


# Of the whole run: its workers share what takes long to make.
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)[:8]


@contextmanager
def made_once(
    url: str, what: str, fill: Callable[[str], object], source: str | None = None
) -> Iterator[str]:
    """Lend the name of a database closed for connections: to be copied.

    The first worker that needs it makes and fills it, the last one that had it drops it.
    """
    name = f"wh_{what}_{RUN}"
    with admin(url) as holder:
        holder.execute("select pg_advisory_lock(hashtext(%s))", (name,))
        if not holder.execute("select from pg_database where datname = %s", (name,)).fetchall():
            # Complete, or not there under this name.
            half = f"{name}_half"
            drop_database(url, half)
            if source:
                copy_database(url, source, half)
            else:
                holder.execute(sql.SQL("create database {}").format(sql.Identifier(half)))
            fill(in_database(url, half))
            allow_connections(url, half, False)
            rename_database(url, half, name)
        holder.execute("select pg_advisory_lock_shared(hashtext(%s))", (name,))
        holder.execute("select pg_advisory_unlock(hashtext(%s))", (name,))
        yield name
        holder.execute("select pg_advisory_unlock_shared(hashtext(%s))", (name,))
        last = holder.execute("select pg_try_advisory_lock(hashtext(%s))", (name,)).fetchone()
        if last == (True,):
            drop_database(url, name)


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """One migrated database, closed for connections."""
    with made_once(server_url, "template", schema.upgrade) as name:
        yield name


@contextmanager
def copied(url: str, template: str) -> Iterator[str]:
    """Lend the DSN of a copy of a closed database."""
    name = f"wh_copy_{uuid.uuid4().hex[:8]}"
    copy_database(url, template, name)
    copy = in_database(url, name)
    try:
        yield copy
    finally:
        if idle := _idle.pop(copy, None):
            idle.close()
        drop_database(url, name)


# Sessions nobody uses now, by DSN.
_idle: dict[str, psycopg.Connection[Any]] = {}

# The memory of a session; its code stays, which takes longer to load than most tests last.
FORGET = """do language plpython3u $$
import sys
for name, module in list(sys.modules.items()):
    if name.startswith("weighhouse."):
        for kept in list(vars(module).values()):
            if type(kept).__name__ == "Remembered":
                kept.clear()
                kept.hits = kept.misses = kept.evictions = 0
if signing := sys.modules.get("weighhouse.signing"):
    signing._keys.clear()
$$"""


@contextmanager
def session(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Lend a session as good as new; what is not committed is rolled back.

    What it set, prepared, locked and remembered is forgotten afterwards: only the server's process
    and the Python it has loaded go on, for the next who asks for this database.
    """
    connection = _idle.pop(url, None)
    if connection is None or connection.closed:
        connection = psycopg.connect(url)
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
    try:
        connection.rollback()
        # At a rollback psycopg forgets what it prepared, too.
        connection.execute("select")
        connection.rollback()
        connection.autocommit = True
        connection.execute("discard all")
        connection.execute(FORGET)
        connection.autocommit = False
        _idle[url] = connection
    except psycopg.OperationalError:  # the test ended it
        connection.close()


def _import(url: str) -> None:
    for path in sorted((EXAMPLES / "vedomost").glob("*.csv")):
        options = ingest.ImportOptions(time_zone="Europe/Moscow")
        ingest.import_file(url, str(path), ReadOptions(encoding="cp1251"), options)


def _fit(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("select * from api.account_stock()")
        connection.execute("select * from api.fit_shrinkage()")


@pytest.fixture(scope="session")
def imported(server_url: str, template: str) -> Iterator[str]:
    """The twelve statements of the examples as imported, closed for connections: to be copied."""
    with made_once(server_url, "imported", _import, template) as name:
        yield name


@pytest.fixture(scope="session")
def fitted(server_url: str, imported: str) -> Iterator[str]:
    """The same, accounted for and fitted; nobody specified a surplus."""
    with made_once(server_url, "fitted", _fit, imported) as name:
        yield name


@pytest.fixture
def fresh_url(server_url: str, template: str) -> Iterator[str]:
    """A migrated database of its own, for what commits."""
    with copied(server_url, template) as url:
        yield url


@pytest.fixture
def imported_url(server_url: str, imported: str) -> Iterator[str]:
    """A database of its own with the twelve statements, as imported."""
    with copied(server_url, imported) as url:
        yield url


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
    with copied(server_url, template) as url:
        yield url


@pytest.fixture
def db(shared_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose work is rolled back after the test."""
    with session(shared_url) as connection:
        yield connection


@pytest.fixture
def own_db(shared_url: str) -> Iterator[psycopg.Connection[Any]]:
    """The same in a session of its own, in which nothing was loaded before."""
    with psycopg.connect(shared_url) as connection:
        yield connection
        connection.rollback()
