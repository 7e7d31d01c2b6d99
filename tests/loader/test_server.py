"""The embedded server: its small decisions with fakes, and its whole life once, for real."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import conninfo

from loader import doctor, schema, server
from loader.errors import Busy, ConnectionFailed, Refused, UsageError
from loader.server import cluster as clusters
from loader.server import layout, libraries, prepare, processes, root, system, tools
from loader.server.installation import Installation

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, with a space in its name."""
    path = tmp_path / "a home"
    monkeypatch.setenv("WEIGHHOUSE_HOME", str(path))
    return path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def cluster(path: Path, major: str = "17") -> Path:
    """Make what looks like a data directory of ours."""
    path.mkdir(parents=True)
    (path / "PG_VERSION").write_text(f"{major}\n")
    (path / "weighhouse.conf").write_text("")
    return path


def installation(home: Path, **changes: object) -> Installation:
    """Describe a server in a root, run by us."""
    facts: dict[str, object] = {
        "kind": "root",
        "bindir": "/usr/lib/postgresql/17/bin",
        "version": "17.6",
        "python": "3.13",
        "home": home,
        "owner": (os.geteuid(), os.getegid()),
        "mounted": True,
    }
    return Installation(**{**facts, **changes})  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------- home


def test_home_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEIGHHOUSE_HOME", str(tmp_path / "x" / ".." / "y"))
    assert server.home() == tmp_path / "y"


def test_home_is_in_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEIGHHOUSE_HOME", raising=False)
    assert server.home() == CHECKOUT / ".weighhouse"


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("/shared", "/shared/weighhouse"), ("relative", "~/.local/share/weighhouse")],
)
def test_home_of_an_installed_loader_is_the_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, expected: str
) -> None:
    monkeypatch.delenv("WEIGHHOUSE_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", variable)
    file = tmp_path / "site-packages/loader/server/layout.py"
    monkeypatch.setattr(layout, "__file__", str(file))
    assert server.home() == Path(expected).expanduser()


@pytest.mark.parametrize("path", ["/", "~"])
def test_home_of_somebody_is_refused(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("WEIGHHOUSE_HOME", str(Path(path).expanduser()))
    for action in (server.start, lambda: server.stop(purge=True)):
        with pytest.raises(Refused) as caught:
            action()
        assert caught.value.hint


def test_a_data_directory_of_somebody_is_refused(home: Path) -> None:
    (home / "data").mkdir(parents=True)
    (home / "data" / "thesis.txt").write_text("years of work")
    with pytest.raises(Refused):
        server.start()
    with pytest.raises(Refused):
        server.stop(purge=True)
    assert (home / "data" / "thesis.txt").exists()


def test_unwritable_home_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(home))

    monkeypatch.setattr(Path, "mkdir", deny)
    with pytest.raises(Refused) as caught:
        server.start()
    assert str(home) in str(caught.value)
    assert caught.value.hint


# ---------------------------------------------------------------------------------------- password


def test_dsn_names_the_password_file_and_not_the_password(home: Path) -> None:
    cluster(home / "data")
    (home / "server.json").write_text(json.dumps({"port": 5439, "kind": "root"}))
    (home / "pgpass").write_text("127.0.0.1:*:*:weighhouse:secret\n")
    parts = conninfo.conninfo_to_dict(server.dsn())
    assert parts == {
        "host": "127.0.0.1",
        "port": "5439",
        "user": "weighhouse",
        "dbname": "weighhouse",
        "passfile": str(home / "pgpass"),
    }
    assert layout.password(home) == "secret"


def test_dsn_without_a_server_says_what_to_do(home: Path) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        server.dsn()
    assert caught.value.exit_code == 3
    assert "server start" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["", "\n", "127.0.0.1:*:*:weighhouse:\n", "nonsense"])
def test_a_damaged_password_file_counts_as_missing(home: Path, text: str) -> None:
    home.mkdir()
    (home / "pgpass").write_text(text)
    assert layout.password(home) is None


def test_files_are_replaced_whole_and_private(home: Path) -> None:
    home.mkdir()
    elsewhere = home / "elsewhere"
    elsewhere.write_text("theirs")
    (home / "pgpass").symlink_to(elsewhere)
    layout.write(home / "pgpass", "ours")
    assert (home / "pgpass").read_text() == "ours"
    assert (home / "pgpass").stat().st_mode & 0o777 == 0o600
    assert elsewhere.read_text() == "theirs"


