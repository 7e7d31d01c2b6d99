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
"""

from __future__ import annotations

import errno
import fcntl
import functools
import glob
import hashlib
import json
import os
import platform
import pwd
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, ParamSpec, TypeVar
from urllib.parse import quote

import psycopg

from loader.errors import Busy, ConnectionFailed, Refused, UsageError

Progress = Callable[[str], None]
Kind = Literal["system", "root"]
P = ParamSpec("P")
T = TypeVar("T")

# What PL/Python finds in the server. deploy/Dockerfile installs the same.
LIBRARIES = ("numpy>=2.1,<3",)
# One thread a backend: a connection is the unit of parallelism, and the default is one per core.
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

ROLE = DATABASE = "weighhouse"
DEFAULT_PORT = 5433
LEAST_MAJOR = 16
NEEDED_EXTENSIONS = ("timescaledb", "plpython3u")
PRELOAD = "timescaledb"

SUITE = "trixie"
SUITE_NAME = "Debian 13"
ROOT_MAJOR = 17
PACKAGES = (
    f"postgresql-{ROOT_MAJOR}",
    f"postgresql-plpython3-{ROOT_MAJOR}",
    f"postgresql-{ROOT_MAJOR}-timescaledb",
    f"postgresql-{ROOT_MAJOR}-cron",
    "python3",
)
ROOT_PYTHONPATH = "/opt/weighhouse/python"
LEAST_FREE = 2 * 10**9

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOCK_WAIT_SECONDS = 600.0
START_SECONDS = 600
FAST_STOP_SECONDS = 60.0

KNOWN = frozenset(
    {
        *("lock", "server.json", "server.json.new", "pgpass", "pgpass.new"),
        *("apt.conf", "build.log", "log", "data", "data.new"),
        *("root", "root.new", "root.old", "python", "python.new", "python.old"),
    }
)


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


@dataclass(frozen=True)
class Installation:
    """Server binaries, and how they are run."""

    kind: Kind
    bindir: str
    major: int
    version: str
    home: Path
    uid: int
    gid: int
    root: Path | None = None
    mounted: bool = False

    @property
    def base(self) -> Path:
        """The directory that data and log are in."""
        if self.root is not None and not self.mounted:
            return self.root / "srv"
        return self.home

    @property
    def data(self) -> Path:
        """The data directory, as seen from outside."""
        return self.base / "data"

    @property
    def log(self) -> Path:
        """The directory of the logs, as seen from outside."""
        return self.base / "log"

    @property
    def pythonpath(self) -> str:
        """Where the server's Python finds the libraries, as the server sees it."""
        return str(self.home / "python") if self.root is None else ROOT_PYTHONPATH

    @property
    def libraries(self) -> Path:
        """The same directory, as seen from outside."""
        if self.root is None:
            return self.home / "python"
        return self.root / ROOT_PYTHONPATH.lstrip("/")

    def seen(self, path: Path) -> str:
        """Translate a path of data or log to what the server calls it."""
        if self.root is None:
            return str(path)
        return f"/srv/{'data' if self.mounted and path.name == 'data.new' else path.name}"

    def environment(self, data: Path) -> dict[str, str]:
        """Give the server a clean environment: nothing of the caller's reaches it."""
        return {
            "PATH": f"{self.bindir}:/usr/local/bin:/usr/bin:/bin",
            "PGDATA": self.seen(data),
            "PYTHONPATH": self.pythonpath,
            "TZ": "UTC",
            "LANG": "C.UTF-8",
            **THREADS,
        }

    def command(self, program: str, *arguments: str, data: Path | None = None) -> list[str]:
        """Compose the call of a program of the server (by name) or of the root (by path)."""
        tool = program if "/" in program else f"{self.bindir}/{program}"
        if self.root is None:
            return [tool, *arguments]
        chroot = [f"--userspec={self.uid}:{self.gid}", f"--groups={self.gid}", str(self.root)]
        if not self.mounted:
            return ["chroot", *chroot, tool, *arguments]
        return [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT, "sh"),
            *(str(self.root), str(data or self.data), str(self.log)),
            *("chroot", *chroot, tool, *arguments),
        ]


# /dev comes from the host because a filesystem mounted nodev has no working device nodes of its
# own; its shm is private and as large as memory allows, where a container has 64 MB.
MOUNT = """
set -e
mount --bind "$2" "$1/srv/data"
mount --bind "$3" "$1/srv/log"
mount --bind /dev "$1/dev"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$1/dev/shm"
mount -t proc proc "$1/proc" 2>/dev/null || true
shift 3
exec "$@"
"""


# ------------------------------------------------------------------------------------------------
# What callers use


def home() -> Path:
    """Find the directory everything lives in.

    $WEIGHHOUSE_HOME; in a source checkout `.weighhouse` beside pyproject.toml; else the user's
    data directory.
    """
    if named := os.environ.get("WEIGHHOUSE_HOME"):
        return Path(os.path.abspath(Path(named).expanduser()))
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file():
        return checkout / ".weighhouse"
    shared = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification says to ignore a relative path.
    base = Path(shared) if os.path.isabs(shared) else Path.home() / ".local" / "share"
    return base / "weighhouse"


