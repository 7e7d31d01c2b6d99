"""The embedded server: a private PostgreSQL with TimescaleDB, for machines that have none.

Everything it has lies in one directory (`home`), and nothing outside of it is changed, with one
exception that is announced: on Debian and Ubuntu `apt-get install mmdebstrap` where it is missing.

    lock             held (flock) while a server is started or stopped
    server.json      kind, port, version
    pgpass           the password of the role, for libpq
    data/            the cluster
    log/             what the server says, a file per day of the week
    build.log        what the tools that built the root or the libraries said
    root/            a small Debian root with the server in it (kind "root")
    python/          libraries for PL/Python (kind "system")

Two kinds. "system": binaries the machine has. "root": the machine is Debian or Ubuntu, has none,
and we are root; the server then runs in `root/` by chroot.

Where the data of kind "root" lie. The root can be rebuilt at any time, the data cannot, so they are
kept apart in `data/` and bind-mounted to `root/srv/data`, in a mount namespace that only the server
has: the host never sees the mount, it goes with the last server process, and deleting the root can
never reach the data. Where mounting is not allowed (most containers) a chroot cannot see outside,
so the data lie in `root/srv/data`; a rebuild first renames them to `data/`, and a start renames
them to the place that this machine allows. Symbolic links would not work across a chroot.

Half-built things have a name of their own (`root.new`, `data.new`, `python.new`) and get the real
one by a rename when they are complete; a start removes those that a killed one left.

Modules: `layout` (the home), `tools` (programs of the host), `processes`, `installation` (how
binaries are run), `system` and `root` (where they come from), `libraries`, `prepare` (the choice),
`cluster`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loader.errors import ConnectionFailed, Refused, UsageError
from loader.server import cluster, layout, prepare, processes, tools
from loader.server.cluster import DEFAULT_PORT
from loader.server.installation import ROOT_PYTHONPATH, THREADS
from loader.server.layout import home
from loader.server.libraries import LIBRARIES
from loader.server.root import EXTRAS, ROOT_MAJOR, extras_of
from loader.server.system import LEAST_MAJOR, NEEDED_EXTENSIONS
from loader.server.tools import Progress

__all__ = ["ServerInfo", "ServerStatus", "dsn", "home", "psql", "start", "status", "stop"]
__all__ += ["DEFAULT_PORT", "EXTRAS", "LEAST_MAJOR", "LIBRARIES", "NEEDED_EXTENSIONS", "ROOT_MAJOR"]
__all__ += ["ROOT_PYTHONPATH", "THREADS"]

LEAST_FREE = 2 * 10**9


@dataclass(frozen=True)
class ServerInfo:
    """A server that runs and answers."""

    dsn: str
    port: int
    pid: int
    version: str
    kind: str
    home: Path
    data: Path
    started: bool
    """False where it was running already."""


@dataclass(frozen=True)
class ServerStatus:
    """What is there, without changing it.

    `stale`: a server was killed, or the machine went down; the next start recovers.
    `absent`: never started here, or purged.
    """

    state: Literal["running", "stopped", "stale", "absent"]
    home: Path
    pid: int | None = None
    port: int | None = None
    version: str | None = None
    kind: str | None = None
    data: Path | None = None


@contextmanager
def _files_explained() -> Iterator[None]:
    """Let file errors leave as Refused: no rights and a full disk are the user's to put right."""
    try:
        yield
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise Refused(
            f"{(error.strerror or str(error)).lower()}{where}",
            hint="run as the user the server was made by, make room, or set WEIGHHOUSE_HOME to"
            " another place",
        ) from error


@_files_explained()
def start(
    port: int | None = None,
    progress: Progress = tools.quiet,
    extras: Collection[str] = (),
) -> ServerInfo:
    """Start the server; build and initialise what is missing first.

    Safe to repeat, to run twice at once, and to run after a crash.

    Parameters
    ----------
    port
        Listen here or fail. Without it: the port of last time, else 5433, else the next free one.
    progress
        Told of each step, one line with its seconds.
    extras
        Of `root.EXTRAS`: "neural" is torch. Where the server lacks them its root is built anew, the
        data are kept; they stay when a later start does not name them.

    Raises
    ------
    Refused
        Nothing can be built here, the port is taken, the disk is too small, the data belong to
        another major version, the server runs and lacks an extra.
    Busy
        Another start or stop did not end within ten minutes.
    """
    if port is not None and not 0 < port < 65536:
        raise UsageError(f"{port} is not a port", hint="give one between 1024 and 65535")
    if unknown := sorted(set(extras) - EXTRAS.keys()):
        raise UsageError(f"{unknown[0]} is no extra", hint=f"known are {', '.join(EXTRAS)}")
    base = home()
    layout.check_home(base)
    with layout.locked(base, progress) as lock:
        before = status()
        started = before.state != "running"
        if started:
            _bring_up(before, port, lock, progress, extras)
        elif port not in (None, before.port):
            raise Refused(
                f"the server is already running, on port {before.port}",
                hint=f"stop it first: loader server stop, then loader server start --port {port}",
            )
        elif before.kind == "root" and (lacking := set(extras) - extras_of(base / "root")):
            asked = " ".join(f"--with {name}" for name in sorted(lacking))
            raise Refused(
                f"the server is already running, without {' and '.join(sorted(lacking))}",
                hint=f"stop it first: loader server stop, then loader server start {asked}",
            )
        cluster.verify(base, dsn())
        now = status()
        if not started:
            progress(f"the server is already running on port {now.port} (pid {now.pid})")
        assert now.pid and now.port and now.version and now.kind and now.data
        return ServerInfo(
            dsn(), now.port, now.pid, now.version, now.kind, base, now.data, started=started
        )


