"""The catalogue page is what the comments say, on every server and for every reader."""

from __future__ import annotations

from typing import Any

import psycopg

from loader import catalog
from tests.conftest import ROOT


def test_the_committed_page_is_current(db: psycopg.Connection[Any]) -> None:
    page = (ROOT / "sql/CATALOGUE.md").read_text("utf-8")
    assert page == catalog.describe(db), "run: loader describe > sql/CATALOGUE.md"


def test_the_page_does_not_depend_on_the_reader(db: psycopg.Connection[Any]) -> None:
    page = catalog.describe(db)
    for setting in (
        "set search_path = core, internal, api, bi, public",
        "set search_path = ''",
        "set role weighhouse_analyst",
        "set datestyle = 'SQL, DMY'; set timezone = 'Asia/Kathmandu'",
    ):
        db.execute(setting)
        assert catalog.describe(db) == page, setting
    db.execute("reset role")
    db.execute("set search_path = bi, public")
    catalog.describe(db)
    assert db.execute("show search_path").fetchone() == ("bi, public",)


def test_the_page_has_everything_users_touch(db: psycopg.Connection[Any]) -> None:
    page = catalog.describe(db)
    rows = db.execute(
        """
        select 'api.' || p.proname || '(' from pg_proc as p where p.pronamespace = 'api'::regnamespace
        union all
        select n.nspname || '.' || c.relname || E'\\n' from pg_class as c
        inner join pg_namespace as n on n.oid = c.relnamespace
        where n.nspname in ('bi', 'core') and c.relkind in ('r', 'v') and c.relname <> 'revision'
            and c.relname !~ '_day_utc$'
        """
    ).fetchall()
    assert len(rows) > 40
    assert [name for (name,) in rows if f"### {name}" not in page] == []
    db.execute("comment on view bi.balance is E'First | line.\\n\\nSecond <b>.'")
    db.execute("comment on column bi.balance.item is E'a | b\\nc'")
    page = catalog.describe(db)
    assert "### bi.balance\n\nFirst | line.\n\nSecond <b>.\n" in page
    assert "| item | text | a \\| b c |" in page
