"""The doctor: each state of a server is named, mended in a sentence, and never a traceback."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import socket
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loader import doctor, server
from loader.errors import Refused


class FakeConnection:
    """As much of a connection as the doctor needs."""

    def __init__(self, version: int = 170006) -> None:
        self.info = types.SimpleNamespace(server_version=version)
        self.closed = False
        self.broken: psycopg.Error | None = None

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> FakeConnection:
        """Fail if told to."""
        if self.broken is not None:
            raise self.broken
        return self


HEALTHY_PYTHON = {
    "version": [3, 13, 5],
    "threads": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "numpy": "2.3.1",
    "numpy_path": "/opt/weighhouse/python/numpy",
    "libraries": {**dict.fromkeys(doctor.WITHOUT, "1.2.3"), "torch": None},
}
HEALTHY_EXTENSIONS: dict[str, tuple[str, str | None]] = {
    "plpgsql": ("1.0", "1.0"),
    "timescaledb": ("2.19.3", "2.19.3"),
    "plpython3u": ("1.0", "1.0"),
}
HEALTHY_SETTINGS = {
    "timescaledb.max_background_workers": "16",
    "timescaledb.license": "apache",
    "server_encoding": "UTF8",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
}


class FakePatient(doctor.Patient):
    """A server with the given facts."""

    def __init__(
        self,
        *,
        version: int = 170006,
        settings: dict[str, str | None] | None = None,
        extensions: dict[str, tuple[str, str | None]] | None = None,
        python: dict[str, Any] | None = None,
        superuser: bool = True,
        answers: Sequence[tuple[Any, ...]] = (),
    ) -> None:
        connection: Any = FakeConnection(version)
        super().__init__("host=db.example dbname=shop", connection, embedded=False)
        self.settings = {**HEALTHY_SETTINGS, **(settings or {})}
        self.answers = list(answers)
        # What the cached properties would find out.
        self.__dict__["extensions"] = HEALTHY_EXTENSIONS if extensions is None else extensions
        self.__dict__["python"] = HEALTHY_PYTHON if python is None else python
        self.__dict__["is_superuser"] = superuser

    def row(self, sql: str, parameters: Sequence[object] = ()) -> tuple[Any, ...]:
        """Answer in turn."""
        return self.answers.pop(0)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Answer all at once."""
        return list(self.answers)

    def setting(self, name: str) -> str | None:
        """Look in the given settings."""
        return self.settings.get(name)


def without(name: str) -> dict[str, tuple[str, str | None]]:
    """List the extensions of a server that lacks one."""
    return {key: value for key, value in HEALTHY_EXTENSIONS.items() if key != name}


# --------------------------------------------------------------------------------- single findings


@pytest.mark.parametrize(("version", "verdict"), [(150018, "FAIL"), (160004, "OK"), (170006, "OK")])
def test_server_version(version: int, verdict: str) -> None:
    found = doctor.check_server(FakePatient(version=version))
    assert found.verdict == verdict
    assert f"{version // 10000}." in found.text
    assert "db.example" in found.text


@pytest.mark.parametrize(
    ("patient", "verdict", "word"),
    [
        (FakePatient(extensions=without("timescaledb")), "FAIL", "not installed"),
        (
            FakePatient(settings={"timescaledb.max_background_workers": None}),
            "FAIL",
            "not preloaded",
        ),
        (
            FakePatient(extensions={**HEALTHY_EXTENSIONS, "timescaledb": ("2.19.3", None)}),
            "OK",
            "not yet used",
        ),
        (FakePatient(), "OK", "Apache"),
        (FakePatient(settings={"timescaledb.license": "timescale"}), "OK", "Community"),
        (FakePatient(settings={"timescaledb.license": None}), "WARN", "unknown"),
    ],
)
def test_timescaledb_is_named_with_its_edition(
    patient: doctor.Patient, verdict: str, word: str
) -> None:
    found = doctor.check_timescaledb(patient)
    assert (found.verdict, word in found.text) == (verdict, True), found


def test_preload_has_a_fix_of_its_own() -> None:
    found = doctor.check_timescaledb(
        FakePatient(settings={"timescaledb.max_background_workers": None})
    )
    assert "shared_preload_libraries" in (found.fix or "")


def test_plpython_missing() -> None:
    patient = FakePatient(extensions=without("plpython3u"), python={"reason": "is missing"})
    assert doctor.check_plpython(patient).verdict == "FAIL"
    for check in (
        doctor.check_python,
        doctor.check_numpy,
        doctor.check_libraries,
        doctor.check_torch,
        doctor.check_threads,
    ):
        found = check(patient)
        assert found.verdict == "WARN"
        assert "plpython3u" in (found.fix or "")


@pytest.mark.parametrize(
    ("version", "verdict"), [([3, 10, 12], "FAIL"), ([3, 11, 2], "OK"), ([3, 13, 5], "OK")]
)
def test_python_version(version: list[int], verdict: str) -> None:
    found = doctor.check_python(FakePatient(python={**HEALTHY_PYTHON, "version": version}))
    assert found.verdict == verdict


