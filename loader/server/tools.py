"""Programs of the host: asking them, building with them, and telling how it goes."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loader.errors import Refused
from loader.server import layout

Progress = Callable[[str], None]

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What is mounted behind this is seen by the program alone, and goes with it.
PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "private")


def quiet(_: str) -> None:
    """Say nothing."""


@contextmanager
def step(progress: Progress, done: str) -> Iterator[None]:
    """Report a step, when it is done, with its seconds."""
    started = time.monotonic()
    yield
    progress(f"{done}  {time.monotonic() - started:.1f} s")


def environment() -> dict[str, str]:
    """Extend ours: chroot, mount and unshare are in sbin, which is not in everybody's PATH."""
    return {
        **os.environ,
        "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}",
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C.UTF-8",
    }


def ask(command: Sequence[str]) -> str:
    """Run a program and give what it prints; nothing where there is no such program."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            env=environment(),
            umask=0o022,
        ).stdout
    except OSError:
        return ""


def can_mount(base: Path) -> bool:
    """Tell whether a private bind mount is allowed here."""
    probe = 'mount --bind "$0" "$0" && mount -t tmpfs tmpfs "$0" && echo yes'
    return ask([*PRIVATE_MOUNTS, "sh", "-c", probe, str(base)]) == "yes\n"


def build(base: Path, command: Sequence[str], failed: str, lock: int | None = None) -> None:
    """Run a building tool; its output goes to build.log, its reason into the error."""
    path = base / "build.log"
    with layout.create(path) as log:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(),
                umask=0o022,
                pass_fds=() if lock is None else (lock,),
            )
        except OSError as error:
            raise Refused(f"{failed}: {error.strerror}: {command[0]}") from error
    if done.returncode != 0:
        raise Refused(
            f"{failed}: {reason(path.read_text('utf-8', 'replace'))}",
            detail=f"All of it is in {path}.",
            hint="see that the network, the mirror and the proxy settings work (apt-get update,"
            " pip download numpy), then run loader server start again",
        )


def reason(said: str) -> str:
    """Pick the line of a tool's output that says why it failed; without passwords."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    marks = r"^(E: |ERROR|FATAL|PANIC|Err:|error:)|FATAL:|PANIC:|could not|[Nn]o space left"
    # mmdebstrap and apt end with lines about themselves; the cause came before.
    noise = r"apt-get .* failed|mmdebstrap failed|Some index files failed"
    telling = [line for line in lines if re.search(marks, line) and not re.search(noise, line)]
    chosen = (telling or lines or ["no message"])[-1]
    return re.sub(r"//[^/\s@]*@", "//", chosen)[:300]
