"""The cluster: making it, the password of its role, its settings, starting it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from loader.errors import Refused
from loader.server import layout
from loader.server.installation import Installation
from loader.server.layout import DATABASE, ROLE
from loader.server.system import NEEDED_EXTENSIONS
from loader.server.tools import Progress, reason, step

DEFAULT_PORT = 5433
START_SECONDS = 600
CRON_WORKERS = 8


def initialise(installation: Installation, progress: Progress) -> None:
    """Make a cluster, where there is none."""
    data = installation.data
    if (data / "PG_VERSION").exists():
        return
    new = data.with_name("data.new")
    layout.remove(new)
    new.mkdir(mode=0o700)
    os.chown(new, *installation.owner)
    # Builtin: sorted by code point, the same on every machine and after every upgrade of libc.
    locale = ["--locale=C.UTF-8"]
    if installation.major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    elif sys.platform == "darwin":
        locale = ["--locale=C"]
    arguments = [
        *("--encoding=UTF8", *locale, "--data-checksums", f"--username={ROLE}"),
        # Nobody gets in before pg_hba.conf below is in place.
        *("--auth=reject", "--no-instructions"),
    ]
    with step(progress, f"initialised a cluster of PostgreSQL {installation.version}"):
        answer = installation.run("initdb", *arguments, data=new)
        if answer.returncode != 0:
            layout.remove(new)
            raise Refused(
                f"cannot initialise a cluster: {reason(answer.stdout)}",
                hint=f"see that the user of PostgreSQL may enter {installation.home}, or set"
                " WEIGHHOUSE_HOME",
            )
        owner = installation.owner
        access = "# Password only, from this machine only.\nhost all all 127.0.0.1/32 scram-sha-256"
        layout.write(new / "pg_hba.conf", f"{access}\n", owner)
        text = (new / "postgresql.conf").read_text("utf-8")
        text += "\n# Written by loader at every start; alter system set … is stronger.\n"
        layout.write(new / "postgresql.conf", f"{text}include 'weighhouse.conf'\n", owner)
        layout.write(new / "weighhouse.conf", "", owner)
    # A password that belonged to an earlier cluster.
    (installation.home / "pgpass").unlink(missing_ok=True)
    new.rename(data)


def set_password(installation: Installation) -> None:
    """Give the role a new password and write it down; the server must be stopped.

    In single-user mode: nothing listens, and no password passes through a command line. It is
    also the way back after pgpass was lost.
    """
    password = secrets.token_urlsafe(32)
    options = ("-c", "shared_preload_libraries=", "-c", "exit_on_error=on")
    sql = f"alter role {ROLE} password '{password}'\n"
    answer = installation.run("postgres", "--single", *options, "postgres", text=sql)
    if answer.returncode != 0:
        said = answer.stdout.replace(password, "…")
        raise Refused(f"cannot set the password: {reason(said)}")
    layout.write(installation.home / "pgpass", f"127.0.0.1:*:*:{ROLE}:{password}\n")


def memory() -> int:
    """Count the bytes of memory we may use: the machine's, or less in a container."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            sizes.append(int(Path(name).read_text()))
    return min(sizes)