def test_numpy_missing_or_old() -> None:
    missing = {key: value for key, value in HEALTHY_PYTHON.items() if not key.startswith("numpy")}
    missing["numpy_error"] = "ModuleNotFoundError: No module named 'numpy'"
    found = doctor.check_numpy(FakePatient(python=missing))
    assert (found.verdict, "ModuleNotFoundError" in found.text) == ("FAIL", True)
    old = doctor.check_numpy(FakePatient(python={**HEALTHY_PYTHON, "numpy": "1.26.4"}))
    assert old.verdict == "WARN"


def test_libraries_that_are_missing_are_named_with_what_they_are_for() -> None:
    found = doctor.check_libraries(FakePatient(python=HEALTHY_PYTHON))
    assert found.verdict == "OK" and "lightgbm 1.2.3, " in found.text
    libraries = {**HEALTHY_PYTHON["libraries"], "wasmtime": None, "prophet": None}  # type: ignore[dict-item]
    found = doctor.check_libraries(FakePatient(python={**HEALTHY_PYTHON, "libraries": libraries}))
    assert found.verdict == "WARN" and "lightgbm" not in found.text
    assert "no prophet: " in found.text and "no wasmtime: " in found.text
    # Those that are installed, numpy has a check of its own.
    assert ["numpy", *doctor.WITHOUT] == [name.partition(">")[0] for name in server.LIBRARIES]


def test_thread_variables() -> None:
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": None}
    found = doctor.check_threads(FakePatient(python={**HEALTHY_PYTHON, "threads": threads}))
    assert found.verdict == "WARN"
    assert "OPENBLAS" in found.text
    assert "OMP" not in found.text


@pytest.mark.parametrize(
    ("superuser", "answer", "verdict"),
    [
        (True, ("admin", True, True), "OK"),
        (False, ("plain", False, True), "WARN"),
        (False, ("owner", True, True), "WARN"),
    ],
)
def test_role(superuser: bool, answer: tuple[Any, ...], verdict: str) -> None:
    found = doctor.check_role(FakePatient(superuser=superuser, answers=[answer]))
    assert found.verdict == verdict
    assert answer[0] in found.text


@pytest.mark.parametrize(
    ("answers", "verdict", "text"),
    [
        ([(True,)], "OK", "nothing to run yet"),
        ([(False,), (0,)], "WARN", "nothing runs them: no clock is started"),
        ([(False,), (0,), ("pg_cron", False)], "WARN", "pg_cron has been silent for three minutes"),
        ([(False,), (2,), ("worker", True)], "WARN", "2 jobs overdue"),
        ([(False,), (0,), ("worker", True)], "OK", "run by worker"),
    ],
)  # fmt: skip
def test_jobs(answers: list[tuple[Any, ...]], verdict: str, text: str) -> None:
    found = doctor.check_jobs(FakePatient(answers=answers))
    assert (found.verdict, found.text) == (verdict, text)


@pytest.mark.parametrize(
    ("current", "verdict", "word"),
    [
        (None, "WARN", "nothing set up"),
        ("0002", "OK", "0002"),
        ("0001", "FAIL", "0002"),
        ("9999", "FAIL", "ahead"),
    ],
)
def test_schema(
    monkeypatch: pytest.MonkeyPatch, current: str | None, verdict: str, word: str
) -> None:
    from loader import schema

    monkeypatch.setattr(schema, "revisions", lambda: ["0001", "0002"])
    monkeypatch.setattr(schema, "head_revision", lambda: "0002")
    monkeypatch.setattr(schema, "current_revision", lambda _: current)
    found = doctor.check_schema(FakePatient())
    assert (found.verdict, word in found.text) == (verdict, True), found


def test_extension_versions() -> None:
    behind = {**HEALTHY_EXTENSIONS, "timescaledb": ("2.20.0", "2.19.3")}
    found = doctor.check_extension_versions(FakePatient(extensions=behind))
    assert found.verdict == "WARN"
    assert "timescaledb 2.19.3" in found.text
    assert doctor.check_extension_versions(FakePatient()).verdict == "OK"


@pytest.mark.parametrize(("encoding", "verdict"), [("UTF8", "OK"), ("SQL_ASCII", "FAIL")])
def test_encoding(encoding: str, verdict: str) -> None:
    found = doctor.check_encoding(FakePatient(settings={"server_encoding": encoding}))
    assert (found.verdict, found.text) == (verdict, encoding)


@pytest.mark.parametrize(("offset", "verdict"), [(0.0, "OK"), (-3600.0, "WARN"), (30.0, "WARN")])
def test_clock(monkeypatch: pytest.MonkeyPatch, offset: float, verdict: str) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
    patient = FakePatient(answers=[(1_700_000_000.0 + offset,)] * 3)
    assert doctor.check_clock(patient).verdict == verdict


@pytest.mark.parametrize(("used", "verdict"), [(5, "OK"), (85, "WARN"), (97, "FAIL")])
def test_connections(used: int, verdict: str) -> None:
    found = doctor.check_connections(FakePatient(answers=[(used, 100, 3)]))
    assert (found.verdict, found.text) == (verdict, f"{used} of 100")


