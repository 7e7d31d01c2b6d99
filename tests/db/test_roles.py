"""Who may do what, as sql/99_grants declares it; and what an attacker's objects do to ours: nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from loader import schema
from tests.conftest import admin, in_database

OWNER, FITTER, ANALYST, BI, NOBODY = "owner", "fitter", "analyst", "bi", "nobody"
ROLES = (OWNER, FITTER, ANALYST, BI, NOBODY)
ALL_BUT_NOBODY = {OWNER, FITTER, ANALYST, BI}
READERS = {OWNER, FITTER, ANALYST}
WRITERS = {OWNER, FITTER}
# What is tried, and which of the roles may.
ACTIONS: dict[str, set[str]] = {
    "select count(*) from bi.coefficient": ALL_BUT_NOBODY,
    "select count(*) from bi.balance": ALL_BUT_NOBODY,
    "select count(*) from bi.analytics": ALL_BUT_NOBODY,
    "select bi.curve_loss('exp', 0.1, 0.1, 0, 7)": ALL_BUT_NOBODY,
    "select count(*) from core.nomenclature": READERS,
    "select count(*) from core.calculation_data": READERS,
    "select count(*) from calculation_data": READERS,
    "select count(*) from core.python_module": READERS,
    "select * from api.coefficient('ЛЕЩ')": READERS,
    "select * from api.shrinkage('ЛЕЩ', 10)": READERS,
    "select * from api.check_facts()": READERS,
    "select count(*) from bi.shrinkage_by_cause": ALL_BUT_NOBODY,
    "select api.norm_percent(1, 2)": READERS,
    "select * from api.norm_loss('ЛЕЩ')": READERS,
    "select api.add_norm('frozen', 'turnover', 'retail', '0.4')": WRITERS,
    "select api.end_norm(1, '2025-01-01')": WRITERS,
    "select api.drop_norm(1)": WRITERS,
    "select api.set_norm_profile('main', 'retail')": WRITERS,
    "select * from api.search('лещ')": READERS,
    "select * from api.list_periods(item => '1', flag => 'unit_jump')": READERS,
    "select * from api.list_changes()": READERS,
    "select * from api.compare_coefficients('1', 1, 2)": READERS,
    "select * from api.resolve_errors('{1}')": WRITERS,
    "select * from api.restore_coefficient('1', 1, 'x')": WRITERS,
    "delete from core.audit_log": {OWNER},
    "update core.audit_log set reason = ''": {OWNER},
    "select count(*) from bi.audit": ALL_BUT_NOBODY,
    "select api.add_surplus_specification('ЛЕЩ', 0.05, '2025-01-01')": WRITERS,
    "select * from api.account_stock()": WRITERS,
    "select * from api.fit_shrinkage()": WRITERS,
    "select * from api.undo_import(1)": WRITERS,
    "select * from api.forecast_next_count()": WRITERS,
    "select * from api.backfill_forecasts('-infinity')": WRITERS,
    "select * from api.settle_forecasts()": WRITERS,
    "select * from api.refresh_analytics()": WRITERS,
    "select api.add_priority_period('2025-03-01', '2025-04-01', 5)": WRITERS,
    "select api.end_priority_period(1)": WRITERS,
    "select count(*) from bi.next_count": ALL_BUT_NOBODY,
    "select count(*) from bi.shrinkage_weighted": ALL_BUT_NOBODY,
    "select count(*) from core.analytics": READERS,
    "select internal.human_error_probability('{}')": WRITERS,
    "select internal.load_code('0123456789abcdef')": READERS,
    "select * from api.forecast('sales')": READERS,
    "select * from api.create_model('m', 'core.settings', 'a', 'b')": WRITERS,
    "select * from api.fit_model('sales')": WRITERS,
    "select * from api.evaluate_model('sales')": WRITERS,
    "select * from api.compare_versions('sales', 1, 2)": WRITERS,
    "select * from api.deploy_version('sales', 1)": WRITERS,
    "select * from api.rollback_model('sales')": WRITERS,
    "select * from api.drop_model('sales')": WRITERS,
    "select * from api.record_actuals('sales')": WRITERS,
    "select * from api.prune_cache()": WRITERS,
    "select api.invalidate_cache()": WRITERS,
    "select * from api.verify_cache()": WRITERS,
    "update cache.ml_models set label = ''": WRITERS,
    "select count(*) from cache.ml_models": READERS,
    "select count(*) from bi.anomaly": ALL_BUT_NOBODY,
    "select count(*) from bi.metric_trend": ALL_BUT_NOBODY,
    "select count(*) from bi.model_artifact": ALL_BUT_NOBODY,
    "select * from api.list_anomalies()": READERS,
    "select * from api.list_artifacts()": READERS,
    "select * from api.metric_summary()": READERS,
    "select api.export_model('sales')": READERS,
    "select * from api.export_native('sales')": READERS,
    "select * from api.explain_change('core.settings', null, '{name}', 'value', '2025-01-01', '2025-01-02', '2025-01-01', '2025-01-02')": READERS,
    "select * from api.find_anomalies('sales')": WRITERS,
    "select * from api.find_change_points('sales')": WRITERS,
    "select * from api.acknowledge_anomalies('{1}')": WRITERS,
    "select api.set_anomaly_threshold('sales', 4)": WRITERS,
    "select * from api.delete_artifact(null)": WRITERS,
    "insert into core.warehouses (name) values ('x')": WRITERS,
    "update core.settings set value = default_value": WRITERS,
    "delete from core.nomenclature_alias": WRITERS,
    "insert into staging.row (line) values (1)": WRITERS,
    "select count(*) from staging.row": WRITERS,
    "insert into core.python_module values ('weighhouse.evil', '', false, '')": {OWNER},
    "update core.python_module set source = ''": {OWNER},
    "delete from core.python_module": {OWNER},
    "update core.release set code_sha256 = ''": {OWNER},
    "update core.revision set version_num = '0001'": {OWNER},
    "truncate core.source_data cascade": {OWNER},
    "create table core.mine (id int)": {OWNER},
    "create table staging.mine (id int)": {OWNER},
    "create view bi.mine as select 1 as x": {OWNER},
    "create function api.mine() returns int language sql return 1": {OWNER},
    "create or replace function bi.curve_loss(family text, a float8, b float8, c float8, age float8)"
    " returns float8 language sql return 0": {OWNER},
    "create trigger mine before insert on core.warehouses for each row"
    " execute function suppress_redundant_updates_trigger()": {OWNER},
    "drop table core.batches": {OWNER},
    "drop function api.check_facts()": {OWNER},
    "create table public.mine (id int)": set(),
    "create function public.mine() returns int language sql return 1": set(),
    "create schema mine": set(),
    "create function api.mine() returns int language plpython3u as 'return 1'": set(),
    "do language plpython3u 'pass'": set(),
    "copy (select 1) to program 'true'": set(),
    "copy staging.row from program 'true'": set(),
    "copy (select 1) to '/tmp/weighhouse'": set(),
    "select pg_read_file('/etc/hostname')": set(),
    "create role mine": set(),
    "alter database postgres set search_path = mine": set(),
    "set role postgres": set(),
    "checkpoint": set(),
}


@pytest.fixture(scope="module")
def nobody(server_url: str) -> Iterator[str]:
    """A role that is a member of nothing."""
    name = f"wh_nobody_{uuid.uuid4().hex[:8]}"
    with admin(server_url) as connection:
        connection.execute(sql.SQL("create role {}").format(sql.Identifier(name)))
    yield name
    with admin(server_url) as connection:
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.fixture
def member(server_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A login of its own, member of one of our roles."""
    name = f"wh_member_{uuid.uuid4().hex[:8]}"
    with admin(server_url) as connection:
        connection.execute(
            sql.SQL("create role {} login in role {}").format(
                sql.Identifier(name), sql.Identifier(f"weighhouse_{request.param}")
            )
        )
    yield name
    with admin(server_url) as connection:
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def be(connection: psycopg.Connection[Any], role: str) -> None:
    """Be a role and nothing else, as after a login: `reset role` leads nowhere."""
    connection.execute(sql.SQL("set session authorization {}").format(sql.Identifier(role)))


