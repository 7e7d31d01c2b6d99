"""The binaries of a server, where their files lie, and how they are run."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from loader.server.tools import PRIVATE_MOUNTS, SYSTEM_PATH

# One thread a backend: a connection is the unit of parallelism, and the default is one per core.
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
ROOT_PYTHONPATH = "/opt/weighhouse/python"

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


@dataclass(frozen=True)
class Installation:
    """Server binaries, and how they are run."""

    kind: Literal["system", "root"]
    bindir: str
    version: str
    python: str
    """The version of Python that PL/Python has."""
    home: Path
    owner: tuple[int, int]
    mounted: bool = False
    """The data are kept outside of the root, and mounted into it."""

    @property
    def major(self) -> int:
        """The major version of PostgreSQL."""
        return int(self.version.split(".")[0])

    @property
    def root(self) -> Path:
        """The Debian root, where there is one."""
        return self.home / "root"

    @property
    def base(self) -> Path:
        """The directory that data and log are in."""
        return self.root / "srv" if self.kind == "root" and not self.mounted else self.home

    @property
    def data(self) -> Path:
        """The data directory, as seen from outside."""
        return self.base / "data"

    @property
    def log(self) -> Path:
        """The directory of the logs, as seen from outside."""
        return self.base / "log"

    @property
    def libraries(self) -> Path:
        """Where the server's Python finds the libraries, as seen from outside."""
        if self.kind == "root":
            return self.root / ROOT_PYTHONPATH.lstrip("/")
        return self.home / "python"

    def has_library(self, name: str) -> bool:
        """Tell whether the server can preload a library."""
        # pg_config is often not installed; Debian's place, and that of everyone else.
        places = (Path(self.bindir).parent / "lib", Path(self.bindir).parent / "lib/postgresql")
        root = self.root if self.kind == "root" else Path("/")
        return any((root / str(p).lstrip("/") / f"{name}.so").is_file() for p in places)

    def seen(self, path: Path) -> str:
        """Translate a path of data or log to what the server calls it."""
        if self.kind == "system":
            return str(path)
        return f"/srv/{'data' if self.mounted and path.name == 'data.new' else path.name}"

    def environment(self, data: Path) -> dict[str, str]:
        """Give the server a clean environment: nothing of the caller's reaches it."""
        return {
            "PATH": f"{self.bindir}:{SYSTEM_PATH}",
            "PGDATA": self.seen(data),
            "PYTHONPATH": ROOT_PYTHONPATH if self.kind == "root" else str(self.libraries),
            "TZ": "UTC",
            "LANG": "C.UTF-8",
            **THREADS,
        }

    def run(
        self,
        program: str,
        *arguments: str,
        data: Path | None = None,
        text: str = "",
        output: IO[bytes] | int = subprocess.PIPE,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the server as its user."""
        data = data or self.data
        uid, gid = self.owner
        command = [f"{self.bindir}/{program}", *arguments]
        if self.kind == "root":
            user = (f"--userspec={uid}:{gid}", f"--groups={gid}")
            command = ["chroot", *user, str(self.root), *command]
        if self.mounted:
            places = (str(self.root), str(data), str(self.log))
            command = [*PRIVATE_MOUNTS, "sh", "-c", MOUNT, "sh", *places, *command]
        switch = os.geteuid() == 0 and self.kind == "system"
        return subprocess.run(
            command,
            input=text,
            stdout=output,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=self.environment(data),
            cwd="/",
            umask=0o077,
            user=uid if switch else None,
            group=gid if switch else None,
            extra_groups=[gid] if switch else None,
        )
