"""Processes of a cluster: which are alive, and how they are ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from loader.errors import Busy
from loader.server.tools import Progress, step

FAST_STOP_SECONDS = 60.0


def read_pid(data: Path) -> tuple[int, int] | None:
    """Read pid and port from postmaster.pid; 0 for what is damaged, None where there is no file."""
    try:
        lines = (data / "postmaster.pid").read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    # An empty file is what a full disk or a crash leaves: there was a server.
    numbers = [int(line) if line.strip().isdigit() else 0 for line in lines] + [0] * 4
    return numbers[0], numbers[3]


def is_ours(pid: int, data: Path) -> bool:
    """Tell whether a live process is a server of this data directory.

    A pid alone says nothing, it may have been given to another process since.
    """
    process = Path(f"/proc/{pid}")
    try:
        try:
            return _works_in(process, data)
        except PermissionError:
            # A server of another user; its owner and name must do.
            return _is_postgres(process) and process.stat().st_uid == data.stat().st_uid
    except (FileNotFoundError, ProcessLookupError):
        if os.path.isdir("/proc/self") or pid <= 1:
            return False
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def _works_in(process: Path, data: Path) -> bool:
    """Tell whether a process is of this cluster.

    Every PostgreSQL process works in its data directory; device and inode are the same in all
    mount namespaces.
    """
    return os.path.samestat((process / "cwd").stat(), data.stat()) and _is_postgres(process)


def _is_postgres(process: Path) -> bool:
    """Tell a server process by its name."""
    return (process / "comm").read_text("utf-8", "replace").startswith("postgres")


def of_cluster(data: Path) -> list[int]:
    """List all live processes of the cluster in this data directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if _works_in(process, data):
                found.append(int(process.name))
    return found


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until something holds, at most so long; tell whether it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _end(
    alive: Callable[[], list[int]], attempts: Sequence[tuple[int, float, str]], progress: Progress
) -> bool:
    """Send signals, with the seconds each has and what is said before; tell whether all ended."""
    for number, seconds, notice in attempts:
        if notice:
            progress(notice)
        for pid in alive():
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if wait(lambda: not alive(), seconds):
            return True
    return False


def stop(pid: int, data: Path, progress: Progress) -> None:
    """Stop a postmaster: sessions are rolled back, everything is written, the process ends.

    By signals, as pg_ctl does it, so that a root that is damaged or gone does not matter.
    """
    hung = "sessions do not end (PL/Python cannot be interrupted); stopping at once"
    attempts = [(signal.SIGINT, FAST_STOP_SECONDS, ""), (signal.SIGQUIT, FAST_STOP_SECONDS, hung)]
    with step(progress, "stopped the server"):
        if not _end(lambda: [pid] if is_ours(pid, data) else [], attempts, progress):
            raise Busy(f"the server does not stop (pid {pid})", hint="look at its log")


def end_orphans(data: Path, progress: Progress) -> None:
    """See off the sessions that outlived their postmaster.

    They hold the shared memory, and no server can start before they are gone. Most notice by
    themselves; one in the middle of a long computation does not. Ending it loses nothing: its
    transaction can no longer commit.
    """
    notice = "ending sessions of a server that was killed"
    attempts = [(0, 5.0, ""), (signal.SIGQUIT, 5.0, notice), (signal.SIGKILL, 5.0, "")]
    if not _end(lambda: of_cluster(data), attempts, progress):
        left = ", ".join(map(str, of_cluster(data)))
        hint = "end them, then run again"
        raise Busy(f"sessions of a killed server do not end: {left}", hint=hint)


def clear_stale(data: Path, progress: Progress) -> None:
    """Remove what a killed server left: sessions, and a postmaster.pid that would stop the next.

    PostgreSQL does not start when the pid in the file is alive, whoever has it now.
    """
    end_orphans(data, progress)
    if read_pid(data) is not None:
        progress("the server was killed last time; it recovers now")
        (data / "postmaster.pid").unlink()
