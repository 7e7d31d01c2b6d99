"""A dump restored into an empty database says the same."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, sql

from loader import server
from tests.conftest import admin, drop_database, in_database


@pytest.fixture
def programs(server_url: str) -> list[str]:
    """How to call a client program of the server's own version, or a newer one."""
    with psycopg.connect(in_database(server_url, "postgres")) as connection:
        major = connection.info.server_version // 10000
    found = shutil.which("pg_dump")
    if found is not None:
        told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
        number = re.search(r"(\d+)", told.stdout)
        if number and int(number[1]) >= major:
            return [str(Path(found).parent)]
    root = server.home() / "root"
    inside = f"/usr/lib/postgresql/{major}/bin"
    if Path(f"{root}{inside}/pg_dump").exists() and os.geteuid() == 0:
        return ["chroot", str(root), inside]
    if Path(f"{inside}/pg_dump").exists():
        return [inside]
    pytest.skip(f"needs pg_dump {major} or newer")


@pytest.fixture
def empty(server_url: str) -> Iterator[str]:
    name = f"wh_restored_{uuid.uuid4().hex[:8]}"
    with admin(server_url) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield in_database(server_url, name)
    drop_database(server_url, name)


def call(programs: list[str], program: str, url: str, *words: str, data: bytes = b"") -> bytes:
    with psycopg.connect(url) as connection:
        password = connection.info.password
    parts = conninfo.conninfo_to_dict(url)
    parts.pop("passfile", None)  # it may lie outside of what the program sees
    *around, folder = programs
    done = subprocess.run(
        [*around, f"{folder}/{program}", *words, "-d", conninfo.make_conninfo("", **parts)],
        env={**os.environ, "PGPASSWORD": password or "none"},
        input=data,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


QUESTIONS = (
    "select md5(string_agg(f::text, '' order by f::text)) from bi.forecast as f",
    "select md5(string_agg(f::text, '' order by label, step))"
    " from api.forecast('sales', horizon => 30, level => 0.7) as f",
    "select md5(string_agg(f::text, '' order by f::text)) from bi.actual_vs_forecast as f",
    "select md5(string_agg(m::text, '' order by m::text)) from bi.models as m",
    "select count(*) from api.verify_cache()",
    "select version, cached_count, failed_count from api.fit_model('sales')",
)


def answers(url: str) -> list[object]:
    with psycopg.connect(url) as connection:
        return [connection.execute(question).fetchone() for question in QUESTIONS]


def test_a_restored_dump_forecasts_the_same_numbers(
    programs: list[str], fresh_url: str, empty: str
) -> None:
    with psycopg.connect(fresh_url) as connection:
        connection.execute("create schema shop")
        connection.execute(
            "create table shop.sale as select '2026-01-01'::date + t as at, branch,"
            " 50 + 10 * (t % 7) + random() as quantity from generate_series(0, 90) as t,"
            " unnest('{north,south}'::text[]) as branch"
        )
        connection.execute(
            "select * from api.create_model('sales', 'shop.sale', 'at', 'quantity', '{branch}')"
        )
        connection.execute("select * from api.fit_model('sales')")
    dump = call(programs, "pg_dump", fresh_url, "--format=custom")
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("create extension timescaledb")
        connection.execute("select timescaledb_pre_restore()")
    call(programs, "pg_restore", empty, data=dump)
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("select timescaledb_post_restore()")
    said = answers(fresh_url)
    assert said[-1] == (1, 2, 0)
    assert answers(empty) == said