@pytest.mark.parametrize(
    ("value", "verdict"), [(0, "OK"), (30_000, "WARN"), (60_000, "OK"), (3_600_000, "OK")]
)
def test_timeouts(value: int, verdict: str) -> None:
    found = doctor.check_timeouts(FakePatient(answers=[("statement_timeout", value)]))
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("fsync", "FAIL"), ("full_page_writes", "FAIL"), ("synchronous_commit", "WARN")],
)
def test_durability(name: str, verdict: str) -> None:
    found = doctor.check_durability(FakePatient(settings={name: "off"}))
    assert found.verdict == verdict
    assert name in found.text


@pytest.mark.parametrize(
    ("answer", "verdict"), [((False, False), "OK"), ((True, True), "WARN"), ((False, True), "WARN")]
)
def test_writable(answer: tuple[bool, bool], verdict: str) -> None:
    assert doctor.check_primary(FakePatient(answers=[answer])).verdict == verdict


@pytest.mark.parametrize(
    ("free", "verdict"), [(100 * 10**9, "OK"), (3 * 10**9, "WARN"), (10**8, "FAIL")]
)
def test_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, verdict: str) -> None:
    monkeypatch.setenv("WEIGHHOUSE_HOME", str(tmp_path))
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    patient = FakePatient(answers=[("8 MB",)])
    assert doctor.check_disk(patient).verdict == "OK"  # another machine's disk is not ours
    patient = FakePatient(answers=[("8 MB",)])
    patient.embedded = True
    found = doctor.check_disk(patient)
    assert found.verdict == verdict
    assert (found.fix is None) == (verdict == "OK")


# -------------------------------------------------------------------------------------- as a whole


def test_each_check_has_a_title_and_a_fix() -> None:
    titles = [title for title, _, _ in doctor.CHECKS]
    assert len(titles) == len(set(titles)) > 15
    for title, fix, function in doctor.CHECKS:
        assert title == inspect.getdoc(function)
        assert "\n" not in title
        assert fix


def test_no_error_of_the_server_is_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(error: Exception) -> doctor.Function:
        def check(_: doctor.Patient) -> doctor.Finding:
            raise error

        return check

    errors = (
        psycopg.errors.InsufficientPrivilege("permission denied for view\nLINE 1: …"),
        psycopg.errors.QueryCanceled("canceling statement due to statement timeout"),
        Refused("the root is damaged", hint="delete it"),
        OSError(5, "Input/output error"),
    )
    checks = [(str(number), "mend it", fail(error)) for number, error in enumerate(errors)]
    monkeypatch.setattr(doctor, "CHECKS", checks)
    found = doctor._examine(FakePatient())
    assert [check.verdict for check in found] == ["WARN", "WARN", "FAIL", "WARN"]
    assert all(check.fix and "\n" not in check.text for check in found)
    assert found[2].fix == "delete it"


def test_a_lost_connection_ends_the_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = FakePatient()

    def lose(_: doctor.Patient) -> doctor.Finding:
        patient.connection.closed = True  # type: ignore[misc]
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(doctor, "CHECKS", [("first", "x", lose), ("second", "x", lose)])
    found = doctor._examine(patient)
    assert [(check.name, check.verdict) for check in found] == [("first", "FAIL")]
    assert "closed the connection" in found[0].text


def test_a_dead_session_is_a_finding() -> None:
    patient = FakePatient()
    connection: Any = patient.connection
    connection.broken = psycopg.OperationalError("gone")
    assert [check.verdict for check in doctor._examine(patient)] == ["FAIL"]


def test_an_unreachable_server_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEIGHHOUSE_HOME", str(tmp_path))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        found = doctor.run(f"postgresql://nobody@127.0.0.1:{port}/x")
    assert [(check.name, check.verdict) for check in found] == [("server", "FAIL")]
    assert found[0].fix


@pytest.mark.parametrize("dsn", ["garbage", "postgresql://%zz", "host=h port=abc"])
def test_an_unreadable_dsn_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dsn: str
) -> None:
    monkeypatch.setenv("WEIGHHOUSE_HOME", str(tmp_path))
    found = doctor.run(dsn)
    assert [(check.name, check.verdict) for check in found] == [("server", "FAIL")]


def test_no_server_at_all_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEIGHHOUSE_HOME", str(tmp_path))
    for name in ("DATABASE_URL", *(name for name in os.environ if name.startswith("PG"))):
        monkeypatch.delenv(name, raising=False)
    found = doctor.run(None)
    assert [(check.name, check.verdict) for check in found] == [("server", "FAIL")]
    assert "server start" in (found[0].fix or "")


def test_a_stopped_embedded_server_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEIGHHOUSE_HOME", str(tmp_path))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "PG_VERSION").write_text("17\n")
        (tmp_path / "server.json").write_text(json.dumps({"kind": "root", "port": port}))
        found = doctor.run(server.dsn())
    assert [check.name for check in found] == ["server", "embedded server", "disk"]
    assert found[1].fix == "loader server start"
