"""The command line under test, as a process or, quicker, without one."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from typing import Any
from unittest import mock

import psycopg

from loader import cli, terminal
from tests.conftest import ROOT


def command(url: str, *words: str) -> list[str]:
    return [sys.executable, "-m", "loader", "--dsn", url, *words]


def run_process(url: str, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own: for what a process is, or starts with."""
    return subprocess.run(
        command(url, *words), capture_output=True, encoding="utf-8", cwd=ROOT, check=False, **more
    )


def run(
    url: str, *words: str, input: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in this process: most of what a process of its own takes is its start."""
    given, out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(3))
    given.buffer.write(input.encode())
    given.seek(0)
    vars(terminal.settings).update(vars(terminal.Settings()))  # not what an earlier one was told
    handler = signal.getsignal(signal.SIGTERM)
    code: object = None
    try:
        with (
            mock.patch.object(sys, "argv", ["loader", "--dsn", url, *words]),
            mock.patch.object(sys, "stdin", given),
            mock.patch.dict(os.environ, env or {}),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            cli.main()
    except SystemExit as ended:
        code = ended.code
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert isinstance(code, int)
    said = []
    for stream in (out, err):
        stream.flush()
        said.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(list(words), code, *said)


def one(url: str, query: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]