@pytest.mark.parametrize("role", ROLES)
def test_matrix(db: psycopg.Connection[Any], nobody: str, role: str) -> None:
    be(db, nobody if role == NOBODY else f"weighhouse_{role}")
    db.execute("create temp table result (x int)")
    wrong = []
    for action, may in ACTIONS.items():
        if action == "set role postgres":
            action = "select set_config('role', rolname, true) from pg_roles where oid = 10"
        try:
            with db.transaction(force_rollback=True):
                db.execute(action)
            state = "00000"
        except psycopg.Error as error:
            state = error.sqlstate or "?"
        # An error of the matter itself (no such product) is no refusal.
        allowed = state not in ("42501", "42P01")
        if allowed != (role in may):
            wrong.append(f"{action}: {state}")
    assert wrong == []


def test_the_tools_role_sees_views_only(db: psycopg.Connection[Any]) -> None:
    seen = db.execute(
        """
        select c.oid::regclass::text from pg_class as c
        where c.relnamespace::regnamespace::text in ('core', 'staging', 'cache', 'internal', 'api', 'bi')
          and c.relkind in ('r', 'p', 'v', 'm', 'S')
          and case c.relkind when 'S' then has_sequence_privilege('weighhouse_bi', c.oid, 'usage, select')
              else has_any_column_privilege('weighhouse_bi', c.oid, 'select, insert, update')
                or has_table_privilege('weighhouse_bi', c.oid, 'select, insert, update, delete, truncate, trigger') end
        """
    ).fetchall()
    views = db.execute(
        "select c.oid::regclass::text from pg_class as c"
        " where c.relnamespace = 'bi'::regnamespace and c.relkind = 'v'"
    ).fetchall()
    assert sorted(seen) == sorted(views)
    called = db.execute(
        """
        select p.oid::regprocedure::text from pg_proc as p
        where p.pronamespace::regnamespace::text in ('internal', 'api', 'core')
          and has_function_privilege('weighhouse_bi', p.oid, 'execute')
        """
    ).fetchall()
    assert called == []
    assert db.execute(
        "select n.nspname from pg_namespace as n where has_schema_privilege('weighhouse_bi', n.oid, 'usage')"
        " and n.nspname in ('core', 'staging', 'cache', 'internal', 'api', 'bi')"
    ).fetchall() == [("bi",)]  # fmt: skip


