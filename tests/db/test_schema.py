"""State by migration, code rebuilt: up, down, at once, killed, behind, ahead, under open sessions."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from loader import catalog, cli, ingest, schema
from loader.errors import Busy, Refused, SchemaMismatch, UsageError
from loader.reading import ReadOptions
from tests.conftest import EXAMPLES, ROOT, admin, copied, drop_database, in_database

OURS = ["core", "staging", "cache", "internal", "api", "bi"]
STRUCTURE = {
    "columns": """
        select a.attrelid::regclass::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid)
        from pg_attribute as a
        inner join pg_class as c on c.oid = a.attrelid and c.relkind in ('r', 'v')
        left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where c.relnamespace::regnamespace::text = any(%s) and a.attnum > 0 and not a.attisdropped""",
    "indexes": """
        select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), obj_description(i.indexrelid)
        from pg_index as i inner join pg_class as c on c.oid = i.indrelid
        where c.relnamespace::regnamespace::text = any(%s)""",
    "constraints": """
        select k.conrelid::regclass::text, k.conname, pg_get_constraintdef(k.oid)
        from pg_constraint as k where k.connamespace::regnamespace::text = any(%s)""",
    "relations": """
        select c.oid::regclass::text, c.relkind, c.relowner::regrole::text,
               array(select x::text from unnest(c.relacl) as x order by 1)
        from pg_class as c where c.relnamespace::regnamespace::text = any(%s) and c.relkind in ('r', 'v', 'S')""",
    "views": """
        -- (A continuous aggregate is kept in a table whose name is a number.)
        select c.oid::regclass::text, regexp_replace(pg_get_viewdef(c.oid), '_materialized_hypertable_[0-9]+', 'N', 'g') from pg_class as c
        where c.relnamespace::regnamespace::text = any(%s) and c.relkind = 'v'""",
    "routines": """
        select p.oid::regprocedure::text, pg_get_functiondef(p.oid), p.proowner::regrole::text,
               obj_description(p.oid), array(select x::text from unnest(p.proacl) as x order by 1)
        from pg_proc as p where p.pronamespace::regnamespace::text = any(%s)""",
    "schemas": """
        select n.nspname, obj_description(n.oid), array(select x::text from unnest(n.nspacl) as x order by 1)
        from pg_namespace as n where n.nspname = any(%s)""",
    "hypertables": """
        select hypertable_schema, hypertable_name, column_name, time_interval::text
        from timescaledb_information.dimensions where hypertable_schema = any(%s)""",
}


def structure(url: str) -> dict[str, Any]:
    """All that an upgrade makes, apart from rows of facts."""
    with psycopg.connect(url) as connection:
        connection.execute("set search_path = pg_catalog")
        found: dict[str, Any] = {
            name: sorted(map(str, connection.execute(query, (OURS,)).fetchall()))
            for name, query in STRUCTURE.items()
        }
        if schema.current_code(connection):
            found["catalogue"] = catalog.describe(connection)
        found["modules"] = connection.execute(
            "select name, md5(source), is_package, sha256 from core.python_module order by name"
        ).fetchall()
        found["revision"] = schema.current_revision(connection)
        found["code"] = schema.current_code(connection) or None
    return found


def tables(connection: psycopg.Connection[Any]) -> list[str]:
    rows = connection.execute(
        "select c.oid::regclass::text from pg_class as c"
        " where c.relnamespace in ('core'::regnamespace, 'staging'::regnamespace)"
        " and c.relkind = 'r' order by 1"
    ).fetchall()
    return [row[0] for row in rows]


def contents(url: str) -> dict[str, str]:
    """Rows, a digest of the columns and one of the rows of each table; what describes the database
    itself left out.

    Generated columns are no contents, and one that is NULL says no more than one that is not there.
    """
    skipped = {"core.release", "core.revision", "core.python_module"}
    with psycopg.connect(url) as connection:
        connection.execute("set search_path = pg_catalog")
        found = {}
        for name in tables(connection):
            rows = connection.execute(
                f"select jsonb_strip_nulls(to_jsonb(t) - array(select a.attname::text from pg_attribute as a"
                f" where a.attrelid = '{name}'::regclass and a.attgenerated <> ''))::text from {name} as t order by 1"
            ).fetchall()
            text = "\n".join(row[0] for row in rows)
            columns = connection.execute(
                "select string_agg(a.attname, ' ' order by a.attnum) from pg_attribute as a"
                " where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped"
                " and a.attgenerated = ''",
                (name,),
            ).fetchone()
            digests = [hashlib.sha256(t.encode()).hexdigest() for t in (str(columns), text)]
            found[name] = f"{len(rows)} {' '.join(digests)}"
    return {name: digest for name, digest in found.items() if name not in skipped}


def keeps(before: str, after: str) -> bool:
    """Whether a table holds what it held; where its columns changed, as many rows."""
    left, right = before.split(), after.split()
    return left == right if left[1] == right[1] else left[0] == right[0]


def one(url: str, query: str, *parameters: object) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


@pytest.fixture
def database(server_url: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases."""
    made: list[str] = []

    def make() -> str:
        name = f"wh_empty_{uuid.uuid4().hex[:8]}"
        with admin(server_url) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        made.append(name)
        return in_database(server_url, name)

    yield make
    for name in made:
        drop_database(server_url, name)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what is deployed, to change; the loader deploys it instead of the checkout's."""
    for name in ("sql", "plpython", "migrations"):
        shutil.copytree(
            schema.resource(name), tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    monkeypatch.setattr(schema, "resource", lambda name: tmp_path / name)
    return tmp_path


def append(path: Path, text: str) -> int:
    """Add text to a file; give the number of its first line."""
    before = path.read_text("utf-8")
    path.write_text(before + text, "utf-8")
    return before.count("\n") + 1


def process(url: str, *arguments: str) -> subprocess.Popen[str]:
    """The loader command as a user runs it."""
    return subprocess.Popen(
        [sys.executable, "-m", "loader", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def command(url: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The same without a process; gives the exit code."""
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setattr(sys, "argv", ["loader", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def load(url: str, files: int = 2) -> None:
    """Bring demo statements in, account, fit."""
    for path in sorted((EXAMPLES / "vedomost").glob("*.csv"))[:files]:
        ingest.import_file(
            url,
            str(path),
            ReadOptions(encoding="cp1251"),
            ingest.ImportOptions(time_zone="Europe/Moscow"),
        )
    with psycopg.connect(url) as connection:
        connection.execute("select api.add_surplus_specification('1', 0.05, '2025-01-01')")
        connection.execute("select * from api.account_stock()")
        connection.execute("select * from api.fit_shrinkage()")


# ------------------------------------------------------------------------------------- up and down


def test_down_step_by_step_and_up_again_with_data_in_it(
    fresh_url: str, database: Callable[[], str]
) -> None:
    load(fresh_url)
    full = contents(fresh_url)
    assert {
        name for name in ("core.source_data", "core.stock_movements", "core.calculation_data",
                          "core.coefficients", "core.surplus_specifications")
        if full[name].startswith("0 ")
    } == set()  # fmt: skip
    at_head = structure(fresh_url)
    other = database()
    expected = {}
    for revision in schema.revisions():
        schema.upgrade(other, revision)
        expected[revision] = structure(other)
    for revision in reversed(schema.revisions()[:-1]):
        schema.downgrade(fresh_url, revision)
        found = structure(fresh_url)
        for part in ("columns", "indexes", "constraints", "hypertables"):
            assert found[part] == expected[revision][part], (revision, part)
        left = contents(fresh_url)
        # Staging holds nothing between imports, whatever its tables are called.
        assert {left.pop(name)[:2] for name in set(left) - set(full) if name.startswith("staging.")} <= {"0 "}  # fmt: skip
        # A table that had another name and fewer columns then keeps its rows.
        for old, new in (("core.models", "core.model_versions"),):
            if old in left:
                assert left.pop(old).split()[0] == full[new].split()[0]
        # What a person set outlives the revision that made the setting.
        assert left["core.settings"] == full["core.settings"], revision
        lost = [name for name in left if not keeps(full[name], left[name])]
        assert lost == [], revision
    kept = contents(fresh_url)
    assert not kept["core.source_data"].startswith("0 ")
    for revision in schema.revisions()[1:]:
        schema.upgrade(fresh_url, revision)
        now = contents(fresh_url)
        assert [name for name in kept if name != "core.models" and not keeps(kept[name], now[name])] == []  # fmt: skip
    assert structure(fresh_url) == at_head == expected[schema.head_revision()]
    # What came back empty can be filled again.
    assert one(fresh_url, "select count(*) from bi.coefficient") == 0
    with psycopg.connect(fresh_url) as connection:
        files = connection.execute("select id from core.source_data").fetchall()
        for (number,) in files:
            connection.execute("select api.undo_import(%s)", (number,))
    load(fresh_url)
    again = contents(fresh_url)
    assert again["core.stock_movements"].split()[0] == full["core.stock_movements"].split()[0]


def test_base_leaves_nothing_of_ours(database: Callable[[], str]) -> None:
    url = database()
    schema.upgrade(url)
    assert one(url, "select count(*) from pg_db_role_setting where setdatabase ="
               " (select oid from pg_database where datname = current_database())") == 2  # fmt: skip
    done = schema.downgrade(url, "base")
    assert (done.before, done.after) == (schema.head_revision(), None)
    with psycopg.connect(url) as connection:
        left = connection.execute(
            """
            select nspname from pg_namespace where nspname = any(%s)
            union all select oid::regclass::text from pg_class
            where relnamespace = 'public'::regnamespace
              and oid not in (select objid from pg_depend where deptype = 'e')
            union all select 'default privileges' from pg_default_acl
            union all select 'setting ' || s.setconfig::text from pg_db_role_setting as s
            where s.setdatabase = (select oid from pg_database where datname = current_database())
            """,
            (OURS,),
        ).fetchall()
    assert left == []
    assert schema.downgrade(url, "base").changed is False
    assert schema.upgrade(url).changed


def test_upgrading_twice_changes_nothing(fresh_url: str) -> None:
    before = structure(fresh_url)
    releases = one(fresh_url, "select count(*) from core.release")
    assert schema.upgrade(fresh_url).changed is False
    assert structure(fresh_url) == before
    assert schema.upgrade(fresh_url, force=True).changed
    assert structure(fresh_url) == before
    assert one(fresh_url, "select count(*) from core.release") == releases + 1


def test_a_dry_run_leaves_nothing(database: Callable[[], str]) -> None:
    url = database()
    done = schema.upgrade(url, dry_run=True)
    assert (done.changed, done.after) == (False, schema.head_revision())
    assert one(url, "select count(*) from pg_namespace where nspname = any(%s)", OURS) == 0
    assert one(url, "select count(*) from pg_extension where extname <> 'plpgsql'") == 0
    assert one(url, "select count(*) from pg_db_role_setting where setdatabase ="
               " (select oid from pg_database where datname = current_database())") == 0  # fmt: skip


def test_the_statements_run_by_psql_give_the_same_database(
    fresh_url: str, database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database()
    script = tmp_path / "upgrade.sql"
    script.write_text(schema.offline_sql(), "utf-8")
    if shutil.which("psql"):
        subprocess.run(
            ["psql", "-Xq1", "--set", "ON_ERROR_STOP=1", "--file", str(script), url],
            check=True,
            capture_output=True,
        )
    else:
        with psycopg.connect(url) as connection:
            connection.execute(script.read_text("utf-8"))
    assert structure(url) == structure(fresh_url)
    assert command(url, monkeypatch, "db", "check") == 0
    assert schema.upgrade(url).changed is False


def test_the_statements_of_an_older_revision_are_state_only(database: Callable[[], str]) -> None:
    first, second = database(), database()
    with psycopg.connect(first) as connection:
        connection.execute(schema.offline_sql("0001"))
    schema.upgrade(second, "0001")
    assert structure(first) == structure(second)
    assert schema.upgrade(first).after == schema.head_revision()


def test_what_cannot_be_reached_is_refused(fresh_url: str) -> None:
    for call in (
        lambda: schema.upgrade(fresh_url, "0815"),
        lambda: schema.upgrade(fresh_url, "0001"),
        lambda: schema.downgrade(fresh_url, "0815"),
        lambda: schema.offline_sql("0815"),
    ):
        with pytest.raises(UsageError) as refused:
            call()
        assert refused.value.hint


def test_code_of_an_older_release_is_dropped_whatever_it_was(fresh_url: str) -> None:
    before = structure(fresh_url)
    with psycopg.connect(fresh_url) as connection:
        connection.execute("""
            create type internal.old_state as enum ('old');
            create domain internal.old_kg as float8 check (value >= 0);
            create type internal.old_pair as (first internal.old_kg, second internal.old_state);
            create function internal.find_item(item int, strictly boolean) returns int language sql return 1;
            create function api.shrinkage(item text) returns internal.old_pair language sql
                begin atomic select 1::internal.old_kg, 'old'::internal.old_state; end;
            create procedure api.run_old() language plpgsql as 'begin end';
            create aggregate internal.old_sum (float8) (sfunc = float8pl, stype = float8);
            update core.release set code_sha256 = 'of an older release'
        """)
    assert schema.upgrade(fresh_url).changed
    after = structure(fresh_url)
    assert after == before


# ------------------------------------------------------------------------------- what can go wrong


def test_a_broken_sql_file_is_named_with_its_line_and_nothing_changes(
    fresh_url: str, tree: Path
) -> None:
    before = structure(fresh_url)
    # After a PL/Python wrapper, into which the hash of the code is put: the line must still be right.
    line = append(
        tree / "sql/40_kernels/account_item.sql",
        "\n-- Пояснение\nselect ничего from core.settings;\n",
    )
    with pytest.raises(Refused) as refused:
        schema.upgrade(fresh_url)
    assert str(refused.value).startswith(f"sql/40_kernels/account_item.sql:{line + 2}: ")
    assert refused.value.hint
    assert structure(fresh_url) == before


def test_a_broken_function_body_is_named_with_its_line(
    database: Callable[[], str], tree: Path
) -> None:
    url = database()
    line = append(
        tree / "sql/10_texts/setting.sql",
        "create function internal.broken() returns int language plpgsql"
        " set search_path = pg_catalog as $$\nbegin\n    return 1 1;\nend $$;\n",
    )
    with pytest.raises(Refused, match=rf"^sql/10_texts/setting\.sql:{line + 2}: syntax error"):
        schema.upgrade(url)
    assert one(url, "select to_regnamespace('core')") is None


def test_a_broken_migration_is_named_with_its_line_and_nothing_changes(
    fresh_url: str, tree: Path
) -> None:
    before = structure(fresh_url)
    (tree / "migrations/versions/0099_broken.py").write_text(
        '"""Broken."""\n\nfrom loader.schema import run\n\nrevision = "0099"\n'
        f'down_revision = "{schema.head_revision()}"\n\n\ndef upgrade() -> None:\n'
        '    run("""\ncreate table core.extra (id int);\n'
        'comment on column core.extra.idd is \'?\';\nselect no_such(1);\n""")\n\n\n'
        'def downgrade() -> None:\n    run("drop table core.extra")\n'
    )
    with pytest.raises(Refused) as refused:
        schema.upgrade(fresh_url)
    assert str(refused.value).startswith("migrations/versions/0099_broken.py")
    assert "idd" in str(refused.value)
    text = (tree / "migrations/versions/0099_broken.py").read_text()
    (tree / "migrations/versions/0099_broken.py").write_text(text.replace("extra.idd", "extra.id"))
    with pytest.raises(Refused, match=r"^migrations/versions/0099_broken\.py:13: .*no_such"):
        schema.upgrade(fresh_url)
    assert one(fresh_url, "select to_regclass('core.extra')") is None
    assert structure(fresh_url) == before


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("\nbroken = (1 +\n", "SyntaxError"),
        ("import no_such_library\n", "ModuleNotFoundError"),
        ("from weighhouse.stock import no_such_name\n", "ImportError"),
        ("\nratio = 1 / 0\n", "ZeroDivisionError"),
    ],
)
def test_a_python_module_that_cannot_be_imported_is_found_by_the_upgrade(
    fresh_url: str, tree: Path, text: str, name: str
) -> None:
    before = one(fresh_url, "select min(sha256) from core.python_module")
    line = append(tree / "plpython/weighhouse/accuracy.py", text) + text.startswith("\n")
    with pytest.raises(Refused) as refused:
        schema.upgrade(fresh_url)
    assert str(refused.value).startswith(f"plpython/weighhouse/accuracy.py:{line}: {name}: ")
    assert one(fresh_url, "select min(sha256) from core.python_module") == before


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_an_upgrade_that_dies_in_the_middle_changes_nothing(
    database: Callable[[], str], how: str
) -> None:
    url = database()
    schema.upgrade(url, "0001")
    before = structure(url)
    with psycopg.connect(url) as blocking, psycopg.connect(url, autocommit=True) as watching:
        # The second revision refers to the products: its upgrade stops there.
        blocking.execute("lock table core.nomenclature in exclusive mode")
        running = process(url, "db", "upgrade")
        backend = "select pid from pg_stat_activity where application_name = 'loader'" \
            " and datname = current_database()"  # fmt: skip
        deadline = time.monotonic() + 30
        while not watching.execute(f"{backend} and wait_event_type = 'Lock'").fetchall():
            assert time.monotonic() < deadline and running.poll() is None
            time.sleep(0.05)
        if how == "kill":
            running.kill()
            running.communicate(timeout=30)
            assert running.returncode == -9
        else:
            watching.execute(f"select pg_terminate_backend(pid) from ({backend}) as b")
            _, said = running.communicate(timeout=30)
            assert running.returncode == 3, said
            assert "server closed the connection; nothing was changed" in said
            assert "hint:" in said and "Traceback" not in said
        blocking.rollback()
        while watching.execute(backend).fetchall():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert structure(url) == before
    again = process(url, "db", "upgrade")
    assert "upgraded: 0001 ->" in again.communicate(timeout=60)[0]
    assert again.returncode == 0


def test_of_ten_upgrades_at_once_one_runs_and_all_succeed(database: Callable[[], str]) -> None:
    url = database()
    running = [process(url, "db", "upgrade") for _ in range(10)]
    said = [one_of.communicate(timeout=120) for one_of in running]
    assert [one_of.returncode for one_of in running] == [0] * 10, said
    words = sorted(out.split(":")[0] for out, _ in said)
    assert words == ["unchanged"] * 9 + ["upgraded"]
    assert one(url, "select count(*) from core.release") == 1


def test_upgrades_of_two_databases_at_once_share_the_roles(database: Callable[[], str]) -> None:
    urls = [database(), database()]
    running = [process(url, "db", "upgrade") for url in urls]
    said = [one_of.communicate(timeout=120) for one_of in running]
    assert [one_of.returncode for one_of in running] == [0, 0], said


def test_who_waits_too_long_for_another_upgrade_is_told_which(
    fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "LOCK_WAIT_SECONDS", 1)
    with psycopg.connect(fresh_url) as other:
        other.execute("select pg_advisory_lock(%s)", (schema.LOCK,))
        with pytest.raises(Busy, match=f"pid {other.info.backend_pid}, since "):
            schema.upgrade(fresh_url)
        # Another database of the same server is another matter.
        other.execute("select pg_advisory_unlock(%s)", (schema.LOCK,))
        other.commit()
        assert schema.upgrade(fresh_url).after == schema.head_revision()


def test_a_transaction_left_open_makes_an_upgrade_give_up_not_hang(
    fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "TABLE_WAIT_SECONDS", 1)
    before = structure(fresh_url)
    with psycopg.connect(fresh_url) as reading:
        reading.execute("select * from bi.coefficient")
        with pytest.raises(Busy) as busy:
            schema.upgrade(fresh_url, force=True)
        assert busy.value.detail == "waited in sql/90_views/coefficient.sql"
        assert busy.value.hint
    assert structure(fresh_url) == before
    assert schema.upgrade(fresh_url, force=True).changed


# --------------------------------------------------------------------------------- behind and ahead

NEEDING = [
    ["db", "check"],
    ["describe"],
    ["account"],
    ["fit"],
    ["report"],
    ["imports", "list"],
    ["imports", "undo", "1"],
    ["rejects", "show", "1"],
    ["rejects", "retry", "1"],
    ["import", str(EXAMPLES / "movements.csv")],
]


def test_a_database_behind_is_refused_with_both_revisions(
    fresh_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    schema.downgrade(fresh_url, "0002")
    for arguments in NEEDING:
        assert command(fresh_url, monkeypatch, *arguments) == 5, arguments
        said = capsys.readouterr().err
        assert "0002" in said and schema.head_revision() in said, arguments
        assert "hint: run loader db upgrade" in said
    assert command(fresh_url, monkeypatch, "db", "upgrade") == 0
    assert command(fresh_url, monkeypatch, "db", "check") == 0


def test_a_database_ahead_is_refused_with_both_revisions(
    fresh_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(fresh_url) as connection:
        connection.execute("update core.revision set version_num = '9999'")
    before = contents(fresh_url)
    for arguments in [*NEEDING, ["db", "upgrade"], ["db", "upgrade", "0001"], ["db", "downgrade", "base"]]:  # fmt: skip
        assert command(fresh_url, monkeypatch, *arguments) == 5, arguments
        said = capsys.readouterr().err
        assert "9999" in said and schema.head_revision() in said, arguments
        assert "hint: install the newer loader" in said
    assert contents(fresh_url) == before


def test_an_empty_database_is_behind(
    database: Callable[[], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = database()
    assert command(url, monkeypatch, "db", "check") == 5
    assert "revision none" in capsys.readouterr().err
    assert command(url, monkeypatch, "db", "current") == 0
    assert capsys.readouterr().out.startswith("none (head ")


def test_code_that_differs_is_refused(fresh_url: str, tree: Path) -> None:
    append(tree / "plpython/weighhouse/stock.py", "\n# changed\n")
    with psycopg.connect(fresh_url) as connection:
        with pytest.raises(SchemaMismatch) as refused:
            schema.require_current(connection)
        assert refused.value.hint == "run loader db upgrade"
        connection.rollback()
        schema.upgrade(fresh_url)
        schema.require_current(connection)


# ------------------------------------------------------------------------ sessions open all the time


def answer(tree: Path, text: str) -> None:
    """Let internal.answer() give `text`, and internal.answer(0) fail."""
    (tree / "plpython/weighhouse/answer.py").write_text(
        f'"""An answer."""\n\n\ndef answer(divisor):\n    1 / divisor\n    return "{text}"\n'
    )
    (tree / "sql/40_kernels/answer.sql").write_text(
        "create function internal.answer(divisor int default 1) returns text language plpython3u\n"
        "set search_path = pg_catalog, pg_temp\nas $python$\n"
        "from weighhouse import answer\nreturn answer.answer(divisor)\n$python$;\n"
    )


def test_sessions_open_across_an_upgrade_get_the_new_code_or_are_told(
    fresh_url: str, tree: Path
) -> None:
    answer(tree, "first")
    schema.upgrade(fresh_url)
    ask = "select internal.answer()"
    count = """
        create function pg_temp.held() returns text language plpython3u as $$
        import sys
        keys = [key for key in GD if isinstance(key, str) and len(key) == 16]
        modules = [name for name in sys.modules if name.startswith("weighhouse")]
        return f"{len(keys)} {len(GD)} {len(modules)} {len(sys.meta_path)}"
        $$"""
    with (
        psycopg.connect(fresh_url, autocommit=True) as open_session,
        psycopg.connect(fresh_url) as snapshot,
    ):
        assert open_session.execute(ask).fetchall() == [("first",)]
        open_session.execute(count)
        held = open_session.execute("select pg_temp.held()").fetchall()
        assert held[0][0].startswith("1 ")
        snapshot.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert snapshot.execute(ask).fetchall() == [("first",)]
        for text in ("second", "third", "fourth"):
            answer(tree, text)
            assert schema.upgrade(fresh_url).changed
            assert open_session.execute(ask).fetchall() == [(text,)]
        # However many versions a session has met, it keeps one.
        assert open_session.execute("select pg_temp.held()").fetchall() == held
        with pytest.raises(psycopg.Error) as refused:
            snapshot.execute(ask)
        # Where the session has looked the name up before it hears of the drop, the server says so itself.
        if "cache lookup failed for function" not in str(refused.value):
            assert refused.value.sqlstate == "ML901"
            assert refused.value.diag.message_hint
        snapshot.rollback()
        assert snapshot.execute(ask).fetchall() == [("fourth",)]
        with pytest.raises(psycopg.Error) as failed:
            open_session.execute("select internal.answer(0)")
        # Line 5 of the stored module, line 2 of the wrapper's body as it stands in the file.
        assert "line 5, in answer" in str(failed.value)
        assert "line 3, in <module>" in str(failed.value)


def test_modules_know_their_source_for_tracebacks(fresh_url: str, tree: Path) -> None:
    answer(tree, "first")
    schema.upgrade(fresh_url)
    with psycopg.connect(fresh_url) as connection:
        connection.execute("select internal.answer()")
        connection.execute("""
            create function pg_temp.told() returns text language plpython3u as $$
            import traceback
            from weighhouse import answer
            try:
                answer.answer(0)
            except ZeroDivisionError:
                return traceback.format_exc()
            $$""")
        row = connection.execute("select pg_temp.told()").fetchone()
    assert row is not None
    assert 'File "<core.python_module weighhouse.answer>", line ' in row[0]
    assert "1 / divisor" in row[0]


# --------------------------------------------------------------------------------------- outsiders


def test_views_of_outsiders_on_bi_survive_an_upgrade_with_new_columns(
    fresh_url: str, tree: Path
) -> None:
    load(fresh_url, files=2)
    with psycopg.connect(fresh_url) as connection:
        connection.execute("create view public.mine as select item, a, b from bi.coefficient")
        connection.execute(
            "create view public.curve as select bi.curve_loss('exp', 0.1, 0.1, 0, 7) as s"
        )
    before = one(fresh_url, "select count(*) from public.mine where a is not null")
    assert before > 0
    path = tree / "sql/90_views/coefficient.sql"
    path.write_text(
        path.read_text("utf-8").replace(" as time\nfrom", " as time, 1 as brand_new\nfrom")
        + "comment on column bi.coefficient.brand_new is 'New.';\n",
        "utf-8",
    )
    assert schema.upgrade(fresh_url).changed
    assert one(fresh_url, "select max(brand_new) from bi.coefficient") == 1
    assert one(fresh_url, "select count(*) from public.mine where a is not null") == before
    assert one(fresh_url, "select s from public.curve") == pytest.approx(0.0503415)
    with pytest.raises(Refused) as refused:
        schema.downgrade(fresh_url, "0002")
    assert "view public.mine depends on view bi.coefficient" in (refused.value.detail or "")
    assert one(fresh_url, "select count(*) from public.mine where a is not null") == before


def test_a_bi_view_cannot_lose_or_move_a_column(fresh_url: str, tree: Path) -> None:
    before = structure(fresh_url)
    path = tree / "sql/90_views/coefficient.sql"
    path.write_text(
        path.read_text("utf-8").replace("n.id as item_id, n.name as item,", "n.name as item, n.id as item_id,"),
        "utf-8",
    )  # fmt: skip
    with pytest.raises(Refused, match=r"^sql/90_views/coefficient\.sql"):
        schema.upgrade(fresh_url)
    assert structure(fresh_url) == before


def test_the_columns_of_bi_are_those_promised(db: psycopg.Connection[Any]) -> None:
    promised = {}
    for line in (ROOT / "tests/db/bi_columns.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, columns = line.partition(": ")
            promised[name] = columns.split()
    assert len(promised) >= 11
    found = dict(
        db.execute(
            """
            select c.relname, array_agg(a.attname::text order by a.attnum)
            from pg_class as c
            inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
            where c.relnamespace = 'bi'::regnamespace and c.relkind = 'v'
            group by c.relname
            """
        ).fetchall()
    )
    kept = {name: found.get(name, [])[: len(columns)] for name, columns in promised.items()}
    assert kept == promised


def test_an_outsiders_use_of_internal_code_blocks_the_upgrade_and_is_named(
    fresh_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(fresh_url) as connection:
        connection.execute("create view public.theirs as select internal.name_key('х') as key")
    before = structure(fresh_url)
    assert command(fresh_url, monkeypatch, "db", "upgrade", "--force") == 4
    said = capsys.readouterr().err
    assert "view public.theirs depends on function internal.name_key(text)" in said
    assert "nothing was changed" in said and "hint:" in said
    assert structure(fresh_url) == before
    assert one(fresh_url, "select key from public.theirs") == "Х"


def test_an_outsiders_table_in_our_schemas_blocks_leaving_and_is_named(fresh_url: str) -> None:
    with psycopg.connect(fresh_url) as connection:
        connection.execute("create table bi.theirs (id int)")
    with pytest.raises(Refused) as refused:
        schema.downgrade(fresh_url, "base")
    assert "bi.theirs" in (refused.value.detail or "")
    assert one(fresh_url, "select version_num from core.revision") == schema.head_revision()


def test_a_second_copy_of_the_database_is_current(server_url: str, template: str) -> None:
    with copied(server_url, template) as url:
        with psycopg.connect(url) as connection:
            schema.require_current(connection)
            rows = connection.execute("select internal.check_code()").fetchall()
        assert rows == [(len(schema.python_modules()),)]
