"""The home of the server: what lies in it, and how that is read, replaced and deleted."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from loader.errors import Busy, Refused

ROLE = DATABASE = "weighhouse"
LOCK_WAIT_SECONDS = 600.0

# In the order in which they are purged: the record last, so that a purge that was killed can be
# repeated.
KNOWN = (
    *("data", "data.new", "root", "root.new", "root.old", "python", "python.new", "python.old"),
    *("log", "build.log", "apt.conf", "apt.conf.new", "pgpass", "pgpass.new"),
    *("server.json.new", "server.json", "lock"),
)


def home() -> Path:
    """Find the directory everything lives in.

    $WEIGHHOUSE_HOME; in a source checkout `.weighhouse` beside pyproject.toml; else the user's
    data directory.
    """
    if named := os.environ.get("WEIGHHOUSE_HOME"):
        return Path(os.path.abspath(Path(named).expanduser()))
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        return checkout / ".weighhouse"
    shared = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification says to ignore a relative path.
    base = Path(shared) if os.path.isabs(shared) else Path.home() / ".local" / "share"
    return base / "weighhouse"


def check_home(base: Path) -> None:
    """Refuse directories that belong to somebody."""
    own = "set WEIGHHOUSE_HOME to a directory of its own"
    if base in (Path("/"), Path.home()):
        raise Refused(f"{base} cannot be the home of a server", hint=own)
    data = base / "data"
    if data.is_dir() and any(data.iterdir()) and not (data / "weighhouse.conf").exists():
        raise Refused(f"{data} was not made by loader", hint=own)


def data_directory(base: Path) -> Path | None:
    """Find the cluster; None where there is none."""
    for path in (base / "data", base / "root" / "srv" / "data"):
        if (path / "PG_VERSION").exists():
            return path
    return None


def record(base: Path) -> dict[str, Any]:
    """Read what was noted of the server that was started last."""
    return read_json(base / "server.json")


def recorded_kind(base: Path) -> str:
    """Tell the kind of an existing server, also when its record was lost."""
    return record(base).get("kind") or ("root" if (base / "root").is_dir() else "system")


def recipe_of(root: Path) -> str | None:
    """Read the recipe of a complete root; None where it is missing or half built."""
    return read_json(root / "opt" / "weighhouse" / "recipe.json").get("recipe")


def password(base: Path) -> str | None:
    """Read the password of the role; None where the file is missing or damaged."""
    parts = first_line(base / "pgpass").split(":")
    return parts[4] if len(parts) == 5 and parts[4] else None


def dsn(base: Path, port: int) -> str:
    """Compose the connection string, without a password."""
    return f"postgresql://{ROLE}@127.0.0.1:{port}/{DATABASE}?passfile={quote(str(base / 'pgpass'))}"


def first_line(path: Path) -> str:
    """Read the first line of a small file; empty where there is none."""
    try:
        return path.read_text("utf-8", "replace").split("\n", 1)[0].strip()
    except FileNotFoundError:
        return ""


def read_json(path: Path) -> dict[str, Any]:
    """Read an object; empty where the file is missing or damaged."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, TypeError, ValueError):
        return {}


def create(path: Path) -> IO[bytes]:
    """Make a file anew, private, and never through a link.

    Directories of the server belong to a user that must not be able to lead root elsewhere.
    """
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def write(path: Path, text: str, owner: tuple[int, int] | None = None) -> None:
    """Replace a file in one step."""
    new = path.with_name(path.name + ".new")
    with create(new) as file:
        if owner is not None:
            os.fchown(file.fileno(), *owner)
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


@contextmanager
def rebuilt(path: Path) -> Iterator[Path]:
    """Give a place to build a directory anew; it replaces the old one when the block ends well."""
    new, old = path.with_name(f"{path.name}.new"), path.with_name(f"{path.name}.old")
    try:
        yield new
    except BaseException:
        remove(new)
        raise
    if path.exists():
        path.rename(old)
    new.rename(path)
    remove(old)


def settle(path: Path) -> None:
    """Mend what a rebuilding that was killed left."""
    new, old = path.with_name(f"{path.name}.new"), path.with_name(f"{path.name}.old")
    if old.exists() and not path.exists():
        old.rename(path)  # killed between the two renames
    remove(old)
    remove(new)


def remove(path: Path) -> None:
    """Delete a file, a link or a tree of ours; never what is mounted in it."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    with suppress(FileNotFoundError):
        for line in Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines():
            point = line.split(" ")[4].replace("\\040", " ")
            if Path(point).is_relative_to(path.resolve()):
                raise Refused(f"{point} is mounted", hint="unmount it, then run again")
    for _ in range(10):
        # A tool that was just interrupted may still be writing.
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.5)
    shutil.rmtree(path)


def check_purge(base: Path) -> None:
    """Refuse to delete what loader did not make."""
    foreign = sorted(entry.name for entry in base.iterdir() if entry.name not in KNOWN)
    if foreign:
        raise Refused(
            f"{base} holds files that are not the server's, such as {', '.join(foreign[:5])}",
            hint="move them away, then run again; nothing was deleted",
        )
    root = base / "root"
    if root.is_dir() and any(root.iterdir()) and not recipe_of(root) and not record(base):
        raise Refused(f"{root} was not made by loader", hint="move it away, then run again")


@contextmanager
def locked(base: Path, progress: Callable[[str], None]) -> Iterator[int]:
    """Let one process at a time change what is in `home`.

    Building tools inherit the descriptor: where a loader was killed and its tool works on, the
    next one waits for it.
    """
    path = base / "lock"
    started, told = time.monotonic(), False
    while True:
        base.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                working = f"another loader works on this server ({file.read(100).strip()})"
            else:
                # A purge may have deleted the file that we opened: then it locks nothing.
                if os.fstat(file.fileno()).st_nlink == 0:
                    continue
                since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                file.truncate(0)
                file.write(f"pid {os.getpid()} since {since}\n")
                file.flush()
                yield file.fileno()
                return
        waited = time.monotonic() - started
        if waited > LOCK_WAIT_SECONDS:
            raise Busy(working, hint="wait for it, or end it, then run again")
        if waited > 0.3 and not told:
            told = True
            progress(f"{working}; waiting")
        time.sleep(0.2)
