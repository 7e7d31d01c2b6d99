"""State by migration, code rebuilt: `loader db …`, in one transaction under one lock."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg import sql

from loader import __version__, database
from loader.errors import Busy, ConnectionFailed, Refused, SchemaMismatch, UsageError

if TYPE_CHECKING:  # Alembic takes 0.5 s, which only a migration need pay
    import sqlalchemy
    from alembic.config import Config
    from alembic.script import Script

# Any number will do as long as every loader uses the same.
LOCK = 0x57454947
LOCK_WAIT_SECONDS = 600
TABLE_WAIT_SECONDS = 60
# Code of PL/Python wrappers; the loader puts the hash of plpython/ in front (see `bind_code`).
PYTHON_BODY = re.compile(r"as \$python\$\n")
# Nothing outside pg_catalog has a bare name: a function or operator somebody put into public cannot
# slip into a body or a check that is bound here. (TimescaleDB is called as public.….)
SEARCH_PATH = "set local search_path = pg_catalog, pg_temp"
DROPPED_SCHEMAS = ("internal", "api")


def resource(name: str) -> Path:
    """Find sql/, migrations/ or plpython/: beside the package in a checkout, else inside it."""
    package = Path(__file__).resolve().parent
    checkout = package.parent
    # Not by the folder alone: an installed package may stand beside somebody else's migrations/.
    return (checkout if (checkout / "pyproject.toml").is_file() else package / "bundle") / name


_collected: list[str] | None = None


def run(statement: str) -> None:
    """Hand SQL of a migration to the driver untouched (no bind parameters, several statements)."""
    if _collected is not None:
        _collected.append(statement)
        return
    import alembic.op

    connection = alembic.op.get_bind().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        caller = sys._getframe(1)
        path = Path(caller.f_code.co_filename)
        if _is_about_the_server(error):
            error.add_note(f"migrations/versions/{path.name}")
            raise
        text = path.read_text("utf-8")
        start = text.find(statement)
        if start < 0:  # put together by the migration: name the call
            text, start = "\n" * (caller.f_lineno - 1), caller.f_lineno - 1
        raise _named(error, f"migrations/versions/{path.name}", text, start) from error


def _named(error: psycopg.Error, name: str, text: str, start: int = 0) -> Refused:
    """Name file and line of a statement the server refused."""
    line = ""
    if error.diag.statement_position:
        place = start + int(error.diag.statement_position) - 1
        line = f":{text.count(chr(10), 0, place) + 1}"
    return Refused(
        f"{name}{line}: {error.diag.message_primary}",
        detail=error.diag.message_detail or error.diag.context,
        hint=error.diag.message_hint or "the database is as it was before",
    )


def _is_about_the_server(error: psycopg.Error) -> bool:
    """Tell failures that are not the statement's: connection, locks, room, cancel, replica."""
    states = ("55P03", "57014", "53", "25006")
    return database.is_transient(error) or (error.sqlstate or "").startswith(states)


@dataclass(frozen=True)
class PythonModule:
    """One module of plpython/ as it is stored in the database."""

    name: str
    source: str
    is_package: bool

    @property
    def path(self) -> str:
        """Where the module stands in the source tree."""
        stem = self.name.replace(".", "/")
        return f"plpython/{stem}/__init__.py" if self.is_package else f"plpython/{stem}.py"