def _bring_up(
    before: ServerStatus,
    port: int | None,
    lock: int,
    progress: Progress,
    extras: Collection[str],
) -> None:
    """Build what is missing, and start a server that is not running."""
    base = before.home
    if before.data is not None:
        processes.clear_stale(before.data, progress)
    elif (free := shutil.disk_usage(base).free) < (needed := LEAST_FREE * (1 + len(set(extras)))):
        raise Refused(
            f"too little room: {free / 1e9:.1f} GB free in {base}, {needed / 1e9:.0f} GB needed",
            hint="make room, or set WEIGHHOUSE_HOME to a larger disk",
        )
    installation = prepare.prepare(base, lock, progress, extras)
    cluster.initialise(installation, progress)
    if layout.password(base) is None:
        cluster.set_password(installation)
    cluster.launch(installation, port, progress)


@_files_explained()
def stop(purge: bool = False, progress: Progress = tools.quiet) -> bool:
    """Stop the server; tell whether it was running.

    Parameters
    ----------
    purge
        Also delete everything the server has: the data, the root, the libraries.
    """
    base = home()
    layout.check_home(base)
    if not base.is_dir():
        progress("nothing to stop: there is no server")
        return False
    if purge:
        layout.check_purge(base)
    with layout.locked(base, progress):
        now = status()
        if now.pid is not None and now.data is not None:
            processes.stop(now.pid, now.data, progress)
        elif not purge:
            progress("the server is not running")
        if purge:
            if now.data is not None:
                processes.end_orphans(now.data, progress)
            with tools.step(progress, f"deleted {base}"):
                for name in layout.KNOWN:
                    layout.remove(base / name)
                with suppress(OSError):
                    base.rmdir()
    return now.pid is not None


@_files_explained()
def status() -> ServerStatus:
    """Look at what is there."""
    base = home()
    data = layout.data_directory(base)
    if data is None:
        return ServerStatus("absent", base)
    known = layout.record(base)
    found = processes.read_pid(data)
    running = found is not None and processes.is_ours(found[0], data)
    pid, port = found if found is not None and running else (None, None)
    return ServerStatus(
        "running" if running else "stale" if found else "stopped",
        base,
        pid=pid,
        port=port or known.get("port"),
        version=known.get("version") or layout.first_line(data / "PG_VERSION"),
        kind=layout.recorded_kind(base),
        data=data,
    )


def dsn() -> str:
    """Give the connection string of the server; the password stays in its file.

    Raises
    ------
    ConnectionFailed
        There is no server here yet.
    """
    now = status()
    if now.port is None:
        raise ConnectionFailed(
            "no server is named, and there is no embedded one",
            hint="run loader server start, or name a server with --dsn",
        )
    return layout.dsn(now.home, now.port)


def psql(args: Sequence[str] = ()) -> int:
    """Run psql against the server, with the machine's psql or else the server's own."""
    target = dsn()
    base = home()
    environment = dict(os.environ)
    if found := shutil.which("psql"):
        command = [found]
    else:
        known = layout.record(base)
        command = [os.path.join(known.get("bindir", ""), "psql")]
        if known.get("kind") == "root":
            # Inside the root the password file cannot be seen.
            command = ["chroot", str(base / "root"), *command]
            environment["PGPASSWORD"] = layout.password(base) or ""
            environment["PATH"] = tools.environment()["PATH"]
            target = target.split("?")[0]
    # Ctrl-C belongs to psql: it cancels the query there, and must not end us.
    # (A handler, unlike SIG_IGN, is not inherited.)
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        done = subprocess.run([*command, target, *args], env=environment)
        return done.returncode if done.returncode >= 0 else 128 - done.returncode
    except OSError as error:
        raise Refused("there is no psql here", hint="install postgresql-client") from error
    finally:
        signal.signal(signal.SIGINT, before)