def test_our_roles_can_do_nothing_to_the_server(db: psycopg.Connection[Any]) -> None:
    rows = db.execute(
        "select rolname from pg_roles where rolname like 'weighhouse\\_%' and (rolcanlogin or rolsuper"
        " or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)"
    ).fetchall()
    assert rows == []
    memberships = db.execute(
        "select m.roleid::regrole::text from pg_auth_members as m inner join pg_roles as r on r.oid = m.member"
        " where r.rolname in ('weighhouse_owner', 'weighhouse_fitter', 'weighhouse_analyst', 'weighhouse_bi')"
    ).fetchall()
    assert memberships == []


def test_the_tools_role_has_its_settings(empty_url: str) -> None:
    schema.upgrade(empty_url)
    with psycopg.connect(empty_url) as connection:
        rows = connection.execute(
            """
            select unnest(s.setconfig) from pg_db_role_setting as s
            where s.setrole = 'weighhouse_bi'::regrole
              and s.setdatabase = (select d.oid from pg_database as d where d.datname = current_database())
            """
        ).fetchall()
    assert {row[0] for row in rows} == {"statement_timeout=30s", "default_transaction_read_only=on"}


def test_what_the_owner_makes_is_not_everyones(db: psycopg.Connection[Any]) -> None:
    be(db, "weighhouse_owner")
    db.execute("create function api.added_later() returns int language sql return 1")
    db.execute("reset session authorization")
    be(db, "weighhouse_analyst")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute("select api.added_later()")