def python_modules() -> tuple[PythonModule, ...]:
    """Read the package that runs in the database."""
    base = resource("plpython")
    modules = []
    for path in sorted((base / "weighhouse").rglob("*.py")):
        parts = list(path.relative_to(base).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        if is_package:
            parts.pop()
        modules.append(PythonModule(".".join(parts), path.read_text("utf-8"), is_package))
    return tuple(modules)


def python_sha256() -> str:
    """Hash the package that runs in the database."""
    digest = hashlib.sha256()
    for module in python_modules():
        digest.update(f"{module.name}\0{module.source}\0".encode())
    return digest.hexdigest()


def sql_files() -> list[Path]:
    """List the files of sql/ in the order in which they are run."""
    return sorted(resource("sql").glob("[0-9]*/*.sql"))


def code_sha256() -> str:
    """Hash everything `build` puts into the database."""
    digest = hashlib.sha256(python_sha256().encode())
    for path in sql_files():
        digest.update(f"{path.parent.name}/{path.name}\0{path.read_text('utf-8')}\0".encode())
    return digest.hexdigest()


def bind_code(text: str, sha256: str) -> str:
    """Make each PL/Python wrapper of a file see to it that its own version of the code is loaded.

    One dictionary look-up a call. A session that lives on across an upgrade meets wrappers with
    another hash, and loads the new code. No line is added: the server's line numbers stay true.
    """
    key = sha256[:16]
    line = f"GD.get('{key}') or plpy.execute(\"select internal.load_code('{key}')\")\n"
    return PYTHON_BODY.sub(lambda match: match.group()[:-1] + line, text)


def config() -> Config:
    """Configure Alembic without a file."""
    from alembic.config import Config

    result = Config()
    result.set_main_option("script_location", str(resource("migrations")).replace("%", "%%"))
    return result


def revisions() -> list[str]:
    """List the revisions from the oldest to the head, by the names of their files."""
    files = sorted((resource("migrations") / "versions").glob("[0-9]*_*.py"))
    return [path.name.partition("_")[0] for path in files]


def _scripts(upto: str = "head") -> list[Script]:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(config())
    return list(scripts.walk_revisions("base", upto))[::-1]


def head_revision() -> str:
    """Name the newest revision this loader knows."""
    return revisions()[-1]


def current_revision(connection: psycopg.Connection[Any]) -> str | None:
    """Name the revision of a database; None where nothing was set up."""
    found = connection.execute("select to_regclass('core.revision')").fetchone()
    if found is None or found[0] is None:
        return None
    row = connection.execute("select version_num from core.revision").fetchone()
    return None if row is None else str(row[0])


def current_code(connection: psycopg.Connection[Any]) -> str | None:
    """Give the hash of the code a database was built with; None where there is none."""
    found = connection.execute("select to_regclass('core.release')").fetchone()
    if found is None or found[0] is None:
        return None
    row = connection.execute(
        "select code_sha256 from core.release order by id desc limit 1"
    ).fetchone()
    return None if row is None else str(row[0])


@dataclass(frozen=True)
class State:
    """Where a database stands beside this loader."""

    revision: str | None
    head: str
    code_is_current: bool

    @property
    def is_current(self) -> bool:
        """Whether nothing has to be done."""
        return self.revision == self.head and self.code_is_current


def state(connection: psycopg.Connection[Any]) -> State:
    """Compare a database with this loader."""
    return State(
        current_revision(connection), head_revision(), current_code(connection) == code_sha256()
    )


def require_current(connection: psycopg.Connection[Any]) -> None:
    """Refuse to work on a database that is behind or ahead of this loader.

    Raises
    ------
    SchemaMismatch
        Names both revisions and what to run.
    """
    now = state(connection)
    if now.is_current:
        return
    if now.revision is not None and now.revision not in revisions():
        raise SchemaMismatch(
            f"the database is at revision {now.revision}, ahead of this loader ({now.head})",
            hint="install the newer loader",
        )
    if now.revision == now.head:
        raise SchemaMismatch(
            "the code in the database is not that of this loader", hint="run loader db upgrade"
        )
    raise SchemaMismatch(
        f"the database is at revision {now.revision or 'none'}, this loader needs {now.head}",
        hint="run loader db upgrade",
    )


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade or downgrade did."""

    before: str | None
    after: str | None
    changed: bool
    seconds: float
    statements: tuple[str, ...] = ()


def upgrade(
    dsn: str, revision: str = "head", *, dry_run: bool = False, force: bool = False
) -> Upgrade:
    """Bring state and code of a database to this loader's, or change nothing.

    Parameters
    ----------
    revision
        Stops the state at this revision and leaves the code out (code fits the head only).
    dry_run
        Does everything and rolls it back.
    force
        Rebuilds the code also where nothing changed.
    """
    started = time.monotonic()
    target = head_revision() if revision == "head" else revision
    if target not in revisions():
        raise UsageError(
            f"there is no revision {revision}", hint=f"known: {', '.join(revisions())}"
        )
    with _locked(dsn) as (connection, raw):
        before = current_revision(raw)
        _require_known(before)
        if target != head_revision() and before is not None and before > target:
            raise UsageError(
                f"the database is at {before} already", hint=f"run loader db downgrade {target}"
            )
        if (
            not force
            and before == target
            and (target != head_revision() or current_code(raw) == code_sha256())
        ):
            return Upgrade(before, before, False, time.monotonic() - started)
        _prepare(raw)
        drop_code(raw)
        _alembic(connection, "upgrade", target)
        code = ""
        if target == head_revision():
            build(raw)
            code = code_sha256()
        raw.execute(
            "insert into core.release (version, revision, code_sha256, git_commit,"
            " duration_seconds) values (%s, %s, %s, %s, %s)",
            (__version__, target, code, _git_commit(), time.monotonic() - started),
        )
        if dry_run:
            raw.rollback()
    return Upgrade(before, target, not dry_run, time.monotonic() - started)


def downgrade(dsn: str, revision: str) -> Upgrade:
    """Take the state of a database back to an older revision; the code is dropped with it."""
    started = time.monotonic()
    known = ["base", *revisions()]
    if revision not in known:
        raise UsageError(f"there is no revision {revision}", hint=f"known: {', '.join(known)}")
    with _locked(dsn) as (connection, raw):
        before = current_revision(raw)
        if before is None:
            return Upgrade(None, None, False, time.monotonic() - started)
        _require_known(before)
        if revision != "base" and revision > before:
            raise UsageError(
                f"the database is at {before}, not above {revision}",
                hint=f"run loader db upgrade {revision}",
            )
        if revision == before:
            return Upgrade(before, before, False, time.monotonic() - started)
        drop_code(raw)
        _drop_views(raw)
        _alembic(connection, "downgrade", revision)
        if revision == "base":
            _leave(raw)
        else:
            raw.execute(
                "insert into core.release (version, revision, code_sha256) values (%s, %s, '')",
                (__version__, revision),
            )
    return Upgrade(
        before, None if revision == "base" else revision, True, time.monotonic() - started
    )


def _require_known(revision: str | None) -> None:
    if revision is not None and revision not in revisions():
        raise SchemaMismatch(
            f"the database is at revision {revision}, ahead of this loader ({head_revision()})",
            hint="install the newer loader",
        )


def _leave(raw: psycopg.Connection[Any]) -> None:
    """Take away what no revision owns: Alembic's table, the schemas, the settings.

    Extensions and roles stay: other objects and other databases may use them.
    """
    raw.execute("drop table core.revision")
    _refusing_dependents(
        raw,
        "drop schema if exists core, internal, api, bi",
        hint="move or drop them, then run again",
    )
    name = sql.Identifier(raw.info.dbname)
    raw.execute(sql.SQL("alter database {} reset search_path").format(name))
    raw.execute(sql.SQL("alter database {} reset jit").format(name))
    raw.execute(sql.SQL("alter role weighhouse_bi in database {} reset all").format(name))
    raw.execute(
        "alter default privileges for role weighhouse_owner grant execute on routines to public"
    )


def offline_sql(revision: str = "head") -> str:
    """Give the statements of an upgrade from nothing, for review or for psql.

    Run as one transaction on an empty database they leave what `upgrade` leaves.
    """
    target = head_revision() if revision == "head" else revision
    if target not in revisions():
        raise UsageError(
            f"there is no revision {revision}", hint=f"known: {', '.join(revisions())}"
        )
    parts = [OFFLINE_HEAD, f"{SEARCH_PATH};", PREPARE, VERSION_TABLE]
    for script in _scripts(target):
        parts.append(f"-- {script.revision}: {script.doc}")
        parts += _statements_of(script.module.upgrade)
    parts.append(f"insert into core.revision (version_num) values ({_quoted(target)});")
    code = ""
    if target == head_revision():
        code = code_sha256()
        sha256 = python_sha256()
        parts += [
            "insert into core.python_module (name, source, is_package, sha256) values"
            f" ({_quoted(m.name)}, {_quoted(m.source)}, {m.is_package}, {_quoted(sha256)});"
            for m in python_modules()
        ]
        for path in sql_files():
            parts.append(f"-- {path.parent.name}/{path.name}")
            parts.append(bind_code(path.read_text("utf-8"), sha256))
        parts.append(f"{CHECK_CODE};")
    parts.append(
        "insert into core.release (version, revision, code_sha256, git_commit) values"
        f" ({_quoted(__version__)}, {_quoted(target)}, {_quoted(code)}, {_quoted(_git_commit())});"
    )
    return "\n".join(parts)


def _statements_of(upgrade: Callable[[], None]) -> list[str]:
    """Let a migration say its statements instead of running them."""
    global _collected
    _collected = []
    try:
        upgrade()
        return _collected
    finally:
        _collected = None


def _quoted(text: str | None) -> str:
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


OFFLINE_HEAD = f"""\
-- loader db upgrade --sql: an upgrade from nothing. On an empty database, as a superuser:
--     psql --single-transaction --set ON_ERROR_STOP=1 --file THIS
set local standard_conforming_strings = on;
set local client_min_messages = warning;
select pg_advisory_xact_lock({LOCK});
"""
# As Alembic makes it.
VERSION_TABLE = """
create table core.revision (
    version_num varchar(32) not null, constraint revision_pkc primary key (version_num)
);
"""
CHECK_CODE = "select internal.check_code()"
PREPARE = """
create extension if not exists timescaledb schema public;
create extension if not exists plpython3u;
create extension if not exists jsonb_plpython3u schema public;
create schema if not exists core;
"""


def _prepare(raw: psycopg.Connection[Any]) -> None:
    """Make the extensions and the schema that Alembic keeps its table in."""
    try:
        raw.execute(PREPARE)
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile) as error:
        raise Refused(
            str(error.diag.message_primary),
            detail=error.diag.message_detail,
            hint="loader doctor says what the server lacks",
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConnectionFailed(
            f"no rights: {error.diag.message_primary}",
            hint="loader db upgrade needs a superuser: PL/Python is an untrusted language",
        ) from error
    home = raw.execute(
        "select extnamespace::regnamespace::text from pg_extension where extname = 'timescaledb'"
    ).fetchone()
    if home != ("public",):
        raise Refused(
            f"TimescaleDB is installed in schema {home and home[0]}, not in public",
            hint="use a database with the extension where create extension puts it",
        )
    is_superuser = raw.execute(
        "select rolsuper from pg_roles where rolname = current_user"
    ).fetchone()
    if not is_superuser or not is_superuser[0]:
        raise ConnectionFailed(
            "loader db upgrade needs a superuser",
            detail="functions in PL/Python, an untrusted language, can be created by no one else",
            hint="connect as one for the upgrade; everything else needs no superuser",
        )


DROP_ROUTINES = """
select string_agg(p.oid::regprocedure::text, ', ' order by p.oid)
from pg_proc as p
where p.pronamespace in (select n.oid from pg_namespace as n where n.nspname = any(%s))
"""
# Composite types (not the row type of a table), enumerations, domains, ranges.
DROP_TYPES = """
select string_agg(t.oid::regtype::text, ', ' order by t.oid)
from pg_type as t
left join pg_class as c on c.oid = t.typrelid
where t.typnamespace in (select n.oid from pg_namespace as n where n.nspname = any(%s))
  and (t.typtype in ('e', 'd', 'r') or c.relkind = 'c')
"""


def drop_code(raw: psycopg.Connection[Any]) -> None:
    """Drop what is rebuilt: all routines of internal and api, then their types. Never cascades.

    What is there is dropped, not what this release would have made: an older release had other
    signatures.
    """
    hint = "let them use bi views, which are never dropped by an upgrade, or drop them first"
    for found, kind in ((DROP_ROUTINES, "routine"), (DROP_TYPES, "type")):
        row = raw.execute(found, (list(DROPPED_SCHEMAS),)).fetchone()
        if row is not None and row[0]:
            _refusing_dependents(raw, f"drop {kind} {row[0]}", hint=hint)


def _drop_views(raw: psycopg.Connection[Any]) -> None:
    """Drop the bi views and their functions: a downgrade takes away the tables they read."""
    hint = "a downgrade takes the bi views away: drop what is built on them first"
    row = raw.execute(
        "select string_agg(c.oid::regclass::text, ', ') from pg_class as c"
        " where c.relnamespace = to_regnamespace('bi') and c.relkind = 'v'"
        " and c.relowner = to_regrole('weighhouse_owner')"
    ).fetchone()
    if row is not None and row[0]:
        _refusing_dependents(raw, f"drop view {row[0]}", hint=hint)
    row = raw.execute(
        "select string_agg(p.oid::regprocedure::text, ', ') from pg_proc as p"
        " where p.pronamespace = to_regnamespace('bi')"
        " and p.proowner = to_regrole('weighhouse_owner')"
    ).fetchone()
    if row is not None and row[0]:
        _refusing_dependents(raw, f"drop routine {row[0]}", hint=hint)


def _refusing_dependents(raw: psycopg.Connection[Any], statement: str, *, hint: str) -> None:
    try:
        raw.execute(statement)
    except psycopg.errors.DependentObjectsStillExist as error:
        raise Refused(
            "objects that are not ours depend on what is dropped here; nothing was changed",
            detail=error.diag.message_detail,
            hint=hint,
        ) from error


def build(raw: psycopg.Connection[Any]) -> None:
    """Store plpython/ in the database and run sql/ in order; a broken file is named."""
    sha256 = python_sha256()
    modules = python_modules()
    # Not truncate: that waits for everyone who called PL/Python in a transaction still open.
    raw.execute("delete from core.python_module")
    with raw.cursor() as cursor:
        cursor.executemany(
            "insert into core.python_module (name, source, is_package, sha256)"
            " values (%s, %s, %s, %s)",
            [(m.name, m.source, m.is_package, sha256) for m in modules],
        )
    for path in sql_files():
        name = f"sql/{path.parent.name}/{path.name}"
        text = bind_code(path.read_text("utf-8"), sha256)
        try:
            raw.execute(text)
        except psycopg.Error as error:
            if _is_about_the_server(error):
                error.add_note(name)
                raise
            raise _named(error, name, text) from error
    try:
        raw.execute(CHECK_CODE)
    except psycopg.Error as error:
        if _is_about_the_server(error):
            raise
        paths = {module.name: module.path for module in modules}
        message = (error.diag.message_primary or "").removeprefix("plpy.Error: ")
        module, _, rest = message.partition(":")
        raise Refused(
            f"{paths.get(module, module)}:{rest}",
            detail=error.diag.message_detail,
            hint="the database is as it was before; a missing library: see loader doctor",
        ) from error


@contextmanager
def _locked(dsn: str) -> Iterator[tuple[sqlalchemy.Connection, psycopg.Connection[Any]]]:
    """Open one transaction that no other upgrade can enter; commit at the end."""
    import sqlalchemy

    database.connect(dsn).close()  # one readable error for all that can be wrong with a DSN
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: database.connect(dsn),
        poolclass=sqlalchemy.NullPool,
    )
    with database.explaining(), engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        raw.execute(f"set lock_timeout = '{LOCK_WAIT_SECONDS}s'")
        try:
            # The lock belongs to the session, is taken before the transaction proper begins and
            # outlives its commit: who waits for it sees what the one before has committed.
            raw.execute("select pg_advisory_lock(%s)", (LOCK,))
        except psycopg.errors.LockNotAvailable as error:
            raw.rollback()
            raise Busy(
                f"another upgrade runs: {_lock_holder(raw)}",
                hint="wait for it, or end it, then run again",
            ) from error
        raw.commit()
        try:
            raw.execute(f"set local lock_timeout = '{TABLE_WAIT_SECONDS}s'")
            raw.execute(SEARCH_PATH)
            yield connection, raw
            raw.commit()
        except BaseException as error:
            with suppress(psycopg.Error):
                raw.rollback()
            if raw.closed:
                connection.invalidate()
            if isinstance(error, psycopg.errors.LockNotAvailable):
                raise Busy(
                    f"a transaction has used what changes here for over {TABLE_WAIT_SECONDS} s;"
                    " nothing was changed",
                    detail=f"waited in {', '.join(getattr(error, '__notes__', ['the upgrade']))}",
                    hint="end it (pg_stat_activity: idle in transaction), then run again",
                ) from error
            raise
        # The session ends here, and the lock with it.


def _lock_holder(raw: psycopg.Connection[Any]) -> str:
    row = raw.execute(
        """
        select a.pid, a.query_start from pg_locks as l inner join pg_stat_activity as a using (pid)
        where l.locktype = 'advisory' and l.objid = %s and l.granted
          and l.database = (select oid from pg_database where datname = current_database())
        """,
        (LOCK,),
    ).fetchone()
    return "it has just ended" if row is None else f"pid {row[0]}, since {row[1]:%H:%M:%S}"


def _alembic(
    connection: sqlalchemy.Connection, verb: Literal["upgrade", "downgrade"], revision: str
) -> None:
    from alembic import command
    from alembic.util import CommandError
    from sqlalchemy.exc import DBAPIError

    settings = config()
    settings.attributes["connection"] = connection
    try:
        getattr(command, verb)(settings, revision)
    except CommandError as error:
        raise Refused(str(error)) from error
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise error.orig from error
        raise


def _git_commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=resource("sql").parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def history() -> list[tuple[str, str]]:
    """List revisions and what they changed, oldest first."""
    return [(script.revision, script.doc) for script in _scripts()]
