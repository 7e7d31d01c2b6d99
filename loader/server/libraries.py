"""What PL/Python imports, installed for the Python of the server."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from pathlib import Path

from loader.errors import Refused
from loader.server import layout
from loader.server.installation import ROOT_PYTHONPATH, Installation
from loader.server.tools import Progress, ask, build, step

# deploy/Dockerfile installs the same.
LIBRARIES = (
    "numpy>=2.1,<3",
    "scikit-learn>=1.7,<2",
    "lightgbm>=4.6,<5",
    "xgboost-cpu>=3.0,<4",
    "prophet>=1.1.7,<2",
    "wasmtime>=50,<60",
)


def install(installation: Installation, lock: int, progress: Progress) -> None:
    """Install the libraries from outside.

    With the pip of this interpreter: the index and certificate settings of the machine apply,
    which a pip inside the root would not know.
    """
    target, python = installation.libraries, installation.python
    wanted = {"libraries": list(LIBRARIES), "python": python, "machine": platform.machine()}
    layout.settle(target)
    if layout.read_json(target / "weighhouse.json") == wanted:
        return
    # A root may have a newer libc than the machine.
    platforms = [
        f"--platform={tag}_{platform.machine()}"
        for tag in ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
        if installation.kind == "root"
    ]
    name = f"{', '.join(LIBRARIES)} for Python {python}"
    try:
        with step(progress, f"installed {name}"), layout.rebuilt(target) as new:
            command = [
                *(*_pip(), "install", "--target", str(new), "--python-version", python),
                *("--implementation", "cp", "--only-binary=:all:", *platforms, *LIBRARIES),
                *("--no-compile", "--no-input", "--disable-pip-version-check", "--no-user"),
            ]
            build(installation.home, command, f"cannot install {name}", lock)
            compile_all(installation, new)
            layout.write(new / "weighhouse.json", json.dumps(wanted))
    except Refused as failure:
        if not (target / "weighhouse.json").exists():
            raise
        progress(f"keeping the older libraries: {failure}")


def has(installation: Installation, name: str) -> bool:
    """Tell whether the Python of a server of the machine finds a module; it is not imported."""
    look = "import importlib.util as u, sys; print(u.find_spec(sys.argv[1]) is not None)"
    paths = ("env", f"PYTHONPATH={installation.libraries}")
    return ask([*paths, f"python{installation.python}", "-c", look, name]).strip() == "True"


def _pip() -> list[str]:
    """Find a pip: the interpreter's own, else any on the machine (it installs for another one)."""
    # -I: a PYTHONPATH or a numpy in the working directory has no say. Settings of pip itself do.
    own = [sys.executable, "-I", "-m", "pip"]
    if ask([*own, "--version"]):
        return own
    if found := shutil.which("pip3") or shutil.which("pip"):
        return [found]
    raise Refused(
        "there is no pip to install the libraries of the server with",
        hint=f"install it: {sys.executable} -m ensurepip, or apt-get install python3-pip",
    )


def compile_all(installation: Installation, path: Path) -> None:
    """Write .pyc files for the server's Python, which may not write here itself.

    A first import is three times as fast with them. They hold for the source whatever its date.
    """
    interpreter = f"python{installation.python}"
    command = [
        interpreter,
        "-I",
        "-m",
        "compileall",
        "-q",
        "-j0",
        "--invalidation-mode",
        "unchecked-hash",
    ]
    if installation.kind == "root":
        seen = Path(ROOT_PYTHONPATH).with_name(path.name)
        ask(["chroot", str(installation.root), *command, str(seen)])
    else:
        ask([*command, str(path)])