def _files_explained(function: Callable[P, T]) -> Callable[P, T]:
    """Let file errors leave as Refused: no rights and a full disk are the user's to put right."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except OSError as error:
            hints = {
                errno.EACCES: "run as the user the server was made by, or set WEIGHHOUSE_HOME",
                errno.EPERM: "run as the user the server was made by, or set WEIGHHOUSE_HOME",
                errno.ENOSPC: "make room, or set WEIGHHOUSE_HOME to a larger disk",
                errno.EROFS: "set WEIGHHOUSE_HOME to a place that can be written",
            }
            where = f": {error.filename}" if error.filename else ""
            raise Refused(
                f"{(error.strerror or str(error)).lower()}{where}",
                hint=hints.get(error.errno or 0),
            ) from error

    return wrapper


def _quiet(_: str) -> None:
    """Say nothing."""


@_files_explained
def start(port: int | None = None, progress: Progress = _quiet) -> ServerInfo:
    """Start the server; build and initialise what is missing first.

    Safe to repeat, to run twice at once, and to run after a crash.

    Parameters
    ----------
    port
        Listen here or fail. Without it: the port of last time, else 5433, else the next free one.
    progress
        Told of each step, one line with its seconds.

    Raises
    ------
    Refused
        Nothing can be built here, the port is taken, the disk is too small, the data belong to
        another major version.
    Busy
        Another start or stop did not end within ten minutes.
    """
    if port is not None and not 0 < port < 65536:
        raise UsageError(f"{port} is not a port", hint="give one between 1024 and 65535")
    base = home()
    _check_home(base)
    base.mkdir(parents=True, exist_ok=True)
    with _locked(base, progress) as lock:
        now = status()
        if now.state == "running":
            return _join(base, now, port, progress)
        _check_space(base)
        installation = _prepare(base, lock, progress)
        _initialise(installation, progress)
        _clear_stale(installation.data, progress)
        if _password(base) is None:
            _set_password(installation)
        chosen = _launch(installation, port, progress)
        with _step(progress, "checked the server"):
            _create_database(base, chosen)
            _verify(base, chosen)
        running = status()
        return ServerInfo(
            dsn=_dsn(base, chosen),
            port=chosen,
            pid=running.pid or 0,
            version=installation.version,
            kind=installation.kind,
            home=base,
            data=installation.data,
            started=True,
        )


@_files_explained
def stop(purge: bool = False, progress: Progress = _quiet) -> bool:
    """Stop the server; tell whether it was running.

    Parameters
    ----------
    purge
        Also delete everything the server has: the data, the root, the libraries.
    """
    base = home()
    _check_home(base)
    if not base.is_dir():
        progress("nothing to stop: there is no server")
        return False
    if purge:
        _check_purge(base)
    with _locked(base, progress):
        now = status()
        was_running = now.state == "running" and now.pid is not None
        if was_running and now.pid is not None and now.data is not None:
            _stop(now.pid, now.data, progress)
        elif not purge:
            progress("the server is not running")
        if purge:
            if now.data is not None:
                _end_orphans(now.data, progress)
            with _step(progress, f"deleted {base}"):
                _purge(base)
    if purge:
        with suppress(OSError):
            base.rmdir()
    return was_running


@_files_explained
def status() -> ServerStatus:
    """Look at what is there."""
    base = home()
    data = _data_directory(base)
    known = _read_json(base / "server.json")
    if data is None:
        return ServerStatus("absent", base)
    pid, listening = _read_pid(data)
    state: Literal["running", "stopped", "stale"] = "stopped"
    if pid is not None:
        state = "running" if _is_ours(pid, data) else "stale"
    running = state == "running"
    return ServerStatus(
        state,
        base,
        pid=pid if running else None,
        port=listening if running and listening else known.get("port"),
        version=known.get("version") or _first_line(data / "PG_VERSION"),
        kind=_recorded_kind(base),
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
    return _dsn(now.home, now.port)


def psql(args: Sequence[str] = ()) -> int:
    """Run psql against the server, with the machine's psql or else the server's own."""
    target = dsn()
    base = home()
    environment = dict(os.environ)
    if found := shutil.which("psql"):
        command = [found]
    else:
        known = _read_json(base / "server.json")
        command = [str(Path(str(known.get("bindir", ""))) / "psql")]
        if known.get("kind") == "root":
            # Inside the root the password file cannot be seen.
            command = ["chroot", str(base / "root"), *command]
            environment["PGPASSWORD"] = _password(base) or ""
            environment["PATH"] = _tool_path()
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


# ------------------------------------------------------------------------------------------------
# Small things


@contextmanager
def _step(progress: Progress, done: str) -> Iterator[None]:
    """Report a step, when it is done, with its seconds."""
    started = time.monotonic()
    yield
    progress(f"{done}  {time.monotonic() - started:.1f} s")


def _tool_path() -> str:
    """Extend PATH: chroot, mount and unshare are in sbin, which is not in everybody's."""
    return f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"


def _first_line(path: Path) -> str | None:
    """Read the first line of a small file; None where there is none."""
    try:
        return path.read_text("utf-8", "replace").split("\n", 1)[0].strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read_json(path: Path) -> dict[str, Any]:
    """Read an object; empty where the file is missing or damaged."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(
    path: Path, text: str, *, mode: int = 0o600, owner: tuple[int, int] | None = None
) -> None:
    """Replace a file in one step.

    Never through a link: directories of the server belong to a user that must not be able to
    lead root elsewhere.
    """
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        if owner is not None and os.geteuid() == 0:
            os.fchown(file.fileno(), *owner)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def _open_log(path: Path) -> IO[bytes]:
    """Start a log anew, to be written by a child and then read; not through a link."""
    # Appending, because the server keeps the descriptor, and reading moves the position we share.
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "rb", buffering=0)


def _without_secrets(text: str) -> str:
    """Take user and password out of the addresses in a message."""
    return re.sub(r"//[^/\s@]*@", "//", text)


def _reason(log: str) -> str:
    """Pick the line of a tool's output that says why it failed."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    marks = r"^(E: |ERROR|FATAL|PANIC|Err:|error:)|FATAL:|PANIC:|could not|[Nn]o space left"
    # mmdebstrap and apt end with lines about themselves; the cause came before.
    noise = r"apt-get .* failed|mmdebstrap failed|Some index files failed"
    telling = [line for line in lines if re.search(marks, line) and not re.search(noise, line)]
    chosen = (telling or lines or ["no message"])[-1]
    return _without_secrets(chosen)[:300]


