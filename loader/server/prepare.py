"""Which server: one of the machine, or one in a root of its own."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from loader.errors import Refused
from loader.server import layout, libraries, root, system
from loader.server.installation import Installation
from loader.server.system import LEAST_MAJOR
from loader.server.tools import Progress


def prepare(
    base: Path, lock: int, progress: Progress, extras: Collection[str] = ()
) -> Installation:
    """Find or build the binaries and libraries, and put the data where they see them."""
    data = layout.data_directory(base)
    major = int(layout.first_line(data / "PG_VERSION") or 0) if data else None
    kind = layout.recorded_kind(base) if data else None
    result = None if kind == "root" else system.find(base, major)
    if result is None:
        if kind == "system":
            raise Refused(
                f"the data in {data} are of PostgreSQL {major}, which is not here any more",
                hint=f"install PostgreSQL {major} with timescaledb and plpython3u again",
            )
        _check_build(kind)
        root.ensure(base, major, lock, progress, extras)
        result = root.installation(base)
        if major not in (None, result.major):
            raise Refused(
                f"the data in {data} are of PostgreSQL {major}, the server is {result.major}",
                hint="dump them with the old server and restore them into a new one",
            )
        root.move_data(base, into_root=not result.mounted)
        for name in ("data", "log"):
            (result.root / "srv" / name).mkdir(exist_ok=True)
    _own_directories(result)
    libraries.install(result, lock, progress)
    if "neural" in extras and result.kind == "system" and not libraries.has(result, "torch"):
        # What the machine has is its owner's: nothing is installed there.
        progress(
            f"torch is missing: install it for Python {result.python}, on Debian and Ubuntu with"
            f" apt-get install {' '.join(root.EXTRAS['neural'])}"
        )
    return result


def _check_build(kind: str | None) -> None:
    """Refuse where a root can neither be built nor used."""
    if os.geteuid() == 0 and system.is_debian():
        return
    if kind == "root" and os.geteuid() != 0:
        raise Refused(
            "this server was made by root",
            hint="run as root, or set WEIGHHOUSE_HOME to a directory of your own",
        )
    raise Refused(
        f"there is no PostgreSQL >= {LEAST_MAJOR} with timescaledb and plpython3u here",
        detail="Building one needs root, on Debian or Ubuntu."
        if os.geteuid() != 0
        else "Building one works on Debian and Ubuntu only.",
        hint=f"install PostgreSQL >= {LEAST_MAJOR} with timescaledb and plpython3u; or run"
        " loader server start as root (Debian, Ubuntu); or docker compose up -d; or name a"
        " server with --dsn",
    )


def _own_directories(installation: Installation) -> None:
    """Give data and log to the user of the server, whose number may change with the root."""
    installation.log.mkdir(mode=0o700, exist_ok=True)
    for path in (installation.data, installation.log):
        if path.exists() and path.stat().st_uid != installation.owner[0]:
            for directory, names, files in os.walk(path):
                for name in (*names, *files):
                    os.lchown(os.path.join(directory, name), *installation.owner)
            os.chown(path, *installation.owner)