def settings(installation: Installation, port: int) -> str:
    """Compose weighhouse.conf."""
    megabytes = memory() // 1024**2
    cores = os.cpu_count() or 1
    # /dev/shm of a root without mounts is a directory on disk, owned by root.
    # Where TimescaleDB runs no jobs (Apache edition) pg_cron does.
    preloaded = ["timescaledb", *(["pg_cron"] if installation.has_library("pg_cron") else [])]
    shared = "sysv" if installation.kind == "root" and not installation.mounted else "posix"
    values: dict[str, str | int] = {
        "listen_addresses": "'127.0.0.1'",
        "port": port,
        "unix_socket_directories": "''",
        "max_connections": 200,
        "shared_preload_libraries": f"'{','.join(preloaded)}'",
        "timescaledb.telemetry_level": "off",
        "timescaledb.max_background_workers": 16,
        "max_worker_processes": 16 + cores + 8 + CRON_WORKERS,
        "max_parallel_workers": cores,
        "max_parallel_workers_per_gather": max(1, cores // 2),
        "max_parallel_maintenance_workers": max(1, cores // 2),
        # A statement over a hypertable locks each chunk it looks at.
        "max_locks_per_transaction": 256,
        "shared_buffers": f"{max(128, min(1024, megabytes // 4))}MB",
        "dynamic_shared_memory_type": shared,
        "effective_cache_size": f"{max(256, megabytes // 2)}MB",
        "work_mem": "64MB",
        "maintenance_work_mem": "512MB" if megabytes > 2048 else "128MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "wal_compression": "on",
        "random_page_cost": "1.1",
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
        "logging_collector": "on",
        "log_directory": "'" + installation.seen(installation.log).replace("'", "''") + "'",
        "log_filename": "'server-%a.log'",
        "log_truncate_on_rotation": "on",
        "log_rotation_age": "1d",
        "log_rotation_size": 0,
        "log_line_prefix": "'%m [%p] %q%u@%d '",
    }
    if "pg_cron" in preloaded:
        values |= {
            "cron.database_name": f"'{DATABASE}'",
            # In the server, without a connection: there is no password to give it.
            "cron.use_background_workers": "on",
            "cron.max_running_jobs": CRON_WORKERS,
            # Every tick would be two lines; what a job did is in bi.job_run.
            "cron.log_statement": "off",
        }
    lines = [f"{name} = {value}" for name, value in values.items()]
    return "\n".join(["# Written by loader at every start.", *lines, ""])


def is_free(port: int) -> bool:
    """Tell whether a port of this machine can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose_port(named: int | None, recorded: int | None, progress: Progress) -> int:
    """Choose where to listen: where we are told to or fail, else where we can."""
    first = named or recorded or DEFAULT_PORT
    if is_free(first):
        return first
    if named is not None:
        hint = "give another --port, or none to take a free one"
        raise Refused(f"port {named} is taken", hint=hint)
    for port in range(DEFAULT_PORT, DEFAULT_PORT + 500):
        if is_free(port):
            progress(f"port {first} is taken; using {port}")
            return port
    raise Refused("no free port found", hint="give one with --port")


def launch(installation: Installation, named: int | None, progress: Progress) -> None:
    """Start the postmaster and wait until it answers."""
    base = installation.home
    recorded: int | None = layout.record(base).get("port")
    for _ in range(5):
        port = choose_port(named, recorded, progress)
        text = settings(installation, port)
        layout.write(installation.data / "weighhouse.conf", text, installation.owner)
        record = {
            "kind": installation.kind,
            "port": port,
            "version": installation.version,
            "bindir": installation.bindir,
        }
        layout.write(base / "server.json", json.dumps(record, indent=1) + "\n")
        started = time.time()
        with layout.create(installation.log / "start.log") as log:
            # PGDATA and an inherited log rather than -D and -l: pg_ctl puts those through a shell.
            options = ("--wait", f"--timeout={START_SECONDS}")
            answer = installation.run("pg_ctl", "start", *options, output=log)
        if answer.returncode == 0:
            seconds = time.time() - started
            progress(f"started PostgreSQL {installation.version} on port {port}  {seconds:.1f} s")
            return
        said = _log_since(installation.log, started)
        if named is not None or "could not bind" not in said:
            break
        # Somebody was faster.
    raise Refused(
        f"the server does not start: {reason(said)}", detail=f"Its log is in {installation.log}."
    )


def _log_since(directory: Path, moment: float) -> str:
    """Read the end of what was logged since a moment."""
    paths = [directory / "start.log", *directory.glob("server-*.log")]
    new = [path for path in paths if path.stat().st_mtime >= moment - 1]
    return "\n".join(path.read_bytes()[-4000:].decode("utf-8", "replace") for path in new)


def verify(base: Path, dsn: str) -> None:
    """See that the server answers and has what the product needs; create the database, empty."""
    # Variables for another server (PGHOSTADDR, PGSSLMODE) have no say.
    target = make_conninfo(dsn, dbname="postgres", hostaddr="127.0.0.1", sslmode="prefer")
    deadline = time.monotonic() + 60
    while True:
        try:
            connection = psycopg.connect(target, autocommit=True, connect_timeout=10)
            break
        except psycopg.OperationalError as error:
            # It may still recover; a wrong password stays wrong.
            if time.monotonic() > deadline or "password" in str(error):
                raise Refused(
                    "the server was started but does not answer",
                    detail=str(error).strip().splitlines()[-1],
                    hint=f"if it is the password: stop the server, delete {base / 'pgpass'}, and"
                    " start it again",
                ) from error
            time.sleep(0.2)
    with connection:
        available = connection.execute("select name from pg_available_extensions").fetchall()
        if missing := [name for name in NEEDED_EXTENSIONS if (name,) not in available]:
            raise Refused(f"the server has no {' and no '.join(missing)}", hint="run loader doctor")
        sql = "select from pg_database where datname = %s"
        if connection.execute(sql, (DATABASE,)).fetchone() is None:
            connection.execute(f"create database {DATABASE}")