@contextmanager
def _locked(base: Path, progress: Progress) -> Iterator[int]:
    """Let one process at a time change what is in `home`.

    Building tools inherit the descriptor: where a loader was killed and its tool works on, the
    next one waits for it.
    """
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    path = base / "lock"
    started, told = time.monotonic(), False
    while True:
        base.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A purge may have deleted the file that we opened: then it locks nothing.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    break
            os.close(descriptor)
            continue
        except BlockingIOError:
            holder = os.pread(descriptor, 100, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
        if time.monotonic() > deadline:
            raise Busy(
                f"another loader works on this server ({holder or 'unknown'})",
                hint="wait for it, or end it, then run again",
            )
        if not told and time.monotonic() - started > 0.3:
            told = True
            progress(f"another loader works on this server ({holder or 'unknown'}); waiting")
        time.sleep(0.2)
    try:
        os.ftruncate(descriptor, 0)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.pwrite(descriptor, f"pid {os.getpid()} since {since}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _check_home(base: Path) -> None:
    """Refuse directories that belong to somebody."""
    if base in (Path("/"), Path.home()):
        raise Refused(
            f"{base} cannot be the home of a server",
            hint="set WEIGHHOUSE_HOME to a directory of its own",
        )
    data = base / "data"
    if data.is_dir() and any(data.iterdir()) and not (data / "weighhouse.conf").exists():
        raise Refused(
            f"{data} was not made by loader",
            hint="set WEIGHHOUSE_HOME to a directory of its own",
        )


def _check_space(base: Path) -> None:
    """Refuse to build where it cannot end well; what is built may start on a full disk."""
    if _data_directory(base) is not None:
        return
    free = shutil.disk_usage(base).free
    if free < LEAST_FREE:
        raise Refused(
            f"too little room: {free / 1e9:.1f} GB free in {base}, 2 GB needed",
            hint="make room, or set WEIGHHOUSE_HOME to a larger disk",
        )


def _dsn(base: Path, port: int, database: str = DATABASE) -> str:
    """Compose a connection string without a password."""
    return f"postgresql://{ROLE}@127.0.0.1:{port}/{database}?passfile={quote(str(base / 'pgpass'))}"


# ------------------------------------------------------------------------------------------------
# Processes


def _data_directory(base: Path) -> Path | None:
    """Find the cluster; None where there is none."""
    for path in (base / "data", base / "root" / "srv" / "data"):
        if (path / "PG_VERSION").exists():
            return path
    return None


def _read_pid(data: Path) -> tuple[int | None, int | None]:
    """Read pid and port from postmaster.pid."""
    try:
        lines = (data / "postmaster.pid").read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None, None
    numbers = [int(line) if line.strip().isdigit() else None for line in lines]
    # An empty file is what a full disk or a crash leaves: there was a server.
    pid = numbers[0] if numbers and numbers[0] else -1
    return pid, numbers[3] if len(numbers) > 3 else None


def _is_ours(pid: int, data: Path) -> bool:
    """Tell whether a live process is a server of this data directory.

    A pid alone says nothing, it may have been given to another process since. Every PostgreSQL
    process works in its data directory; device and inode are the same in all mount namespaces.
    """
    if pid <= 1:
        return False
    try:
        where = os.stat(f"/proc/{pid}/cwd")
        name = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
        return os.path.samestat(where, data.stat()) and name.startswith("postgres")
    except PermissionError:
        # A server of another user; its owner and name must do.
        process = Path(f"/proc/{pid}")
        with suppress(OSError):
            name = (process / "comm").read_text("utf-8", "replace").strip()
            return process.stat().st_uid == data.stat().st_uid and name.startswith("postgres")
        return False
    except (FileNotFoundError, ProcessLookupError):
        if os.path.isdir("/proc/self"):
            return False
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True


def _processes(data: Path) -> list[int]:
    """List all live processes of the cluster in this data directory."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:
        return []
    try:
        here = data.stat()
    except FileNotFoundError:
        return []
    found = []
    for pid in pids:
        with suppress(OSError):
            if os.path.samestat(os.stat(f"/proc/{pid}/cwd"), here) and _is_ours(pid, data):
                found.append(pid)
    return found


def _signal(pid: int, number: int) -> None:
    """Send a signal; a process that is gone is no error."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until something holds, at most so long; tell whether it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _end_orphans(data: Path, progress: Progress) -> None:
    """See off the sessions that outlived their postmaster.

    They hold the shared memory, and no server can start before they are gone. Most notice by
    themselves; one in the middle of a long computation does not. Ending it loses nothing: its
    transaction can no longer commit.
    """
    if _wait(lambda: not _processes(data), 5):
        return
    left = _processes(data)
    progress(f"ending {len(left)} sessions of a server that was killed")
    for number in (signal.SIGQUIT, signal.SIGKILL):
        for pid in _processes(data):
            _signal(pid, number)
        if _wait(lambda: not _processes(data), 5):
            return
    raise Busy(
        f"sessions of a killed server do not end: {', '.join(map(str, _processes(data)))}",
        hint="end them, then run again",
    )


def _clear_stale(data: Path, progress: Progress) -> None:
    """Remove what a killed server left: sessions, and a postmaster.pid that would stop the next.

    PostgreSQL does not start when the pid in the file is alive, whoever has it now.
    """
    _end_orphans(data, progress)
    if _read_pid(data)[0] is not None:
        progress("the server was killed last time; it recovers now")
        (data / "postmaster.pid").unlink(missing_ok=True)


def _stop(pid: int, data: Path, progress: Progress) -> None:
    """Stop a postmaster: sessions are rolled back, everything is written, the process ends.

    By signals, as pg_ctl does it, so that a root that is damaged or gone does not matter.
    """

    def gone() -> bool:
        return not _is_ours(pid, data)

    with _step(progress, "stopped the server"):
        _signal(pid, signal.SIGINT)
        if not _wait(gone, FAST_STOP_SECONDS):
            progress("sessions do not end (PL/Python cannot be interrupted); stopping at once")
            _signal(pid, signal.SIGQUIT)
            if not _wait(gone, FAST_STOP_SECONDS):
                raise Busy(f"the server does not stop (pid {pid})", hint="look at its log")


# ------------------------------------------------------------------------------------------------
# Which server


def _prepare(base: Path, lock: int, progress: Progress) -> Installation:
    """Find or build the binaries and libraries, and put the data where they see them."""
    data = _data_directory(base)
    major = int(_first_line(data / "PG_VERSION") or 0) if data else None
    kind = _recorded_kind(base) if data else None
    if kind != "root":
        found = _system_installation(base, major)
        if found is not None:
            _own_directories(found)
            _install_libraries(found, _plpython_version(found), lock, progress)
            return found
        if kind == "system":
            raise Refused(
                f"the data in {data} are of PostgreSQL {major}, which is not here any more",
                hint=f"install PostgreSQL {major} with timescaledb and plpython3u again",
            )
    if kind == "root" and os.geteuid() != 0:
        raise Refused(
            "this server was made by root",
            hint="run as root, or set WEIGHHOUSE_HOME to a directory of your own",
        )
    if not (_is_debian() and shutil.which("apt-get", path=_tool_path())) or os.geteuid() != 0:
        raise Refused(
            f"there is no PostgreSQL >= {LEAST_MAJOR} with timescaledb and plpython3u here",
            detail="Building one needs root, on Debian or Ubuntu."
            if os.geteuid() != 0
            else "Building one works on Debian and Ubuntu only.",
            hint=f"install PostgreSQL >= {LEAST_MAJOR} with timescaledb and plpython3u; or run"
            " loader server start as root (Debian, Ubuntu); or docker compose up -d; or name a"
            " server with --dsn",
        )
    root = _ensure_root(base, major, lock, progress)
    mounted = _can_mount(base)
    uid, gid = _user_of_root(root)
    version = _version_of(["chroot", str(root), f"{_root_bindir(root)}/postgres"]) or ""
    result = Installation(
        kind="root",
        bindir=_root_bindir(root),
        major=int(version.split(".")[0] or 0),
        version=version,
        home=base,
        uid=uid,
        gid=gid,
        root=root,
        mounted=mounted,
    )
    if major is not None and major != result.major:
        raise Refused(
            f"the data in {data} are of PostgreSQL {major}, the server is {result.major}",
            hint="dump them with the old server and restore them into a new one",
        )
    for name in ("data", "log"):
        (root / "srv" / name).mkdir(exist_ok=True)
    _place_data(result)
    _own_directories(result)
    _install_libraries(result, _root_python(root), lock, progress)
    return result


def _recorded_kind(base: Path) -> str:
    """Tell the kind of an existing server, also when its record was lost."""
    recorded = _read_json(base / "server.json").get("kind")
    if recorded in ("system", "root"):
        return str(recorded)
    return "root" if (base / "root").is_dir() else "system"


def _is_debian() -> bool:
    """Tell whether this is Debian, Ubuntu or one of their children."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return bool({"debian", "ubuntu"} & {release.get("ID"), *release.get("ID_LIKE", "").split()})


def _system_bindirs() -> list[str]:
    """List the places where server binaries may be."""
    patterns = (
        "/usr/lib/postgresql/*/bin",
        "/usr/pgsql-*/bin",
        "/opt/homebrew/opt/postgresql@*/bin",
        "/usr/local/opt/postgresql@*/bin",
    )
    found = [path for pattern in patterns for path in sorted(glob.glob(pattern))]
    for name in ("postgres", "pg_ctl"):
        if tool := shutil.which(name):
            found.append(os.path.dirname(os.path.realpath(tool)))
    return list(dict.fromkeys(found))


def _version_of(command: Sequence[str]) -> str | None:
    """Ask a postgres binary for its version."""
    try:
        answer = subprocess.run(
            [*command, "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, "PATH": _tool_path()},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\) (\d+(?:\.\d+)?)", answer.stdout)
    return match.group(1) if match else None


def _pg_config(bindir: str, option: str, fallback: str) -> str:
    """Ask pg_config for a directory; it is often not installed, so there is a usual answer."""
    try:
        answer = subprocess.run(
            [f"{bindir}/pg_config", option], capture_output=True, text=True, timeout=30
        )
        return answer.stdout.strip() or fallback
    except (OSError, subprocess.TimeoutExpired):
        return fallback


def _system_installation(base: Path, major: int | None) -> Installation | None:
    """Find the newest suitable server of this machine (of one major version, where data exist)."""
    found: list[tuple[int, str, str]] = []
    for bindir in _system_bindirs():
        version = _version_of([f"{bindir}/postgres"])
        if version is None or int(version.split(".")[0]) < LEAST_MAJOR:
            continue
        number = int(version.split(".")[0])
        share = _pg_config(bindir, "--sharedir", f"/usr/share/postgresql/{number}")
        controls = [Path(share) / "extension" / f"{name}.control" for name in NEEDED_EXTENSIONS]
        if all(path.is_file() for path in controls) and major in (None, number):
            found.append((number, version, bindir))
    if not found:
        return None
    number, version, bindir = max(found)
    uid, gid = _system_user(base)
    return Installation("system", bindir, number, version, base, uid, gid)


def _system_user(base: Path) -> tuple[int, int]:
    """Choose the user the server runs as: us; never root."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if (data := _data_directory(base)) is not None and data.stat().st_uid != 0:
        return data.stat().st_uid, data.stat().st_gid
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        raise Refused(
            "PostgreSQL does not run as root, and there is no user postgres",
            hint="run as another user, or create the user postgres",
        ) from None
    return entry.pw_uid, entry.pw_gid


def _own_directories(installation: Installation) -> None:
    """Make data and log, and give them to the user of the server."""
    owner = (installation.uid, installation.gid)
    for path in (installation.data, installation.log):
        if path == installation.data and not path.exists() and installation.root is None:
            continue
        path.mkdir(exist_ok=True, mode=0o700)
        if os.geteuid() == 0 and path.stat().st_uid != installation.uid:
            # The number of the user may change when the root is rebuilt.
            os.chown(path, *owner)
            for directory, names, files in os.walk(path):
                for name in (*names, *files):
                    os.lchown(os.path.join(directory, name), *owner)
    if installation.kind == "system" and os.geteuid() == 0 and not _can_enter(installation):
        raise Refused(
            f"the user {pwd.getpwuid(installation.uid).pw_name} cannot enter {installation.home}",
            hint="set WEIGHHOUSE_HOME to a directory that everybody may enter, or run as"
            " another user than root",
        )


def _can_enter(installation: Installation) -> bool:
    """Tell whether the user of the server reaches its log directory."""
    answer = _call(installation, ["/bin/sh", "-c", 'test -w "$0"', str(installation.log)])
    return answer.returncode == 0


def _call(
    installation: Installation,
    command: Sequence[str],
    *,
    data: Path | None = None,
    text: str | None = None,
    output: IO[bytes] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a composed command as the server's user, with the server's environment."""
    switch = os.geteuid() == 0 and installation.root is None
    environment = installation.environment(data or installation.data)
    if installation.root is not None:
        # Of unshare, mount and chroot; the binaries inside are called by path.
        environment["PATH"] = SYSTEM_PATH
    return subprocess.run(
        command,
        input=None if text is None else text.encode(),
        stdin=subprocess.DEVNULL if text is None else None,
        stdout=subprocess.PIPE if output is None else output,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd="/",
        umask=0o077,
        user=installation.uid if switch else None,
        group=installation.gid if switch else None,
        extra_groups=[installation.gid] if switch else None,
    )


# ------------------------------------------------------------------------------------------------
# The Debian root


def _recipe() -> str:
    """Hash what a root is made from: another hash means another root."""
    made_of = ("1", SUITE, platform.machine(), *PACKAGES)
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()


def _built_recipe(root: Path) -> str | None:
    """Read the recipe of a complete root; None where it is missing or half built."""
    found = _read_json(root / "opt" / "weighhouse" / "recipe.json").get("recipe")
    return str(found) if found else None


def _ensure_root(base: Path, major: int | None, lock: int, progress: Progress) -> Path:
    """Give a complete root: the one that is there, or a new one."""
    root, new, old = base / "root", base / "root.new", base / "root.old"
    if not root.exists() and old.exists():
        old.rename(root)  # killed between the two renames below
    _remove_tree(old)
    existing = _built_recipe(root)
    if existing == _recipe():
        _remove_tree(new)
        return root
    if existing is not None and major not in (None, ROOT_MAJOR):
        progress(f"keeping the older root: the data are of PostgreSQL {major}")
        return root
    try:
        _build_root(base, new, lock, progress)
    except Refused as failure:
        if existing is None:
            raise
        # An upgrade of loader on a machine without network must not take the server away.
        progress(f"keeping the older root: {failure}")
        return root
    _park_data(base)
    if root.exists():
        root.rename(old)
    new.rename(root)
    _remove_tree(old)
    return root


def _build_root(base: Path, new: Path, lock: int, progress: Progress) -> None:
    """Build a root with mmdebstrap, which runs the apt of the host: its settings apply."""
    _remove_tree(new)
    if not shutil.which("mmdebstrap", path=_tool_path()):
        _install_mmdebstrap(base, progress)
    progress(f"building a {SUITE_NAME} root with PostgreSQL {ROOT_MAJOR} in {base}")
    sources = _debian_sources()
    settings = base / "apt.conf"
    _write(settings, _apt_settings())
    command = [
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"),
        f"--include={','.join(PACKAGES)}",
        "--dpkgopt=force-unsafe-io",
        *([f"--aptopt={settings}"] if settings.stat().st_size else []),
        *(SUITE, str(new), *sources),
    ]
    if _can_mount(base):
        # What it mounts goes with it, also when it is killed.
        command = ["unshare", "--mount", "--propagation", "private", *command]
    try:
        with _step(progress, f"built the {SUITE_NAME} root"):
            _build(base, command, f"cannot build a {SUITE_NAME} root", lock)
    except BaseException:
        _remove_tree(new)
        raise
    finally:
        settings.unlink(missing_ok=True)
    # Settings of the host, possibly with the password of a proxy, are not for the root.
    (new / "etc" / "apt" / "apt.conf.d" / "99mmdebstrap").unlink(missing_ok=True)
    (new / "opt" / "weighhouse").mkdir(parents=True, exist_ok=True)
    recipe = {"recipe": _recipe(), "packages": PACKAGES, "suite": SUITE}
    _write(new / "opt" / "weighhouse" / "recipe.json", json.dumps(recipe, indent=1), mode=0o644)


def _install_mmdebstrap(base: Path, progress: Progress) -> None:
    """Install mmdebstrap on the host: the one thing that is done outside of `home`."""
    progress("installing mmdebstrap with apt-get (the only change outside of the server's home)")
    wanted = ["mmdebstrap", "debian-archive-keyring"]
    install = ["apt-get", "install", "-y", "--no-install-recommends", *wanted]
    failed = "cannot install mmdebstrap"
    with _step(progress, "installed mmdebstrap"):
        try:
            _build(base, install, failed, None)
        except Refused:
            _build(base, ["apt-get", "update"], failed, None)
            _build(base, install, failed, None)


def _build(base: Path, command: Sequence[str], failed: str, lock: int | None) -> None:
    """Run a building tool; its output goes to build.log, its reason into the error."""
    environment = {
        **os.environ,
        "PATH": _tool_path(),
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C.UTF-8",
    }
    with _open_log(base / "build.log") as log:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                umask=0o022,
                pass_fds=() if lock is None else (lock,),
            ).returncode
        except OSError as error:
            raise Refused(f"{failed}: {error.strerror}: {command[0]}") from error
        log.seek(0)
        said = log.read().decode("utf-8", "replace")
    if done != 0:
        raise Refused(
            f"{failed}: {_reason(said)}",
            detail=f"All of it is in {base / 'build.log'}.",
            hint="see that the network, the mirror and the proxy settings work (apt-get update,"
            " pip download numpy), then run loader server start again",
        )


def _debian_sources() -> list[str]:
    """Compose sources for the suite from the mirrors the host is configured with.

    Empty, which means mmdebstrap's own choice, where the host names no mirror of Debian.
    """
    rows = _index_targets(["--format", "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"])
    if not any(row.startswith("Debian|") for row in rows):
        # No package lists yet, so the origin is not known; the path tells.
        bare = _index_targets(
            ["--no-release-info", "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)"]
        )
        rows = [f"Debian|{row}" for row in bare if re.search(r"/debian(-security)?/?\|", row)]
    result: list[str] = []
    for row in rows:
        origin, uri, release, component = (row.split("|") + [""] * 4)[:4]
        if origin != "Debian" or component != "main":
            continue
        for ending in ("-security", "-updates", ""):
            if release.endswith(ending):
                result.append(f"deb {uri.rstrip('/')} {SUITE}{ending} main")
                break
    result = sorted(set(result), key=lambda line: (line.count("-"), line))
    # Without the archive itself the others are of no use.
    return result if any(line.endswith(f" {SUITE} main") for line in result) else []


def _index_targets(options: Sequence[str]) -> list[str]:
    """Ask apt where its indexes come from."""
    try:
        answer = subprocess.run(
            ["apt-get", "indextargets", *options, "Created-By: Packages"],
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in answer.stdout.splitlines() if "cdrom:" not in line]


def _apt_settings() -> str:
    """Collect how the host's apt reaches its mirrors: proxies, certificates, clocks."""
    try:
        dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    wanted = (
        r"^Acquire::(http|https|Retries|ForceIPv[46]|Check-Valid-Until|Check-Date|Max-ValidTime)\b"
    )
    lines = [line for line in dump.stdout.splitlines() if re.match(wanted, line)]
    return "".join(f"{line}\n" for line in lines if not line.endswith(' "";'))


def _can_mount(base: Path) -> bool:
    """Tell whether a private bind mount is allowed here."""
    probe = ["unshare", "--mount", "--propagation", "private"]
    probe += ["sh", "-c", 'mount --bind "$0" "$0" && mount -t tmpfs tmpfs "$0"', str(base)]
    try:
        environment = {**os.environ, "PATH": _tool_path()}
        return subprocess.run(probe, capture_output=True, env=environment).returncode == 0
    except OSError:
        return False


def _user_of_root(root: Path) -> tuple[int, int]:
    """Read uid and gid of postgres in the root."""
    for line in (root / "etc" / "passwd").read_text("utf-8").splitlines():
        name, _, uid, gid, *_ = line.split(":")
        if name == "postgres":
            return int(uid), int(gid)
    raise Refused(f"the root {root} is damaged", hint="delete it; the data are not in danger")


def _root_bindir(root: Path) -> str:
    """Find the server binaries in the root, as seen from inside."""
    majors = sorted(int(path.name) for path in root.glob("usr/lib/postgresql/[0-9]*"))
    return f"/usr/lib/postgresql/{majors[-1] if majors else ROOT_MAJOR}/bin"


def _root_python(root: Path) -> str:
    """Find the version of the root's Python, which PL/Python uses."""
    found = [re.fullmatch(r"python(3\.\d+)", path.name) for path in root.glob("usr/lib/python3.*")]
    versions = [match.group(1) for match in found if match]
    return max(versions, key=lambda text: int(text.split(".")[1]), default="3.13")


def _park_data(base: Path) -> None:
    """Take the data out of the root, before the root is replaced."""
    inside, outside = base / "root" / "srv" / "data", base / "data"
    if (inside / "PG_VERSION").exists():
        _move_data(inside, outside)


def _place_data(installation: Installation) -> None:
    """Move the data to where this machine lets the server see them."""
    if installation.root is None:
        return
    inside, outside = installation.root / "srv" / "data", installation.home / "data"
    source = outside if installation.data == inside else inside
    if (source / "PG_VERSION").exists():
        _move_data(source, installation.data)


def _move_data(source: Path, target: Path) -> None:
    """Rename a data directory over an empty one; leave an empty one behind."""
    if (target / "PG_VERSION").exists():
        raise Refused(
            f"there are two data directories, {source} and {target}",
            hint="move one of them away, then run again",
        )
    if _processes(source):
        raise Busy(f"a server uses {source}", hint="stop it first")
    if target.is_dir():
        target.rmdir()
    source.rename(target)
    if source.parent.name == "srv":
        source.mkdir(mode=0o700)


def _remove_tree(path: Path) -> None:
    """Delete a tree of ours; never across a mount."""
    if path.is_symlink():
        path.unlink()
        return
    if not path.exists():
        return
    with suppress(FileNotFoundError):
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
        points = [line.split(" ")[4].replace("\\040", " ") for line in mounts]
        inside = [point for point in points if Path(point).is_relative_to(path)]
        for point in sorted(inside, key=len, reverse=True):
            environment = {**os.environ, "PATH": _tool_path()}
            if subprocess.run(["umount", point], capture_output=True, env=environment).returncode:
                raise Refused(f"{point} is mounted", hint="unmount it, then run again")
    for attempt in range(10):
        try:
            shutil.rmtree(path)
            return
        except OSError as error:
            # A tool that was just interrupted may still be writing.
            if error.errno not in (errno.ENOTEMPTY, errno.ENOENT) or attempt == 9:
                raise
            time.sleep(0.5)


# ------------------------------------------------------------------------------------------------
# The libraries


def _plpython_version(installation: Installation) -> str:
    """Find the Python that PL/Python of a system's server is linked with."""
    usual = f"/usr/lib/postgresql/{installation.major}/lib"
    library = Path(_pg_config(installation.bindir, "--pkglibdir", usual)) / "plpython3.so"
    with suppress(OSError):
        linked = subprocess.run(["ldd", str(library)], capture_output=True, text=True).stdout
        if match := re.search(r"libpython(3\.\d+)", linked):
            return match.group(1)
    return f"3.{sys.version_info.minor}"


def _install_libraries(
    installation: Installation, python: str, lock: int, progress: Progress
) -> None:
    """Install what PL/Python imports, from outside, for the Python of the server.

    With the pip of this interpreter: the index and certificate settings of the machine apply,
    which a pip inside the root would not know.
    """
    target = installation.libraries
    wanted = {"libraries": list(LIBRARIES), "python": python, "machine": platform.machine()}
    new, old = target.with_name("python.new"), target.with_name("python.old")
    if not target.exists() and old.exists():
        old.rename(target)
    _remove_tree(old)
    _remove_tree(new)
    if _read_json(target / "weighhouse.json") == wanted:
        return
    quietly = ["--no-compile", "--no-input", "--disable-pip-version-check", "--no-user"]
    platforms: list[str] = []
    if installation.root is not None:
        for tag in ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014"):
            platforms += ["--platform", f"{tag}_{platform.machine()}"]
    command = [
        *(*_pip(), "install", "--target", str(new), "--python-version", python),
        *("--implementation", "cp", "--only-binary=:all:", *platforms, *quietly),
        *LIBRARIES,
    ]
    name = ", ".join(LIBRARIES)
    try:
        with _step(progress, f"installed {name} for Python {python}"):
            _build(installation.home, command, f"cannot install {name} for Python {python}", lock)
            _compile(installation, new, python)
            text = json.dumps(wanted)
            _write(new / "weighhouse.json", text, mode=0o644)
    except Refused as failure:
        _remove_tree(new)
        if not (target / "weighhouse.json").exists():
            raise
        progress(f"keeping the older libraries: {failure}")
        return
    except BaseException:
        _remove_tree(new)
        raise
    if target.exists():
        target.rename(old)
    new.rename(target)
    _remove_tree(old)


def _pip() -> list[str]:
    """Find a pip: the interpreter's own, else any on the machine (it installs for another one)."""
    # -I: a PYTHONPATH or a numpy in the working directory has no say. Settings of pip itself do.
    own = [sys.executable, "-I", "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True).returncode == 0:
        return own
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            return [found]
    raise Refused(
        "there is no pip to install the libraries of the server with",
        hint=f"install it: {sys.executable} -m ensurepip, or apt-get install python3-pip",
    )


def _compile(installation: Installation, path: Path, python: str) -> None:
    """Write .pyc files for the server's Python, which may not write here itself.

    A first import is three times as fast with them. They hold for the source whatever its date.
    """
    options = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    environment = {**os.environ, "PATH": _tool_path()}
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    if installation.root is not None:
        seen = str(Path(ROOT_PYTHONPATH).with_name(path.name))
        command = ["chroot", str(installation.root), f"/usr/bin/python{python}", *options, seen]
    elif found := shutil.which(f"python{python}"):
        command = [found, *options, str(path)]
    else:
        return
    with suppress(OSError):
        # Of a file for another version of Python it complains; that is no reason to stop.
        subprocess.run(command, capture_output=True, env=environment, umask=0o022)


# ------------------------------------------------------------------------------------------------
# The cluster


def _initialise(installation: Installation, progress: Progress) -> None:
    """Make a cluster, where there is none."""
    data = installation.data
    if (data / "PG_VERSION").exists():
        return
    new = data.with_name("data.new")
    _remove_tree(new)
    new.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(new, installation.uid, installation.gid)
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
    with _step(progress, f"initialised a cluster of PostgreSQL {installation.version}"):
        command = installation.command("initdb", *arguments, data=new)
        answer = _call(installation, command, data=new)
        if answer.returncode != 0:
            _remove_tree(new)
            raise Refused(
                "cannot initialise a cluster: " + _reason(answer.stdout.decode("utf-8", "replace"))
            )
        owner = (installation.uid, installation.gid)
        access = "# Password only, from this machine only.\nhost all all 127.0.0.1/32 scram-sha-256"
        _write(new / "pg_hba.conf", f"{access}\n", owner=owner)
        settings = (new / "postgresql.conf").read_text("utf-8")
        settings += "\n# Written by loader at every start; alter system set … is stronger.\n"
        _write(new / "postgresql.conf", f"{settings}include 'weighhouse.conf'\n", owner=owner)
        _write(new / "weighhouse.conf", "", owner=owner)
    if data.is_dir():
        data.rmdir()
    new.rename(data)
    # A password that belonged to an earlier cluster.
    (installation.home / "pgpass").unlink(missing_ok=True)


def _password(base: Path) -> str | None:
    """Read the password of the role; None where the file is missing or damaged."""
    line = _first_line(base / "pgpass") or ""
    parts = line.split(":")
    return parts[4] if len(parts) == 5 and parts[4] else None


def _set_password(installation: Installation) -> None:
    """Give the role a new password and write it down; the server must be stopped.

    In single-user mode: nothing listens, and no password passes through a command line. It is
    also the way back after pgpass was lost.
    """
    password = secrets.token_urlsafe(32)
    options = ("-c", "shared_preload_libraries=", "-c", "exit_on_error=on")
    command = installation.command("postgres", "--single", *options, "postgres")
    answer = _call(installation, command, text=f"alter role {ROLE} password '{password}'\n")
    if answer.returncode != 0:
        said = answer.stdout.decode("utf-8", "replace").replace(password, "…")
        raise Refused(f"cannot set the password: {_reason(said)}")
    _write(installation.home / "pgpass", f"127.0.0.1:*:*:{ROLE}:{password}\n")


def _memory() -> int:
    """Count the bytes of memory we may use: the machine's, or less in a container."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            sizes.append(int(Path(name).read_text()))
    return min(sizes)


def _settings(installation: Installation, port: int) -> str:
    """Compose weighhouse.conf."""
    memory = _memory()
    cores = os.cpu_count() or 1
    megabyte = 1024 * 1024
    private_memory = installation.root is not None and not installation.mounted
    settings: dict[str, str | int] = {
        "listen_addresses": "'127.0.0.1'",
        "port": port,
        "unix_socket_directories": "''",
        "max_connections": 200,
        "shared_preload_libraries": f"'{PRELOAD}'",
        "timescaledb.telemetry_level": "off",
        "timescaledb.max_background_workers": 16,
        "max_worker_processes": 16 + cores + 8,
        "max_parallel_workers": cores,
        "max_parallel_workers_per_gather": max(1, cores // 2),
        "max_parallel_maintenance_workers": max(1, cores // 2),
        # A statement over a hypertable locks each chunk it looks at.
        "max_locks_per_transaction": 256,
        "shared_buffers": f"{max(128, min(1024, memory // 4 // megabyte))}MB",
        "effective_cache_size": f"{max(256, memory // 2 // megabyte)}MB",
        "work_mem": "64MB",
        "maintenance_work_mem": "512MB" if memory > 2048 * megabyte else "128MB",
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
    if sys.platform == "linux":
        # /dev/shm of a root without mounts is a directory on disk, owned by root.
        settings["dynamic_shared_memory_type"] = "sysv" if private_memory else "posix"
    lines = [f"{name} = {value}" for name, value in settings.items()]
    return "\n".join(["# Written by loader at every start.", *lines, ""])


def _is_free(port: int) -> bool:
    """Tell whether a port of this machine can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _choose_port(named: int | None, recorded: int | None, progress: Progress) -> int:
    """Choose where to listen: where we are told to or fail, else where we can."""
    if named is not None:
        if not _is_free(named):
            raise Refused(
                f"port {named} is taken", hint="give another --port, or none to take a free one"
            )
        return named
    first = recorded or DEFAULT_PORT
    candidates: list[int] = [first, *range(DEFAULT_PORT, DEFAULT_PORT + 500)]
    for port in candidates:
        if _is_free(port):
            if port != first:
                progress(f"port {first} is taken; using {port}")
            return port
    raise Refused("no free port found", hint="give one with --port")


def _launch(installation: Installation, named: int | None, progress: Progress) -> int:
    """Start the postmaster and wait until it answers; give the port."""
    base = installation.home
    recorded = _read_json(base / "server.json").get("port")
    for attempt in range(5):
        port = _choose_port(named, recorded if isinstance(recorded, int) else None, progress)
        owner = (installation.uid, installation.gid)
        _write(installation.data / "weighhouse.conf", _settings(installation, port), owner=owner)
        record = {
            "kind": installation.kind,
            "port": port,
            "version": installation.version,
            "bindir": installation.bindir,
            "mounted": installation.mounted,
        }
        _write(base / "server.json", json.dumps(record, indent=1) + "\n", mode=0o644)
        started = time.monotonic()
        with _open_log(installation.log / "start.log") as log:
            arguments = ("start", "--wait", f"--timeout={START_SECONDS}")
            # PGDATA and an inherited log rather than -D and -l: pg_ctl puts those through a shell.
            command = installation.command("pg_ctl", *arguments)
            done = _call(installation, command, output=log).returncode
            log.seek(0)
            said = log.read().decode("utf-8", "replace")
        if done == 0:
            seconds = time.monotonic() - started
            progress(f"started PostgreSQL {installation.version} on port {port}  {seconds:.1f} s")
            return port
        said += _recent_log(installation, started)
        if "could not bind" in said and named is None and attempt < 4:
            continue  # somebody was faster
        raise Refused(
            f"the server does not start: {_reason(said)}",
            detail=f"Its log is in {installation.log}.",
        )
    raise AssertionError("unreachable")


def _recent_log(installation: Installation, since: float) -> str:
    """Read the end of the log that the server wrote since a moment."""
    age = time.monotonic() - since
    text = ""
    for path in installation.log.glob("server-*.log"):
        with suppress(OSError):
            facts = path.lstat()
            if stat.S_ISREG(facts.st_mode) and time.time() - facts.st_mtime <= age + 1:
                text += "\n" + path.read_bytes()[-4000:].decode("utf-8", "replace")
    return text


def _join(base: Path, now: ServerStatus, port: int | None, progress: Progress) -> ServerInfo:
    """Answer a start when the server is running."""
    at = now.port or DEFAULT_PORT
    if port is not None and port != at:
        raise Refused(
            f"the server is already running, on port {at}",
            hint=f"stop it first: loader server stop, then loader server start --port {port}",
        )
    _verify(base, at)
    progress(f"the server is already running on port {at} (pid {now.pid})")
    return ServerInfo(
        dsn=_dsn(base, at),
        port=at,
        pid=now.pid or 0,
        version=now.version or "",
        kind=now.kind or "",
        home=base,
        data=now.data or base / "data",
        started=False,
    )


def _connect(base: Path, port: int, database: str) -> psycopg.Connection[Any]:
    """Connect, with some patience for a server that still recovers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return psycopg.connect(
                _dsn(base, port, database),
                autocommit=True,
                connect_timeout=10,
                # Variables for another server (PGHOSTADDR, PGSSLMODE) have no say.
                hostaddr="127.0.0.1",
                sslmode="prefer",
            )
        except psycopg.OperationalError as error:
            text = str(error).strip()
            if "password" in text:
                raise Refused(
                    f"the password in {base / 'pgpass'} is not the server's",
                    hint="stop the server, delete that file, and start it again",
                ) from error
            if "does not exist" in text or time.monotonic() > deadline:
                raise Refused(
                    "the server was started but does not answer",
                    detail=text.splitlines()[-1] if text else None,
                ) from error
            time.sleep(0.2)


def _create_database(base: Path, port: int) -> None:
    """Create the database, empty; `loader db upgrade` fills it."""
    with _connect(base, port, "postgres") as connection:
        sql = "select from pg_database where datname = %s"
        if connection.execute(sql, (DATABASE,)).fetchone() is None:
            connection.execute(f"create database {DATABASE}")


def _verify(base: Path, port: int) -> None:
    """See that the server answers and has what the product needs."""
    with _connect(base, port, DATABASE) as connection:
        sql = "select name from pg_available_extensions where name = any(%s)"
        found = {str(row[0]) for row in connection.execute(sql, (list(NEEDED_EXTENSIONS),))}
    if missing := [name for name in NEEDED_EXTENSIONS if name not in found]:
        raise Refused(f"the server has no {' and no '.join(missing)}", hint="run loader doctor")


# ------------------------------------------------------------------------------------------------
# Purge


def _check_purge(base: Path) -> None:
    """Refuse to delete what loader did not make."""
    foreign = sorted(entry.name for entry in base.iterdir() if entry.name not in KNOWN)
    if foreign:
        more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
        raise Refused(
            f"{base} holds files that are not the server's: {', '.join(foreign[:5])}{more}",
            hint="move them away, then run again; nothing was deleted",
        )
    root = base / "root"
    if root.is_dir() and any(root.iterdir()) and _built_recipe(root) is None:
        raise Refused(f"{root} was not made by loader", hint="move it away, then run again")


def _purge(base: Path) -> None:
    """Delete everything of ours, the record last: a purge that was killed can be repeated."""
    for name in [*sorted(KNOWN - {"lock", "server.json"}), "server.json", "lock"]:
        path = base / name
        if path.is_dir() or path.is_symlink():
            _remove_tree(path)
        else:
            path.unlink(missing_ok=True)
