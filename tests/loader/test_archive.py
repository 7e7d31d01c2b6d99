"""Raw files are archived under their hash: in a directory, and in a server that speaks S3."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from loader import archive
from loader.errors import IntegrityFailed, Refused, UsageError
from tests.conftest import ROOT, copied
from tests.loader.command_line import one, run
from tests.loader.test_cli import movements

SECRET = "very-secret-word"
KEY = "archive-key"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def url(server_url: str, template: str) -> Iterator[str]:
    with copied(server_url, template) as copy:
        yield copy


# --------------------------------------------------------------------------------------- directory


def test_a_directory_keeps_a_file_once(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x,y\n" * 1000)
    folder = tmp_path / "archive"
    kept = archive.store(str(folder), path, digest(path))
    assert kept == archive.store(folder.as_uri(), path, digest(path))
    files = [entry for entry in folder.rglob("*") if entry.is_file()]
    assert [entry.name for entry in files] == [digest(path)]
    assert archive.fetch(kept, digest(path), tmp_path / "back.csv") == 4000
    assert (tmp_path / "back.csv").read_bytes() == path.read_bytes()
    # What is wrong there is written anew; what is wrong when it is fetched is not given out.
    files[0].write_bytes(b"something else")
    with pytest.raises(IntegrityFailed, match="something else"):
        archive.fetch(kept, digest(path), tmp_path / "other.csv")
    assert not (tmp_path / "other.csv").exists()
    archive.store(str(folder), path, digest(path))
    assert files[0].read_bytes() == path.read_bytes()
    files[0].unlink()
    with pytest.raises(Refused, match="cannot be fetched"):
        archive.fetch(kept, digest(path), tmp_path / "other.csv")


@pytest.mark.parametrize(
    "address",
    ["s3://key:secret@bucket/x", "s3://key@bucket", "s3:///x", "s3://bucket/x?token=secret"],
)
def test_an_address_holds_no_secret(address: str) -> None:
    with pytest.raises(UsageError) as refused:
        archive.chosen(address, None)
    assert "secret@" not in str(refused.value) and "token" not in str(refused.value)


def test_the_option_wins_over_the_environment_over_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WEIGHHOUSE_ARCHIVE", raising=False)
    assert archive.chosen(None, None) is None
    assert archive.chosen(None, "/setting") == "/setting"
    monkeypatch.setenv("WEIGHHOUSE_ARCHIVE", "/environment")
    assert archive.chosen(None, "/setting") == "/environment"
    assert archive.chosen("/option", "/setting") == "/option"


def test_imports_are_archived_and_found_again(url: str, tmp_path: Path) -> None:
    path = movements(tmp_path / "m.csv", 30)
    words = ("import", str(path), "--timezone", "UTC")
    assert run(url, *words).returncode == 0
    number = one(url, "select max(id) from core.source_data")
    back = tmp_path / "back.csv"
    refused = run(url, "imports", "fetch", str(number), "-o", str(back))
    assert refused.returncode == 2 and "--archive" in refused.stderr
    # What is known already is not imported again, but archived.
    folder = tmp_path / "archive"
    known = json.loads(run(url, "--json", *words, "--archive", str(folder)).stdout)
    assert known["status"] == "already imported"
    assert known["archive_url"].endswith(digest(path))
    for wanted in (str(number), digest(path), digest(path)[:12].upper()):
        assert run(url, "imports", "fetch", wanted, "-o", str(back)).returncode == 0
        assert back.read_bytes() == path.read_bytes()
        assert run(url, "imports", "fetch", wanted, "-o", str(back)).returncode == 2
        back.unlink()
    (folder / digest(path)[:2] / digest(path)).write_bytes(b"?")
    assert run(url, "imports", "fetch", str(number), "-o", str(back)).returncode == 7
    assert not back.exists()
    assert run(url, "imports", "fetch", "999999", "-o", str(back)).returncode == 2


def test_what_cannot_be_archived_is_not_imported(url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    before = one(url, "select count(*) from core.source_data")
    for path, words in (
        (movements(tmp_path / "n.csv", 31), ("--timezone", "UTC")),
        (movements(tmp_path / "o.csv", 32), ("--into", "dataset", "kept")),
    ):
        done = run(url, "import", str(path), "--archive", str(tmp_path / "file/x"), *words)
        assert done.returncode == 4 and "cannot be archived" in done.stderr
        assert "hint: " in done.stderr
    assert one(url, "select count(*) from core.source_data") == before


def test_the_setting_archives_all(url: str, tmp_path: Path) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "update core.settings set value = to_jsonb(%s::text) where name = 'archive.url'",
            (str(tmp_path / "by setting"),),
        )
    try:
        path = movements(tmp_path / "p.csv", 33)
        done = run(url, "--json", "import", str(path), "--into", "dataset", "by setting")
        assert json.loads(done.stdout)["archive_url"].endswith(f"{digest(path)[:2]}/{digest(path)}")
        assert done.returncode == 0 and (tmp_path / "by setting").is_dir()
    finally:
        with psycopg.connect(url) as connection:
            connection.execute("update core.settings set value = 'null' where name = 'archive.url'")


# ---------------------------------------------------------------------------------------------- S3


class S3(NamedTuple):
    """A server that speaks S3, and where it keeps its files."""

    endpoint: str
    data: Path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def serve(port: int, data: Path) -> subprocess.Popen[bytes]:
    program = shutil.which("pys3local", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("pys3local (development dependency: a server that speaks S3) is not installed")
    return subprocess.Popen(
        [program, "serve", "--path", str(data), "--listen", f"127.0.0.1:{port}",
         "--access-key-id", KEY, "--secret-access-key", SECRET],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def wait_for(endpoint: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(endpoint, timeout=5)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    pytest.importorskip("s3fs", reason="s3fs (extra archive) is not installed")
    data, port = tmp_path_factory.mktemp("s3"), free_port()
    process = serve(port, data)
    found = S3(f"http://127.0.0.1:{port}", data)
    try:
        wait_for(found.endpoint)
        yield found
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_store_that_speaks_s3(
    url: str, s3: S3, client: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    path = movements(tmp_path / "s3.csv", 40)
    words = ("import", str(path), "--timezone", "UTC", "--archive", "s3://default/raw files/2025")
    done = subprocess.run(
        [sys.executable, "-m", "loader", "--dsn", url, "--json", "--verbose", *words],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["archive_url"] == (
        f"s3://default/raw files/2025/{digest(path)[:2]}/{digest(path)}"
    )
    assert SECRET not in done.stdout + done.stderr and KEY not in done.stdout + done.stderr
    stored = [entry for entry in s3.data.rglob("*") if entry.is_file()]
    assert path.read_bytes() in [entry.read_bytes() for entry in stored]
    back = tmp_path / "back.csv"
    assert run(url, "imports", "fetch", digest(path), "-o", str(back)).returncode == 0
    assert back.read_bytes() == path.read_bytes()
    back.unlink()
    # Somebody changes what is stored.
    for entry in stored:
        if entry.read_bytes() == path.read_bytes():
            entry.write_bytes(b"0" * entry.stat().st_size)
    done2 = run(url, "imports", "fetch", digest(path), "-o", str(back))
    assert done2.returncode == 7 and "SHA-256" in done2.stderr and not back.exists()


def test_a_store_that_refuses_us(
    url: str, s3: S3, client: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    client.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    path = movements(tmp_path / "r.csv", 41)
    before = one(url, "select count(*) from core.source_data")
    done = run(url, "import", str(path), "--timezone", "UTC", "--archive", "s3://default/raw")
    assert done.returncode == 4 and "cannot be archived" in done.stderr
    assert "another-secret" not in done.stderr
    assert one(url, "select count(*) from core.source_data") == before


def test_a_store_that_comes_up_late_is_tried_again(
    client: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("s3fs", reason="s3fs (extra archive) is not installed")
    port = free_port()
    client.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    client.setattr(archive, "PAUSE", 2.0)
    path = movements(tmp_path / "l.csv", 42)
    started: list[subprocess.Popen[bytes]] = []
    late = threading.Timer(1.0, lambda: started.append(serve(port, tmp_path / "data")))
    (tmp_path / "data").mkdir()
    late.start()
    try:
        kept = archive.store("s3://default/raw", path, digest(path))
        assert archive.fetch(kept, digest(path), tmp_path / "back.csv") == path.stat().st_size
    finally:
        late.join()
        for process in started:
            process.terminate()
            process.wait(20)
