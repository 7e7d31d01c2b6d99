"""`loader doctor`: says of each thing of a server whether it is right, and how to mend it."""

from __future__ import annotations

import functools
import ipaddress
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import conninfo

from loader import database, server
from loader.errors import LoaderError

Verdict = Literal["OK", "WARN", "FAIL"]

LEAST_MAJOR = server.LEAST_MAJOR
LEAST_PYTHON = (3, 11)
# A whole import or fit runs in one statement or transaction: shorter limits would cut it.
LEAST_TIMEOUT_MS = 60_000
CLOCK_SECONDS = 2.0
LOW_DISK, FULL_DISK = 5 * 10**9, 10**9
STATEMENT_TIMEOUT_MS = 10_000
NO_TORCH = "not installed: needed for lstm, gru, nhits; loader server start --with neural"


@dataclass(frozen=True)
class Check:
    """One line of the doctor: what was looked at, how it is, and what to do."""

    name: str
    verdict: Verdict
    text: str
    fix: str | None = None


@dataclass(frozen=True)
class Finding:
    """What a check found; `fix` where the usual one of the check does not fit."""

    verdict: Verdict
    text: str
    fix: str | None = None


@dataclass
class Patient:
    """The server that is looked at, and what earlier checks learned of it."""

    dsn: str
    connection: psycopg.Connection[Any]
    embedded: bool

    def row(self, sql: str, parameters: Sequence[object] = ()) -> tuple[Any, ...]:
        """Fetch one row; a tuple of None where there is none."""
        cursor = self.connection.execute(sql, parameters)
        found = cursor.fetchone()
        return tuple(found) if found is not None else (None,) * len(cursor.description or ())

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Fetch all rows."""
        return self.connection.execute(sql, parameters).fetchall()

    def setting(self, name: str) -> str | None:
        """Read a setting; None where it does not exist."""
        value = self.row("select current_setting(%s, true)", (name,))[0]
        return None if value in (None, "") else str(value)

    @functools.cached_property
    def is_superuser(self) -> bool:
        """Whether we may create PL/Python functions."""
        sql = "select rolsuper from pg_roles where rolname = current_user"
        return bool(self.row(sql)[0])

    @functools.cached_property
    def extensions(self) -> dict[str, tuple[str, str | None]]:
        """Available extensions: default and installed version."""
        sql = "select name, default_version, installed_version from pg_available_extensions"
        return {name: (default, installed) for name, default, installed in self.rows(sql)}

    @functools.cached_property
    def python(self) -> dict[str, Any]:
        """What the server's Python says of itself; found out in a transaction that is undone.

        A temporary function, because a `do` block cannot return anything. Import errors come back
        as text: they are what we want to know.
        """
        if "plpython3u" not in self.extensions:
            return {"reason": "plpython3u is missing"}
        if not self.is_superuser:
            return {"reason": "only a superuser can look inside"}
        if self.row("select pg_is_in_recovery()")[0]:
            return {"reason": "a replica cannot be looked inside; look at its primary"}
        try:
            with self.connection.transaction(force_rollback=True):
                self.connection.execute("create extension if not exists plpython3u")
                self.connection.execute(PYTHON_PROBE)
                return dict(json.loads(self.row("select pg_temp.weighhouse_doctor()")[0]))
        except psycopg.Error as error:
            return {"reason": _first(error)}


# What is to be said of a server without a library.
WITHOUT = {
    "scikit-learn": "models of rows are not fitted",
    "lightgbm": "nothing is fitted of the kind boosting, and auto learns from no other series",
    "xgboost-cpu": "nothing is fitted of the kinds of xgboost",
    "prophet": "nothing is fitted of the kind prophet",
    "wasmtime": "many rows take longer through trees",
}
PYTHON_PROBE = """
create function pg_temp.weighhouse_doctor() returns text language plpython3u as $python$
import json, os, sys
names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
found = {
    "version": list(sys.version_info[:3]),
    "threads": {name: os.environ.get(name) for name in names},
}
try:
    import numpy
    found["numpy"] = numpy.__version__
    found["numpy_path"] = os.path.dirname(numpy.__file__)