# ------------------------------------------------------------------------------------------- ports


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_impossible_port_is_a_usage_error(home: Path, port: int) -> None:
    with pytest.raises(UsageError):
        server.start(port)


def test_a_named_port_that_is_taken_is_refused(taken: int) -> None:
    with pytest.raises(Refused) as caught:
        clusters.choose_port(taken, None, tools.quiet)
    assert str(taken) in str(caught.value)
    assert caught.value.hint


def test_the_next_free_port_is_used_and_said(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    assert clusters.choose_port(None, taken, said.append) != taken
    assert str(taken) in said[0]
    monkeypatch.setattr(clusters, "is_free", lambda port: port >= server.DEFAULT_PORT + 3)
    assert clusters.choose_port(None, None, tools.quiet) == server.DEFAULT_PORT + 3


def test_the_port_of_last_time_is_used_again() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert clusters.choose_port(None, port, tools.quiet) == port


# ------------------------------------------------------------------------------------------ status


def test_nothing_is_absent_and_stopping_it_is_no_error(home: Path) -> None:
    assert server.status().state == "absent"
    said: list[str] = []
    assert server.stop(progress=said.append) is False
    assert said
    assert not home.exists()


def test_a_pid_of_another_process_is_stale(home: Path) -> None:
    data = cluster(home / "data")
    assert server.status().state == "stopped"
    # We are alive, and no server.
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n0\n5439\n\n127.0.0.1\n")
    now = server.status()
    assert (now.state, now.pid, now.kind) == ("stale", None, "system")
    said: list[str] = []
    processes.clear_stale(data, said.append)
    assert not (data / "postmaster.pid").exists()
    assert said


@pytest.mark.parametrize("text", ["", "\n", "garbage\n", "1\n"])
def test_a_damaged_pid_file_is_stale(home: Path, text: str) -> None:
    data = cluster(home / "data")
    (data / "postmaster.pid").write_text(text)
    assert server.status().state == "stale"
    assert server.stop() is False


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_process_is_known_by_where_it_works(tmp_path: Path) -> None:
    data = cluster(tmp_path / "data")
    named = tmp_path / "postgres"
    named.symlink_to(shutil.which("sleep") or "/bin/sleep")
    with subprocess.Popen([named, "60"], cwd=data) as process:
        try:
            assert processes.wait(lambda: processes.is_ours(process.pid, data), 5)
            assert not processes.is_ours(process.pid, tmp_path)
            assert processes.of_cluster(data) == [process.pid]
        finally:
            process.kill()


def test_a_damaged_record_is_not_fatal(home: Path) -> None:
    cluster(home / "data")
    (home / "server.json").write_text('{"port": 54')
    now = server.status()
    assert (now.state, now.port, now.version) == ("stopped", None, "17")


# -------------------------------------------------------------------------------------------- lock


def test_the_second_waits_for_the_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    order: list[str] = []
    entered = threading.Event()

    def first() -> None:
        with layout.locked(home, tools.quiet):
            entered.set()
            time.sleep(0.6)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(5)
    with layout.locked(home, order.append):
        order.append("second")
    thread.join()
    assert f"pid {os.getpid()}" in order[0]
    assert order[1:] == ["first", "second"]


def test_the_wait_for_the_lock_ends(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    monkeypatch.setattr(layout, "LOCK_WAIT_SECONDS", 0.3)
    with (
        layout.locked(home, tools.quiet),
        pytest.raises(Busy) as caught,
        layout.locked(home, tools.quiet),
    ):
        pass
    assert caught.value.exit_code == 6


def test_a_lock_that_was_purged_is_not_held(home: Path) -> None:
    home.mkdir()
    with layout.locked(home, tools.quiet):
        (home / "lock").unlink()
        # The file is another one now, and free.
        with layout.locked(home, tools.quiet):
            assert (home / "lock").exists()


# ------------------------------------------------------------------------------------ which server


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a server, whoever runs this."""
    monkeypatch.setattr(system, "bindirs", list)
    monkeypatch.setattr(root, "build_root", lambda *_: pytest.fail("built a root"))


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(("uid", "debian"), [(1000, True), (1000, False), (0, False)])
def test_where_nothing_can_be_built_it_says_what_can_be_done(
    home: Path, monkeypatch: pytest.MonkeyPatch, uid: int, debian: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(system, "is_debian", lambda: debian)
    with pytest.raises(Refused) as caught:
        server.start()
    assert caught.value.exit_code == 4
    for way in ("install", "as root", "docker compose", "--dsn"):
        assert way in (caught.value.hint or "")


@pytest.mark.usefixtures("bare")
def test_a_server_made_by_root_needs_root(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(home / "data")
    (home / "server.json").write_text(json.dumps({"kind": "root", "port": 5439}))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Refused, match="root"):
        server.start()


@pytest.mark.usefixtures("bare")
def test_data_of_a_server_that_is_gone_are_named(home: Path) -> None:
    cluster(home / "data", "16")
    (home / "server.json").write_text(json.dumps({"kind": "system", "port": 5439}))
    with pytest.raises(Refused, match="16") as caught:
        server.start()
    assert caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="the choice is made as root")
def test_data_of_another_major_version_are_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = cluster(home / "data", "16")
    (home / "server.json").write_text(json.dumps({"kind": "root", "port": 5439}))
    monkeypatch.setattr(system, "is_debian", lambda: True)
    monkeypatch.setattr(root, "ensure", lambda *_: None)
    monkeypatch.setattr(root, "installation", installation)
    with pytest.raises(Refused, match=r"PostgreSQL 16, the server is 17"):
        server.start()
    assert (data / "PG_VERSION").read_text() == "16\n"


@pytest.mark.usefixtures("bare")
def test_a_small_disk_is_refused_before_anything_is_built(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(home.parent)._replace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(Refused, match=r"1\.0 GB"):
        server.start()


def fake_binaries(path: Path, version: str, extensions: tuple[str, ...]) -> str:
    """Make a bindir of a server that answers --version and --sharedir."""
    share = path / "share" / "extension"
    share.mkdir(parents=True)
    for name in extensions:
        (share / f"{name}.control").write_text("")
    answers = {"postgres": f"postgres (PostgreSQL) {version}", "pg_config": str(share.parent)}
    for name, answer in answers.items():
        (path / name).write_text(f'#!/bin/sh\necho "{answer}"\n')
        (path / name).chmod(0o755)
    return str(path)


def test_the_newest_complete_server_of_the_machine_is_used(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = server.NEEDED_EXTENSIONS
    bindirs = [
        fake_binaries(tmp_path / "15", "15.9", both),
        fake_binaries(tmp_path / "16", "16.4", both),
        fake_binaries(tmp_path / "17", "17.2 (Debian 17.2-1)", both),
        fake_binaries(tmp_path / "18", "18.0", both[:1]),
        str(tmp_path / "missing"),
    ]
    monkeypatch.setattr(system, "bindirs", lambda: bindirs)
    monkeypatch.setattr(system, "_owner", lambda _: (1, 1))
    found = system.find(home, None)
    assert found is not None
    assert (found.kind, found.major, found.version) == ("system", 17, "17.2")
    older = system.find(home, 16)
    assert older is not None
    assert older.version == "16.4"
    assert system.find(home, 15) is None


def test_the_server_gets_a_clean_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    environment = installation(home).environment(home / "data")
    assert "PGPASSWORD" not in environment
    assert environment["OMP_NUM_THREADS"] == environment["OPENBLAS_NUM_THREADS"] == "1"
    assert environment["PYTHONPATH"] == "/opt/weighhouse/python"
    assert (environment["TZ"], environment["LANG"]) == ("UTC", "C.UTF-8")


@pytest.mark.parametrize(
    ("changes", "data", "seen"),
    [
        ({"mounted": True}, "data", "/srv/data"),
        ({"mounted": False}, "root/srv/data", "/srv/data"),
        ({"kind": "system", "mounted": False}, "data", None),
    ],
)
def test_where_the_data_lie(
    home: Path, changes: dict[str, object], data: str, seen: str | None
) -> None:
    made = installation(home, **changes)
    assert made.data == home / data
    assert made.environment(made.data)["PGDATA"] == (seen or str(made.data))
    assert made.seen(made.log) == ("/srv/log" if seen else str(made.log))


def test_data_move_with_what_the_machine_allows_and_survive_the_root(home: Path) -> None:
    (home / "root" / "srv" / "data").mkdir(parents=True)
    cluster(home / "data")
    (home / "data" / "row").write_text("kept")
    inside = installation(home, mounted=False)
    root.move_data(home, into_root=True)
    assert (home / "root/srv/data/row").read_text() == "kept"
    assert server.status().data == inside.data
    root.move_data(home, into_root=False)
    shutil.rmtree(home / "root")
    assert (home / "data" / "row").read_text() == "kept"


def test_two_data_directories_are_never_merged(home: Path) -> None:
    cluster(home / "data")
    cluster(home / "root" / "srv" / "data")
    with pytest.raises(Refused) as caught:
        root.move_data(home, into_root=True)
    assert caught.value.hint


# ---------------------------------------------------------------------------------------- building


@pytest.mark.usefixtures("home")
def test_a_failed_build_leaves_the_reason_and_nothing_else(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    monkeypatch.setattr(root, "can_mount", lambda _: False)
    monkeypatch.setattr(root, "debian_sources", list)
    monkeypatch.setattr(root, "apt_settings", str)
    programs = home.parent / "programs"
    programs.mkdir()
    (programs / "mmdebstrap").write_text(
        "#!/bin/sh\n"
        f'mkdir -p "{home}/root.new/usr"\n'
        'echo "E: Failed to fetch http://me:secret@mirror/InRelease  Connection failed"\n'
        'echo "E: apt-get update --error-on=any failed"\n'
        'echo "E: mmdebstrap failed to run"\n'
        "exit 25\n"
    )
    (programs / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(Refused) as caught:
        root.ensure(home, None, os.open("/dev/null", os.O_RDONLY), tools.quiet)
    assert "Connection failed" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.hint
    assert sorted(path.name for path in home.iterdir()) == ["build.log"]


def test_a_root_is_kept_when_a_new_one_cannot_be_built(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = home / "root" / "opt" / "weighhouse" / "recipe.json"
    marker.parent.mkdir(parents=True)
    marker.write_text(json.dumps({"recipe": "of an older loader"}))

    def fail(*_: object) -> None:
        raise Refused("no network")

    monkeypatch.setattr(root, "build_root", fail)
    said: list[str] = []
    root.ensure(home, 17, 0, said.append)
    assert marker.exists()
    assert "no network" in said[0]
    # What was asked for now and cannot be had is an error; the root stays all the same.
    with pytest.raises(Refused, match="no network"):
        root.ensure(home, 17, 0, said.append, ("neural",))
    assert marker.exists()


def test_an_extra_is_built_once_and_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[list[str]] = []

    def build(_: Path, command: list[str], *__: object) -> None:
        built.append(next(part for part in command if part.startswith("--include=")).split(","))
        (home / "root.new" / "etc/apt/apt.conf.d").mkdir(parents=True)

    home.mkdir()
    monkeypatch.setattr(root, "ask", lambda _: "")
    monkeypatch.setattr(root, "_install_mmdebstrap", lambda *_: None)
    monkeypatch.setattr(root, "can_mount", lambda _: False)
    monkeypatch.setattr(root, "build", build)
    root.ensure(home, None, 0, tools.quiet)
    assert "python3-torch" not in built[0]
    assert root.extras_of(home / "root") == frozenset()
    root.ensure(home, None, 0, tools.quiet, ("neural",))
    assert {"python3-torch", "libopenblas0-pthread"} <= set(built[1])
    root.ensure(home, None, 0, tools.quiet)
    root.ensure(home, None, 0, tools.quiet, ("neural",))
    assert len(built) == 2
    assert root.extras_of(home / "root") == {"neural"}


def test_an_unknown_extra_is_a_usage_error(home: Path) -> None:
    with pytest.raises(UsageError) as caught:
        server.start(extras=("nueral",))
    assert "neural" in (caught.value.hint or "")
    assert not home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="the choice is made as root")
def test_a_server_of_the_machine_is_told_what_it_lacks(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    made = installation(home, kind="system", mounted=False)
    monkeypatch.setattr(system, "find", lambda *_: made)
    monkeypatch.setattr(libraries, "install", lambda *_: None)
    said: list[str] = []
    prepare.prepare(home, 0, said.append)
    assert said == []
    monkeypatch.setattr(libraries, "has", lambda *_: True)
    prepare.prepare(home, 0, said.append, ("neural",))
    assert said == []
    monkeypatch.setattr(libraries, "has", lambda *_: False)
    prepare.prepare(home, 0, said.append, ("neural",))
    assert "python3-torch" in said[0]


def test_a_module_is_looked_for_without_importing_it(home: Path) -> None:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    made = installation(home, kind="system", python=own)
    made.libraries.mkdir(parents=True)
    (made.libraries / "explosive.py").write_text("raise SystemExit(1)")
    if not shutil.which(f"python{own}"):
        pytest.skip(f"there is no python{own} in the path")
    assert libraries.has(made, "explosive")
    assert not libraries.has(made, "no_such_module")


def test_what_a_killed_build_left_is_never_used(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "root.new" / "half").mkdir(parents=True)
    (home / "root" / "half").mkdir(parents=True)  # no recipe: not complete

    def build(_: Path, new: Path, *__: object) -> None:
        assert not new.exists()
        marker = new / "opt" / "weighhouse" / "recipe.json"
        marker.parent.mkdir(parents=True)
        marker.write_text(json.dumps({"recipe": root.recipe()}))

    monkeypatch.setattr(root, "build_root", build)
    root.ensure(home, None, 0, tools.quiet)
    assert layout.recipe_of(home / "root") == root.recipe()
    assert sorted(path.name for path in home.iterdir()) == ["root"]


def test_libraries_are_installed_for_the_servers_python(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    made = installation(home)
    (home / "root/opt/weighhouse").mkdir(parents=True)
    commands: list[list[str]] = []

    def build(_: Path, command: list[str], *__: object) -> None:
        commands.append(command)
        target = Path(command[command.index("--target") + 1])
        (target / "numpy").mkdir(parents=True)

    monkeypatch.setattr(libraries, "build", build)
    monkeypatch.setattr(libraries, "compile_all", lambda *_: None)
    libraries.install(made, 0, tools.quiet)
    libraries.install(made, 0, tools.quiet)  # nothing to do
    assert len(commands) == 1
    assert commands[0][commands[0].index("--python-version") + 1] == "3.13"
    assert f"--platform=manylinux_2_28_{platform.machine()}" in commands[0]
    assert set(server.LIBRARIES) <= set(commands[0])
    assert (made.libraries / "numpy").is_dir()
    libraries.install(installation(home, python="3.14"), 0, tools.quiet)
    assert len(commands) == 2


def test_sources_are_those_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        "Debian|https://mirror.example/debian/|bookworm|main",
        "Debian|https://mirror.example/debian/|bookworm-updates|main",
        "Debian|https://mirror.example/debian-security/|bookworm-security|main",
        "Debian Backports|https://mirror.example/debian/|bookworm-backports|main",
        "Debian|https://mirror.example/debian/|bookworm|contrib",
        "Vendor|https://packages.example/vendor/|stable|main",
    ]
    monkeypatch.setattr(root, "index_targets", lambda *_: rows)
    assert root.debian_sources() == [
        "deb https://mirror.example/debian trixie main",
        "deb https://mirror.example/debian trixie-updates main",
        "deb https://mirror.example/debian-security trixie-security main",
    ]


def test_without_package_lists_the_path_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    def targets(*options: str) -> list[str]:
        if "--no-release-info" not in options:
            return []
        return [
            "https://mirror.example/debian/|bookworm|main",
            "https://packages.example/vendor/|stable|main",
        ]

    monkeypatch.setattr(root, "index_targets", targets)
    assert root.debian_sources() == ["deb https://mirror.example/debian trixie main"]


def test_on_ubuntu_mmdebstrap_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ["Ubuntu|https://mirror.example/ubuntu/|noble|main"]
    monkeypatch.setattr(root, "index_targets", lambda *_: rows)
    assert root.debian_sources() == []


# ---------------------------------------------------------------------------------------- settings


def test_settings_fit_the_machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "memory", lambda: 2 * 1024**3)
    small = clusters.settings(installation(home), 5439)
    monkeypatch.setattr(clusters, "memory", lambda: 64 * 1024**3)
    large = clusters.settings(installation(home), 5439)
    assert "\nshared_buffers = 512MB\n" in small
    assert "\nshared_buffers = 1024MB\n" in large
    for line in (
        "listen_addresses = '127.0.0.1'",
        "unix_socket_directories = ''",
        "shared_preload_libraries = 'timescaledb'",
        "timescaledb.telemetry_level = off",
        "port = 5439",
    ):
        assert line in large.splitlines()


def test_pg_cron_is_preloaded_where_it_is(home: Path) -> None:
    made = installation(home)
    assert "cron." not in clusters.settings(made, 1)
    library = made.root / made.bindir.lstrip("/") / "../lib/pg_cron.so"
    library.parent.mkdir(parents=True)
    library.parent.with_name("bin").mkdir(exist_ok=True)
    library.touch()
    lines = clusters.settings(made, 1).splitlines()
    assert "shared_preload_libraries = 'timescaledb,pg_cron'" in lines
    assert "cron.database_name = 'weighhouse'" in lines
    assert "cron.use_background_workers = on" in lines


def test_shared_memory_without_mounts_needs_no_directory(home: Path) -> None:
    assert "_type = posix" in clusters.settings(installation(home), 1)
    assert "_type = sysv" in clusters.settings(installation(home, mounted=False), 1)


def test_a_quote_in_the_path_is_doubled(tmp_path: Path) -> None:
    made = installation(tmp_path / "it's", kind="system", mounted=False)
    assert f"log_directory = '{tmp_path}/it''s/log'" in clusters.settings(made, 1)


# ------------------------------------------------------------------------------------------- purge


def test_purge_deletes_what_is_ours(home: Path) -> None:
    cluster(home / "data")
    marker = home / "root" / "opt" / "weighhouse" / "recipe.json"
    marker.parent.mkdir(parents=True)
    marker.write_text(json.dumps({"recipe": "x"}))
    for name in ("server.json", "pgpass", "build.log"):
        (home / name).write_text("{}")
    server.stop(purge=True)
    assert not home.exists()
    assert home.parent.exists()


def test_a_purge_that_was_killed_can_be_repeated(home: Path) -> None:
    (home / "root" / "etc").mkdir(parents=True)  # the rest, with the recipe, is gone
    (home / "server.json").write_text(json.dumps({"kind": "root", "port": 5439}))
    server.stop(purge=True)
    assert not home.exists()


def test_purge_deletes_nothing_where_there_is_a_foreign_file(home: Path) -> None:
    data = cluster(home / "data")
    (home / "notes.txt").write_text("mine")
    with pytest.raises(Refused, match=r"notes\.txt") as caught:
        server.stop(purge=True)
    assert caught.value.hint
    assert (data / "PG_VERSION").exists()


def test_purge_does_not_follow_a_link(home: Path, tmp_path: Path) -> None:
    elsewhere = cluster(tmp_path / "big disk" / "data")
    home.mkdir()
    (home / "data").symlink_to(elsewhere)
    server.stop(purge=True)
    assert not home.exists()
    assert (elsewhere / "PG_VERSION").exists()


def test_purge_refuses_a_root_of_somebody(home: Path) -> None:
    (home / "root" / "etc").mkdir(parents=True)
    with pytest.raises(Refused):
        server.stop(purge=True)
    assert (home / "root" / "etc").exists()


# ------------------------------------------------------------------------------------------ docker


def test_compose_file_and_embedded_server_agree() -> None:
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text("utf-8"))
    database = compose["services"]["db"]
    assert database["init"] is True
    assert database["ports"][0].startswith("127.0.0.1:")
    assert database["healthcheck"]["test"][1] == "pg_isready"
    for name, value in server.THREADS.items():
        assert database["environment"][name] == value
    assert database["environment"]["PYTHONPATH"] == server.ROOT_PYTHONPATH
    volume, _, path = database["volumes"][0].partition(":")
    assert volume in compose["volumes"]
    assert path == "/home/postgres/pgdata"
    assert (CHECKOUT / database["build"] / "Dockerfile").is_file()


def test_image_and_embedded_server_have_the_same_inside() -> None:
    recipe = (CHECKOUT / "deploy" / "Dockerfile").read_text("utf-8")
    quoted = re.findall(r'--target \S+ ((?:"[^"]+" ?)+)', recipe)
    assert tuple(re.findall(r'"([^"]+)"', quoted[0])) == server.LIBRARIES
    assert re.findall(r"^FROM (\S+)", recipe, re.M) == [
        f"timescale/timescaledb-ha:pg{server.ROOT_MAJOR}"
    ]
    for name in server.THREADS:
        assert f"{name}=1" in recipe


def test_kernels_can_use_the_libraries() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
    assert any(line.startswith("numpy") for line in project["dependency-groups"]["dev"])


# ------------------------------------------------------------------------------- a life, for real


def _cannot_live() -> str | None:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux"
    if not system.is_debian() or not shutil.which("mmdebstrap"):
        return "needs Debian with mmdebstrap"
    return None


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a server in a root, built once for the tests below and purged after them."""
    if reason := _cannot_live():
        pytest.skip(reason)
    path = tmp_path_factory.mktemp("server") / "a home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEIGHHOUSE_HOME", str(path))
        patch.setattr(system, "bindirs", list)
        try:
            server.start()
        except Refused as failure:
            shutil.rmtree(path, ignore_errors=True)
            pytest.skip(f"cannot build here: {failure}")
        try:
            yield path
        finally:
            if path.exists():
                server.stop(purge=True)


@pytest.mark.slow
class TestLife:
    """In this order; each test leaves a server that runs."""

    def test_has_all_that_is_needed(self, living: Path) -> None:
        verdicts = {found.name: found.verdict for found in doctor.run(server.dsn())}
        schema_verdict = verdicts.pop("schema")
        assert schema_verdict == "WARN"  # nothing set up yet
        assert set(verdicts.values()) == {"OK"}, verdicts
        with psycopg.connect(server.dsn()) as connection:
            row = connection.execute("select current_user, count(*) from pg_extension").fetchone()
        # The doctor looked into Python and left no extension behind.
        assert row == ("weighhouse", 1)

    def test_asks_for_the_password(self, living: Path) -> None:
        target = server.dsn().split("?")[0]
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(target, passfile="/dev/null", password="wrong")
        assert (living / "pgpass").stat().st_mode & 0o777 == 0o600

    def test_leaves_no_mount_on_the_host(self, living: Path) -> None:
        assert living.name not in Path("/proc/self/mountinfo").read_text().replace("\\040", " ")

    def test_a_second_start_joins(self, living: Path) -> None:
        before = server.status()
        again = server.start()
        assert (again.started, again.pid, again.port) == (False, before.pid, before.port)
        assert again.dsn == server.dsn()
        with pytest.raises(Refused):
            server.start((before.port or 0) + 1)

    def test_survives_a_killed_postmaster(self, living: Path) -> None:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("create table kept as select 1 as value")
            connection.execute("create extension plpython3u")
        busy = threading.Thread(target=_hang, args=(server.dsn(),))
        busy.start()
        time.sleep(1)
        pid = server.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert processes.wait(lambda: server.status().state == "stale", 5)
        started = server.start()
        busy.join(30)
        assert not busy.is_alive()
        assert started.started
        assert started.pid != pid
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("select value from kept").fetchone() == (1,)

    def test_two_starts_at_once_make_one_server(self, living: Path) -> None:
        server.stop()
        script = "from loader import server; print(server.start().started)"
        both = [
            subprocess.Popen([sys.executable, "-c", script], cwd=CHECKOUT, stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        answers = sorted(process.communicate(timeout=120)[0].strip() for process in both)
        assert [process.returncode for process in both] == [0, 0]
        assert answers == [b"False", b"True"]

    def test_starts_although_its_pid_was_given_to_another(self, living: Path) -> None:
        now = server.status()
        assert now.data is not None
        owner = now.data.stat().st_uid
        server.stop()
        # Alive, and of the same user: PostgreSQL alone would refuse.
        with subprocess.Popen(["sleep", "60"], user=owner) as other:
            (now.data / "postmaster.pid").write_text(f"{other.pid}\n/srv/data\n0\n1\n\n\n")
            try:
                assert server.status().state == "stale"
                assert server.start().started
                assert other.poll() is None
            finally:
                other.kill()

    def test_a_taken_port_is_refused_when_named_and_avoided_when_not(
        self, living: Path, taken: int
    ) -> None:
        port = server.status().port
        assert port is not None
        server.stop()
        with pytest.raises(Refused, match=str(taken)):
            server.start(taken)
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()
            moved = server.start()
        assert moved.port != port
        assert f":{moved.port}/" in server.dsn()

    def test_a_lost_password_file_is_made_again(self, living: Path) -> None:
        server.stop()
        (living / "pgpass").unlink()
        server.start()
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("select value from kept").fetchone() == (1,)

    def test_psql_runs_and_gives_its_exit_code(self, living: Path) -> None:
        assert server.psql(["-qAtc", "select 1"]) == 0
        assert server.psql(["-qAtc", "select 1 / 0"]) == 1

    def test_the_doctor_names_what_is_missing(self, living: Path) -> None:
        installed = living / "root" / server.ROOT_PYTHONPATH.lstrip("/")
        hidden = installed.with_name("hidden")
        installed.rename(hidden)
        try:
            missing = {found.name: found for found in doctor.run(server.dsn())}
        finally:
            hidden.rename(installed)
        assert missing["numpy in the server"].verdict == "FAIL"
        assert missing["numpy in the server"].fix
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("create role plain")
            connection.execute("grant plain to weighhouse")
        limited = {found.name: found for found in _as_role(server.dsn(), "plain")}
        assert limited["role"].verdict == "WARN"
        assert limited["numpy in the server"].verdict == "WARN"
        assert all(found.fix for found in limited.values() if found.verdict != "OK")

    def test_a_fit_killed_in_the_middle_leaves_the_old_version(self, living: Path) -> None:
        """kill -9 of the backend: the server recovers by itself, the run is kept as cancelled."""
        url = server.dsn()
        schema.upgrade(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create schema shop")
            connection.execute(
                "create table shop.sale as select '2026-01-01'::date + t as at, 'b0' as branch,"
                " 50 + 10 * (t % 7) + random() as quantity from generate_series(0, 90) as t"
            )
            connection.execute(
                "select * from api.create_model('sales', 'shop.sale', 'at', 'quantity', '{branch}')"
            )
            connection.execute("select * from api.fit_model('sales')")
            connection.execute(
                "insert into shop.sale select at, 'b' || n, quantity + random() from shop.sale"
                " cross join generate_series(1, 2000) as n"
            )
            said = connection.execute("select * from bi.forecast order by time").fetchall()
            fitting = psycopg.connect(url, autocommit=True)
            pid = fitting.info.backend_pid

            def fit() -> None:
                with contextlib.suppress(psycopg.OperationalError):
                    fitting.execute("call api.run_fit('sales')")

            thread = threading.Thread(target=fit)
            thread.start()
            done = "select coalesce(max(done_count), 0) from bi.fit_progress"
            assert processes.wait(lambda: (connection.execute(done).fetchone() or (0,))[0] > 0, 60)
            os.kill(pid, signal.SIGKILL)
            thread.join(30)
            fitting.close()

        def is_back() -> bool:
            try:
                psycopg.connect(url).close()
            except psycopg.OperationalError:
                return False
            return True

        assert processes.wait(is_back, 30)
        with psycopg.connect(url, autocommit=True) as connection:
            assert said == connection.execute("select * from bi.forecast order by time").fetchall()
            last = "select status, version from bi.training_run order by run_id desc limit 1"
            assert connection.execute(last).fetchone() == ("cancelled", None)
            stored = connection.execute("select count(*) from cache.ml_models").fetchone()
            assert stored == (1,)
            # The next fit is not kept waiting, and writes down how that one ended.
            connection.execute("delete from shop.sale where branch not in ('b0', 'b1')")
            again = connection.execute(
                "select fitted_count, cached_count from api.fit_model('sales')"
            )
            assert again.fetchone() == (1, 1)

    def test_stop_and_purge_leave_nothing(self, living: Path) -> None:
        assert server.stop() is True
        assert server.status().state == "stopped"
        assert server.stop() is False
        down = doctor.run(server.dsn())
        assert [(found.name, found.verdict) for found in down[:2]] == [
            ("server", "FAIL"),
            ("embedded server", "WARN"),
        ]
        server.start()
        assert server.stop(purge=True) is True
        assert not living.exists()
        assert server.status().state == "absent"


def _hang(dsn: str) -> None:
    """Compute for ever in a session, as a long fit does."""
    with psycopg.connect(dsn, autocommit=True) as connection, pytest.raises(psycopg.Error):
        connection.execute("do language plpython3u 'while True: pass'")


def _as_role(dsn: str, role: str) -> list[doctor.Check]:
    """Let the doctor look as another role."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"set role {role}")
        return doctor._examine(doctor.Patient(dsn, connection, embedded=False))