# ------------------------------------------------------------------------ PL/Python, as nobody great


@pytest.mark.parametrize("member", ["fitter"], indirect=True)
def test_python_runs_for_a_plain_member_in_every_database(
    server_url: str, fresh_url: str, shared_url: str, member: str
) -> None:
    balances = (
        "select closing_grams, shortage_grams from internal.account_rows("
        "array[0], array[604800], array[10000], array[5000], array[4000], array[10800],"
        " array[null::float8], true, 5)"
    )
    for url in (fresh_url, shared_url, fresh_url):
        with psycopg.connect(url) as connection:
            be(connection, member)
            assert connection.execute("select rolsuper from pg_roles where rolname = current_user"
                                      ).fetchone() == (False,)  # fmt: skip
            # 10 + 5 - 4 = 11 kg in the book, 10.8 counted.
            assert connection.execute(balances).fetchall() == [(10800, 200)]
            connection.rollback()


@pytest.mark.parametrize("member", ["bi"], indirect=True)
def test_a_member_of_the_tools_role_reads_by_bare_names(fresh_url: str, member: str) -> None:
    with psycopg.connect(fresh_url) as connection:
        be(connection, member)
        for name in ("coefficient", "balance", "dim_item", "analytics"):
            connection.execute(sql.SQL("select * from {}").format(sql.Identifier(name)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from core.source_data")


# ---------------------------------------------------------------------------------------- attackers

TRAPS = """
create table if not exists public.trapped (what text);
create function public.lower(value text) returns text language plpgsql
    as $$ begin insert into public.trapped values ('lower'); return 'trapped'; end $$;
create function public.upper(value varchar) returns text language plpgsql
    as $$ begin insert into public.trapped values ('upper'); return 'trapped'; end $$;
create function public.btrim(value text, what unknown_text) returns text language plpgsql
    as $$ begin insert into public.trapped values ('btrim'); return 'trapped'; end $$;
create function public.hashtextextended(value text, seed int) returns bigint language plpgsql
    as $$ begin insert into public.trapped values ('hash'); return 0; end $$;
create function public.format(value text, what bigint) returns text language plpgsql
    as $$ begin insert into public.trapped values ('format'); return 'trapped'; end $$;
create function public.exp(value int) returns float8 language plpgsql
    as $$ begin insert into public.trapped values ('exp'); return 0; end $$;
create function public.wrong(a float8, b int) returns boolean language plpgsql
    as $$ begin insert into public.trapped values ('>'); return false; end $$;
create operator public.> (leftarg = float8, rightarg = int, function = public.wrong);
create operator public.< (leftarg = float8, rightarg = int, function = public.wrong);
create operator public.>= (leftarg = float8, rightarg = int, function = public.wrong);
"""


def test_functions_and_operators_in_public_have_no_effect(empty_url: str) -> None:
    """The traps fit our calls better than PostgreSQL's own, and are there before the upgrade."""
    with psycopg.connect(empty_url) as connection:
        connection.execute("create domain public.unknown_text as text")
        connection.execute(TRAPS)
        connection.commit()
        # They are traps: on the path of a plain session they win.
        connection.execute("set search_path = public")
        assert connection.execute("select hashtextextended('a'::text, 0)").fetchone() == (0,)
        assert connection.execute("select 2::float8 > 1").fetchone() == (False,)
        connection.rollback()
    schema.upgrade(empty_url)
    with psycopg.connect(empty_url) as connection:
        bound = connection.execute(
            """
            select distinct d.classid::regclass::text, d.objid, d.refobjid from pg_depend as d
            inner join (
                select 'pg_proc'::regclass as class, p.oid from pg_proc as p where p.pronamespace = 'public'::regnamespace
                union all
                select 'pg_operator'::regclass, o.oid from pg_operator as o where o.oprnamespace = 'public'::regnamespace
            ) as trap on trap.class = d.refclassid and trap.oid = d.refobjid
            where d.deptype = 'n' and d.classid in ('pg_proc'::regclass, 'pg_rewrite'::regclass, 'pg_constraint'::regclass,
                'pg_attrdef'::regclass)
              and not exists (
                  select from pg_depend as e where e.classid = d.refclassid and e.objid = d.refobjid and e.deptype = 'e'
              )
            """
        ).fetchall()
        assert bound == []
        connection.execute("set search_path = public, pg_catalog")
        connection.execute("create temp table nomenclature (id int, name text)")
        connection.execute("create temp table settings (name text, value jsonb)")
        connection.execute("insert into core.warehouses (name) values ('склад')")
        connection.execute(
            "insert into core.nomenclature (name, name_key) values ('Лещ', internal.name_key('Лещ'))"
        )
        row = connection.execute(
            "select internal.name_key(' лещ  х\\к '), internal.setting('fit.cv'),"
            " internal.movement_key(1, 'sale', 'a', null), internal.unit_factor('KG'),"
            " bi.curve_loss('exp', 1, 1, 0, 1), internal.parse_number('1 234,5')"
        ).fetchone()
        assert row is not None
        assert row[:2] == ("ЛЕЩ Х/К", pytest.approx(0.25))
        assert row[2] != 0 and row[3] == 1
        assert row[4] == pytest.approx(0.6321205588)
        assert float(row[5]) == 1234.5
        connection.execute("select * from api.account_stock()")
        connection.execute("select * from api.fit_shrinkage()")
        assert connection.execute("select item from api.shrinkage('лещ', 10)").fetchall() == [
            ("Лещ",)
        ]
        assert connection.execute("select * from public.trapped").fetchall() == []


@pytest.mark.parametrize(
    "text",
    [
        "'; drop table core.nomenclature; --",
        '"; create table public.hacked (x int); --',
        "1); create table public.hacked (x int); select (1",
        "$$; create table public.hacked (x int); $$",
        "%s %I {} \\",
    ],
)
def test_text_arguments_are_text(db: psycopg.Connection[Any], text: str) -> None:
    be(db, "weighhouse_owner")
    count = "select count(*) from pg_class where relkind in ('r', 'v')"
    before = db.execute(count).fetchone()
    calls = [
        ("select * from api.coefficient(%s)", "22023"),
        ("select * from api.shrinkage(%s, 10)", "22023"),
        ("select api.add_surplus_specification(%s, 0.05, '2025-01-01')", "22023"),
        ("select * from api.fit_shrinkage(jsonb_build_object(%s::text, 1))", "22023"),
        ("select * from api.retry_rejects(999, jsonb_build_object('decimal', %s::text))", "22023"),
        ("select * from api.fit_shrinkage(jsonb_build_object('family', %s::text))", None),
    ]
    for query, state in calls:
        try:
            with db.transaction(force_rollback=True):
                db.execute(query, (text,))
            found = None
        except psycopg.Error as error:
            found = error.sqlstate
            assert error.diag.message_hint, query
        assert found == state or (state is None and found == "22023"), (query, found)
        assert db.execute(count).fetchone() == before


@pytest.mark.parametrize("plan", ["on", "off"])
def test_an_unknown_product_is_refused_whatever_the_plan(
    db: psycopg.Connection[Any], plan: str
) -> None:
    """Where there are no products, a scan of all of them would never ask which one is meant."""
    for setting in ("enable_indexscan", "enable_bitmapscan", "enable_nestloop"):
        db.execute(f"set local {setting} = {plan}")
    for question in (
        "select * from api.coefficient('NO SUCH')",
        "select * from api.shrinkage('NO SUCH', 10)",
        "select * from api.suggested_coefficient('NO SUCH')",
    ):
        with pytest.raises(psycopg.Error) as refused, db.transaction():
            db.execute(question)
        assert refused.value.sqlstate == "22023", question


def test_the_database_of_the_matrix_is_ours(server_url: str, shared_url: str) -> None:
    """The matrix says something only where the connection itself may do everything."""
    with psycopg.connect(in_database(server_url, "postgres")) as connection:
        assert connection.execute("select rolsuper from pg_roles where rolname = current_user"
                                  ).fetchone() == (True,)  # fmt: skip