except BaseException as error:
    found["numpy_error"] = (type(error).__name__ + ": " + str(error)).splitlines()[0][:200]
# Versions without importing what takes a second and 200 MB.
import importlib.metadata
found["libraries"] = {}
for name in NAMES:
    found["libraries"][name] = None
    for distribution in (name.removesuffix("-cpu"), name):
        try:
            found["libraries"][name] = importlib.metadata.version(distribution)
        except BaseException:
            pass
return json.dumps(found)
$python$
""".replace("NAMES", repr([*WITHOUT, "torch"]))

Function = Callable[[Patient], Finding]
CHECKS: list[tuple[str, str, Function]] = []


INSTALL = (
    f"install {' '.join(server.LIBRARIES)} for the server's Python, where the server's PYTHONPATH"
    " points (loader server start does it for the embedded one)"
)


def check(fix: str) -> Callable[[Function], Function]:
    """Register a check: its docstring is the title, `fix` is what to do about it."""

    def register(function: Function) -> Function:
        CHECKS.append(((function.__doc__ or function.__name__).strip(), fix, function))
        return function

    return register


def run(dsn: str | None = None) -> list[Check]:
    """Look at a server from all sides.

    Never raises for the state of the server: what cannot be looked at is a finding too.

    Parameters
    ----------
    dsn
        The server; None for the one that every other command would use.
    """
    try:
        target = database.resolve_dsn(dsn)
        connection = database.connect(target, autocommit=True)
    except LoaderError as failure:
        text = f"{failure}: {failure.detail}" if failure.detail else str(failure)
        return [Check("server", "FAIL", text, failure.hint), *_without_server(dsn)]
    with connection:
        embedded = _is_embedded(target) and server.status().state == "running"
        patient = Patient(target, connection, embedded)
        return _examine(patient)


def _examine(patient: Patient) -> list[Check]:
    """Run the registered checks, each for itself."""
    result: list[Check] = []
    try:
        patient.connection.execute(f"set statement_timeout = {STATEMENT_TIMEOUT_MS}")
    except psycopg.Error as error:
        return [Check("server", "FAIL", _first(error), "see that the server is up")]
    for title, fix, function in CHECKS:
        try:
            finding = function(patient)
        except LoaderError as failure:
            finding = Finding("FAIL", str(failure), failure.hint)
        except psycopg.Error as error:
            if patient.connection.closed:
                text = f"the server closed the connection: {_first(error)}"
                return [*result, Check(title, "FAIL", text, "look at the server's log")]
            text = f"could not be checked: {_first(error)}"
            finding = Finding("WARN", text, "run loader doctor as a superuser")
        except OSError as error:
            finding = Finding("WARN", f"could not be checked: {error}")
        mend = None if finding.verdict == "OK" else finding.fix or fix
        result.append(Check(title, finding.verdict, finding.text, mend))
    return result


def _without_server(dsn: str | None) -> list[Check]:
    """Look at what can be seen of the embedded server while it is down."""
    if dsn is not None and not _is_embedded(dsn):
        return []
    try:
        now = server.status()
        if now.state == "absent":
            return []
        finding = _disk()
    except (LoaderError, OSError):
        return []
    state = Check("embedded server", "WARN", f"{now.state}, {now.home}", "loader server start")
    if now.state == "running":
        state = Check("embedded server", "OK", f"running on port {now.port}, {now.home}")
    fix = None if finding.verdict == "OK" else finding.fix
    return [state, Check("disk", finding.verdict, finding.text, fix)]


def _is_embedded(dsn: str) -> bool:
    """Tell whether a DSN is that of the embedded server."""
    try:
        theirs = conninfo.conninfo_to_dict(dsn)
        now = server.status()
        host = str(theirs.get("host") or theirs.get("hostaddr") or "")
        local = host == "localhost" or ipaddress.ip_address(host or "0.0.0.0").is_loopback
    except (LoaderError, OSError, ValueError, psycopg.Error):
        return False
    return local and now.port is not None and str(theirs.get("port", 5432)) == str(now.port)


def _first(error: psycopg.Error) -> str:
    """Give the message of a server error without its context."""
    return (error.diag.message_primary or str(error).strip() or type(error).__name__).split("\n")[0]


def _plural(count: int, word: str) -> str:
    """Count something."""
    return f"{count} {word}{'' if count == 1 else 's'}"


# ------------------------------------------------------------------------------------------------
# The checks, in the order in which they are shown


@check(f"use PostgreSQL {LEAST_MAJOR} or newer; 17 is what is tested most")
def check_server(patient: Patient) -> Finding:
    """server"""
    number = patient.connection.info.server_version
    where = database.describe(patient.dsn)
    kind = ", embedded" if patient.embedded else ""
    text = f"PostgreSQL {number // 10000}.{number % 10000} at {where}{kind}"
    return Finding("OK" if number // 10000 >= LEAST_MAJOR else "FAIL", text)


@check("connect to the primary to import, fit and upgrade")
def check_primary(patient: Patient) -> Finding:
    """writable"""
    replica, read_only = patient.row(
        "select pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool"
    )
    if replica:
        return Finding("WARN", "a replica: it can be read only")
    if read_only:
        fix = "alter role current_user reset default_transaction_read_only"
        return Finding("WARN", "this role reads only", fix)
    return Finding("OK", "yes")


@check("install the timescaledb package of the server's PostgreSQL version")
def check_timescaledb(patient: Patient) -> Finding:
    """TimescaleDB"""
    if "timescaledb" not in patient.extensions:
        return Finding("FAIL", "not installed on the server")
    default, installed = patient.extensions["timescaledb"]
    # The preloaded part defines this one, in each database; the preload list itself is secret.
    if patient.setting("timescaledb.max_background_workers") is None:
        return Finding(
            "FAIL",
            f"{default} is installed, but not preloaded",
            "set shared_preload_libraries = 'timescaledb' in postgresql.conf and restart",
        )
    if installed is None:
        return Finding("OK", f"{default}, preloaded, not yet used in this database")
    licence = patient.setting("timescaledb.license")
    if licence == "timescale":
        return Finding("OK", f"{installed}, Community edition")
    if licence == "apache":
        text = "Apache 2 edition (rollup tables in place of continuous aggregates, no compression)"
        return Finding("OK", f"{installed}, {text}")
    return Finding("WARN", f"{installed}, edition unknown", "reconnect; then restart the server")


@check("install postgresql-plpython3 for the server's PostgreSQL version")
def check_plpython(patient: Patient) -> Finding:
    """PL/Python"""
    if "plpython3u" not in patient.extensions:
        return Finding("FAIL", "plpython3u is not installed on the server")
    installed = patient.extensions["plpython3u"][1]
    if installed is None:
        return Finding("OK", "plpython3u available, not yet used in this database")
    return Finding("OK", f"plpython3u {installed}")


@check("use a server whose PL/Python has Python 3.11 or newer (deploy/Dockerfile)")
def check_python(patient: Patient) -> Finding:
    """Python in the server"""
    if "version" not in patient.python:
        return _unseen(patient)
    version = tuple(patient.python["version"])
    text = ".".join(map(str, version))
    return Finding("OK" if version[:2] >= LEAST_PYTHON else "FAIL", text)


@check(INSTALL)
def check_numpy(patient: Patient) -> Finding:
    """numpy in the server"""
    if "version" not in patient.python:
        return _unseen(patient)
    if "numpy" not in patient.python:
        return Finding("FAIL", str(patient.python.get("numpy_error", "missing")))
    version = str(patient.python["numpy"])
    text = f"{version} in {patient.python['numpy_path']}"
    return Finding("OK" if version.startswith("2.") else "WARN", text)


@check(INSTALL)
def check_libraries(patient: Patient) -> Finding:
    """libraries in the server"""
    if "version" not in patient.python:
        return _unseen(patient)
    found = patient.python["libraries"]
    missing = [f"no {name}: {loss}" for name, loss in WITHOUT.items() if not found[name]]
    if missing:
        return Finding("WARN", "; ".join(missing))
    return Finding("OK", ", ".join(f"{name} {found[name]}" for name in WITHOUT))


@check("run loader doctor as a superuser")
def check_torch(patient: Patient) -> Finding:
    """torch in the server"""
    if "version" not in patient.python:
        return _unseen(patient)
    # Most need none: its absence is no fault.
    return Finding("OK", patient.python["libraries"]["torch"] or NO_TORCH)


@check(
    "set OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1 in the environment of the server (systemd:"
    " Environment=, Debian: /etc/postgresql/…/environment) and restart it"
)
def check_threads(patient: Patient) -> Finding:
    """threads of a session"""
    if "version" not in patient.python:
        return _unseen(patient)
    wrong = [name for name, value in patient.python["threads"].items() if value != "1"]
    if wrong:
        return Finding("WARN", f"{' and '.join(wrong)} not 1: sessions compete for the cores")
    return Finding("OK", "1")


def _unseen(patient: Patient) -> Finding:
    """Say why Python could not be looked at."""
    reason = str(patient.python.get("reason", "unknown"))
    missing = "plpython3u" not in patient.extensions
    fix = "install plpython3u first" if missing else "run loader doctor as a superuser"
    return Finding("WARN", f"not seen: {reason}", fix)


@check("upgrade as a superuser (loader --dsn … db upgrade); daily work needs none")
def check_role(patient: Patient) -> Finding:
    """role"""
    name, create, connect = patient.row(
        "select current_user, has_database_privilege(current_database(), 'create'),"
        " has_database_privilege(current_database(), 'connect')"
    )
    if patient.is_superuser:
        return Finding("OK", f"{name}, superuser")
    if connect and not create:
        return Finding("WARN", f"{name} may not create anything here, so not upgrade")
    return Finding("WARN", f"{name} is no superuser, so cannot upgrade (PL/Python is untrusted)")


@check("loader db upgrade")
def check_schema(patient: Patient) -> Finding:
    """schema"""
    try:
        from loader import schema
    except ImportError as error:
        return Finding("WARN", f"not seen: {error}", "install loader again")
    head = schema.head_revision()
    current = schema.current_revision(patient.connection)
    if current is None:
        return Finding("WARN", f"nothing set up in this database yet (this loader has {head})")
    if current == head:
        return Finding("OK", f"revision {current}")
    if current not in schema.revisions():
        text = f"revision {current}, ahead of this loader's {head}"
        return Finding("FAIL", text, "use the loader that upgraded it, or a newer one")
    return Finding("FAIL", f"revision {current}, this loader needs {head}")


@check("loader jobs start; with the clock worker keep loader worker running")
def check_jobs(patient: Patient) -> Finding:
    """jobs"""
    if patient.row("select to_regclass('bi.clock') is null")[0]:
        return Finding("OK", "nothing to run yet")
    late = patient.row("select count(*) from bi.job where is_overdue")[0]
    clocks = patient.rows(
        "select kind, is_alive or time > now() - interval '3 minutes' from bi.clock"
        " where is_started"
    )
    if not clocks:
        return Finding("WARN", "nothing runs them: no clock is started")
    kind, is_alive = clocks[0]
    if not is_alive:
        return Finding("WARN", f"{kind} has been silent for three minutes")
    if late:
        return Finding("WARN", f"{_plural(late, 'job')} overdue", "loader jobs list says why")
    return Finding("OK", f"run by {kind}")


@check("alter extension … update, as a superuser, in a new session")
def check_extension_versions(patient: Patient) -> Finding:
    """extension versions"""
    behind = [
        f"{name} {installed} (the server has {default})"
        for name, (default, installed) in sorted(patient.extensions.items())
        if installed is not None and installed != default
    ]
    if behind:
        return Finding("WARN", ", ".join(behind))
    count = sum(installed is not None for _, installed in patient.extensions.values())
    return Finding("OK", f"{_plural(count, 'extension')}, all current")


@check("create the database with encoding 'UTF8' template template0 and move to it")
def check_encoding(patient: Patient) -> Finding:
    """encoding"""
    encoding = patient.setting("server_encoding")
    return Finding("OK" if encoding == "UTF8" else "FAIL", str(encoding))


@check("alter database … set timezone to 'UTC'")
def check_time_zone(patient: Patient) -> Finding:
    """time zone"""
    # Results do not depend on it; it is what people see in psql.
    zone, source = patient.row("select setting, source from pg_settings where name = 'TimeZone'")
    return Finding("OK", f"{zone} ({source})")


@check("let both machines take the time from NTP (chrony, systemd-timesyncd)")
def check_clock(patient: Patient) -> Finding:
    """clock"""
    offsets = []
    for _ in range(3):
        before = time.time()
        theirs = float(patient.row("select extract(epoch from clock_timestamp())::float8")[0])
        after = time.time()
        offsets.append((after - before, theirs - (before + after) / 2))
    # The quickest answer has the least of the network in it.
    wait, offset = min(offsets)
    text = f"{offset:+.1f} s from this machine"
    return Finding("WARN" if abs(offset) > CLOCK_SECONDS + wait else "OK", text)


@check("close idle sessions, put a pooler in front, or raise max_connections")
def check_connections(patient: Patient) -> Finding:
    """connections"""
    used, limit, reserved = patient.row(
        # Without rights the kind of other people's sessions is NULL; those without a database
        # are the server's own.
        "select (select count(*) from pg_stat_activity where datid is not null"
        " and coalesce(backend_type, 'client backend') = 'client backend'),"
        " current_setting('max_connections')::int,"
        " current_setting('superuser_reserved_connections')::int"
    )
    text = f"{used} of {limit}"
    if used >= limit - reserved - 1:
        return Finding("FAIL", text)
    return Finding("WARN" if used > 0.8 * limit else "OK", text)


@check("alter role … reset the setting, or set it to a minute at least")
def check_timeouts(patient: Patient) -> Finding:
    """timeouts"""
    names = (
        "statement_timeout",
        "transaction_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
    )
    # reset_val: what a session of this role starts with, whatever was set in ours.
    sql = "select name, reset_val::bigint from pg_settings where name = any(%s) order by name"
    short = [
        f"{name} {value} ms"
        for name, value in patient.rows(sql, (list(names),))
        if 0 < value < LEAST_TIMEOUT_MS
    ]
    if short:
        return Finding("WARN", f"long work will be cut: {', '.join(short)}")
    return Finding("OK", "none that would cut long work")


@check("alter system set … = on; select pg_reload_conf()")
def check_durability(patient: Patient) -> Finding:
    """durability"""
    off = [name for name in ("fsync", "full_page_writes") if patient.setting(name) != "on"]
    if off:
        return Finding("FAIL", f"{' and '.join(off)} off: a crash can destroy the data")
    if patient.setting("synchronous_commit") == "off":
        return Finding("WARN", "synchronous_commit off: a crash loses the last transactions")
    return Finding("OK", f"fsync on, wal_level {patient.setting('wal_level')}")


@check("make room on the disk of the server")
def check_disk(patient: Patient) -> Finding:
    """disk"""
    size = patient.row("select pg_size_pretty(pg_database_size(current_database()))")[0]
    if not patient.embedded:
        return Finding("OK", f"database of {size}; free space of another machine cannot be seen")
    finding = _disk()
    return Finding(finding.verdict, f"{finding.text}, database of {size}", finding.fix)


def _disk() -> Finding:
    """Look at the disk of the embedded server."""
    home = server.home()
    free = shutil.disk_usage(home).free
    text = f"{free / 1e9:.1f} GB free in {home}"
    if free < FULL_DISK:
        return Finding("FAIL", text, "make room: the server stops when the disk is full")
    if free < LOW_DISK:
        return Finding("WARN", text, "make room soon")
    return Finding("OK", text)
