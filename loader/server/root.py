"""A small Debian root with a server in it, built by the apt of the host."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from loader.errors import Refused
from loader.server import layout, system
from loader.server.installation import Installation
from loader.server.tools import PRIVATE_MOUNTS, Progress, ask, build, can_mount, step

SUITE = "trixie"
SUITE_NAME = "Debian 13"
ROOT_MAJOR = 17
PACKAGES = (
    f"postgresql-{ROOT_MAJOR}",
    f"postgresql-plpython3-{ROOT_MAJOR}",
    f"postgresql-{ROOT_MAJOR}-timescaledb",
    f"postgresql-{ROOT_MAJOR}-cron",
    "python3",
    # What LightGBM and scikit-learn share work with.
    "libgomp1",
)
# What a server may have beside that, by what it is for. torch is here because the registry's build
# of it is several times as large; OpenBLAS trains nine times as fast as the plain BLAS it replaces.
EXTRAS = {"neural": ("python3-torch", "libopenblas0-pthread")}


def packages(extras: Collection[str]) -> tuple[str, ...]:
    """List what a root with these extras is made from."""
    return (*PACKAGES, *(package for name in sorted(extras) for package in EXTRAS[name]))


def recipe(extras: Collection[str] = ()) -> str:
    """Name what a root is made from: another name means another root."""
    made_from = ("1", SUITE, platform.machine(), *packages(extras))
    return hashlib.sha256("\0".join(made_from).encode()).hexdigest()


def extras_of(root: Path) -> frozenset[str]:
    """Read which extras a root was built with; none where there is no complete root."""
    made = layout.read_json(root / "opt" / "weighhouse" / "recipe.json")
    return frozenset(made.get("extras", ())) & EXTRAS.keys()


def installation(base: Path) -> Installation:
    """Describe the server in the root."""
    root = base / "root"
    with suppress(OSError, StopIteration):
        bindir = next(root.glob("usr/lib/postgresql/*/bin")).relative_to(root)
        owner = (root / "var/lib/postgresql").stat()
        if version := system.version_of("chroot", str(root), f"/{bindir}/postgres"):
            return Installation(
                kind="root",
                bindir=f"/{bindir}",
                version=version,
                python=os.readlink(root / "usr/bin/python3").removeprefix("python"),
                home=base,
                owner=(owner.st_uid, owner.st_gid),
                mounted=can_mount(base),
            )
    raise Refused(
        f"the server in {root} does not run",
        hint=f"delete {root / 'opt/weighhouse/recipe.json'} and start again: the root is built"
        " anew, the data are kept",
    )


def ensure(
    base: Path,
    major: int | None,
    lock: int,
    progress: Progress,
    extras: Collection[str] = (),
) -> None:
    """See that there is a complete root: the one that is there, or a new one.

    `extras` are added to those the root has: what was asked for once stays.
    """
    root = base / "root"
    layout.settle(root)
    existing = layout.recipe_of(root)
    had = extras_of(root)
    wanted = had | frozenset(extras)
    if existing == recipe(wanted):
        return
    if existing is not None and major not in (None, ROOT_MAJOR):
        progress(f"keeping the older root: the data are of PostgreSQL {major}")
        return
    try:
        with layout.rebuilt(root) as new:
            build_root(base, new, lock, progress, wanted)
            move_data(base, into_root=False)
    except Refused as failure:
        if existing is None or wanted != had:
            raise
        # An upgrade of loader on a machine without network must not take the server away.
        progress(f"keeping the older root: {failure}")


def move_data(base: Path, *, into_root: bool) -> None:
    """Rename the data directory to the place inside or outside of the root, where it is not."""
    source, target = base / "data", base / "root" / "srv" / "data"
    if not into_root:
        source, target = target, source
    if not (source / "PG_VERSION").exists():
        return
    if (target / "PG_VERSION").exists():
        raise Refused(
            f"there are two data directories, {source} and {target}",
            hint="move one of them away, then run again",
        )
    source.rename(target)


def build_root(
    base: Path, new: Path, lock: int, progress: Progress, extras: Collection[str] = ()
) -> None:
    """Build a root with mmdebstrap, which runs the apt of the host: its settings apply."""
    if not ask(["mmdebstrap", "--version"]):
        _install_mmdebstrap(base, progress)
    inside = " and ".join((f"PostgreSQL {ROOT_MAJOR}", *sorted(extras)))
    progress(f"building a {SUITE_NAME} root with {inside} in {base}")
    settings = base / "apt.conf"
    layout.write(settings, apt_settings())
    command = [
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"),
        *(
            f"--include={','.join(packages(extras))}",
            "--dpkgopt=force-unsafe-io",
            f"--aptopt={settings}",
        ),
        *(SUITE, str(new), *debian_sources()),
    ]
    if can_mount(base):
        # What it mounts goes with it, also when it is killed.
        command = [*PRIVATE_MOUNTS, *command]
    try:
        with step(progress, f"built the {SUITE_NAME} root"):
            build(base, command, f"cannot build a {SUITE_NAME} root", lock)
    finally:
        settings.unlink()
    # Settings of the host, possibly with the password of a proxy, are not for the root.
    (new / "etc" / "apt" / "apt.conf.d" / "99mmdebstrap").unlink(missing_ok=True)
    (new / "opt" / "weighhouse").mkdir(parents=True)
    made = {
        "recipe": recipe(extras),
        "packages": packages(extras),
        "extras": sorted(extras),
        "suite": SUITE,
    }
    layout.write(new / "opt" / "weighhouse" / "recipe.json", json.dumps(made, indent=1))


def _install_mmdebstrap(base: Path, progress: Progress) -> None:
    """Install mmdebstrap on the host: the one thing that is done outside of `home`."""
    progress("installing mmdebstrap with apt-get (the only change outside of the server's home)")
    wanted = ["mmdebstrap", "debian-archive-keyring"]
    install = ["apt-get", "install", "-y", "--no-install-recommends", *wanted]
    failed = "cannot install mmdebstrap"
    with step(progress, "installed mmdebstrap"):
        try:
            build(base, install, failed)
        except Refused:
            build(base, ["apt-get", "update"], failed)
            build(base, install, failed)


def debian_sources() -> list[str]:
    """Compose sources for the suite from the mirrors the host is configured with.

    Empty, which means mmdebstrap's own choice, where the host names no mirror of Debian.
    """
    rows = index_targets("--format", "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)")
    if not any(row.startswith("Debian|") for row in rows):
        # No package lists yet, so the origin is not known; the path tells.
        options = ("--no-release-info", "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)")
        bare = index_targets(*options)
        rows = [f"Debian|{row}" for row in bare if re.search(r"/debian(-security)?/?\|", row)]
    result = set()
    for row in rows:
        origin, uri, release, component = row.split("|")
        if (origin, component) == ("Debian", "main"):
            ending = next(end for end in ("-security", "-updates", "") if release.endswith(end))
            result.add(f"deb {uri.rstrip('/')} {SUITE}{ending} main")
    # Without the archive itself the others are of no use.
    return sorted(result) if any(line.endswith(f" {SUITE} main") for line in result) else []


def index_targets(*options: str) -> Sequence[str]:
    """Ask apt where its indexes come from."""
    answer = ask(["apt-get", "indextargets", *options, "Created-By: Packages"])
    return [line for line in answer.splitlines() if "cdrom:" not in line]


def apt_settings() -> str:
    """Collect how the host's apt reaches its mirrors: proxies, certificates, clocks."""
    wanted = (
        r"^Acquire::(http|https|Retries|ForceIPv[46]|Check-Valid-Until|Check-Date|Max-ValidTime)\b"
    )
    lines = [line for line in ask(["apt-config", "dump"]).splitlines() if re.match(wanted, line)]
    return "".join(f"{line}\n" for line in lines if not line.endswith(' "";'))
