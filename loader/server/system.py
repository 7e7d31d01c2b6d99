"""Servers that the machine has."""

from __future__ import annotations

import glob
import os
import platform
import pwd
import re
import shutil
import sys
from pathlib import Path

from loader.errors import Refused
from loader.server import layout
from loader.server.installation import Installation
from loader.server.tools import ask

LEAST_MAJOR = 16
NEEDED_EXTENSIONS = ("timescaledb", "plpython3u")
PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


def is_debian() -> bool:
    """Tell whether this is Debian, Ubuntu or one of their children."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return bool({"debian", "ubuntu"} & {release.get("ID"), *release.get("ID_LIKE", "").split()})


def bindirs() -> list[str]:
    """List the places where server binaries may be."""
    found = [path for place in PLACES for path in glob.glob(place)]
    if tool := shutil.which("postgres"):
        found.append(os.path.dirname(os.path.realpath(tool)))
    return found


def version_of(*command: str) -> str:
    """Ask a postgres binary for its version; empty where it does not answer."""
    match = re.search(r"\) (\d+(?:\.\d+)?)", ask([*command, "--version"]))
    return match.group(1) if match else ""


def find(base: Path, major: int | None) -> Installation | None:
    """Find the newest suitable server of this machine (of one major version, where data exist)."""
    found: list[tuple[int, str, str]] = []
    for bindir in bindirs():
        version = version_of(f"{bindir}/postgres")
        number = int(version.split(".")[0] or 0)
        share = _pg_config(bindir, "--sharedir", f"/usr/share/postgresql/{number}")
        controls = [Path(share, "extension", f"{name}.control") for name in NEEDED_EXTENSIONS]
        fits = number >= LEAST_MAJOR and major in (None, number)
        if fits and all(path.is_file() for path in controls):
            found.append((number, version, bindir))
    if not found:
        return None
    number, version, bindir = max(found)
    python = _python(_pg_config(bindir, "--pkglibdir", f"/usr/lib/postgresql/{number}/lib"))
    return Installation("system", bindir, version, python, base, _owner(base))


def _pg_config(bindir: str, option: str, usual: str) -> str:
    """Ask pg_config for a directory; it is often not installed, so there is a usual answer."""
    return ask([f"{bindir}/pg_config", option]).strip() or usual


def _python(libraries: str) -> str:
    """Find the Python that PL/Python is linked with."""
    match = re.search(r"libpython(3\.\d+)", ask(["ldd", f"{libraries}/plpython3.so"]))
    return match.group(1) if match else f"3.{sys.version_info.minor}"


def _owner(base: Path) -> tuple[int, int]:
    """Choose the user the server runs as: us; never root."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if (data := layout.data_directory(base)) is not None and data.stat().st_uid != 0:
        return data.stat().st_uid, data.stat().st_gid
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        raise Refused(
            "PostgreSQL does not run as root, and there is no user postgres",
            hint="run as another user, or create the user postgres",
        ) from None
    return entry.pw_uid, entry.pw_gid
