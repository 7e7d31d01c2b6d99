"""Conventions, asked of the catalogue: each query lists what breaks one; empty is good."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from loader import datasets
from loader.reading import ReadOptions
from tests.conftest import copied

OURS = "('core', 'staging', 'cache', 'internal', 'api', 'bi')"
HELD = "('core', 'staging', 'cache', 'bi')"

CONVENTIONS = {
    "a schema has a comment": f"""
        select n.nspname from pg_namespace as n
        where n.nspname in {OURS} and coalesce(obj_description(n.oid, 'pg_namespace'), '') = ''""",
    "a table or view has a comment": f"""
        select c.oid::regclass from pg_class as c
        where c.relnamespace::regnamespace::text in {OURS} and c.relkind in ('r', 'p', 'v', 'm', 'f')
          and coalesce(obj_description(c.oid, 'pg_class'), '') = ''""",
    "a column has a comment": f"""
        select c.oid::regclass || '.' || a.attname
        from pg_class as c
        inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace::regnamespace::text in {OURS} and c.relkind in ('r', 'p', 'v', 'm', 'f')
          and coalesce(col_description(c.oid, a.attnum), '') = ''""",
    "a function has a comment": f"""
        select p.oid::regprocedure from pg_proc as p
        where p.pronamespace::regnamespace::text in {OURS}
          and coalesce(obj_description(p.oid, 'pg_proc'), '') = ''""",
    "a type has a comment": f"""
        select t.oid::regtype from pg_type as t left join pg_class as c on c.oid = t.typrelid
        where t.typnamespace::regnamespace::text in {OURS}
          and (c.relkind = 'c' or t.typtype in ('e', 'd', 'r'))
          and coalesce(obj_description(t.oid, 'pg_type'), '') = ''""",
    "a comment is a sentence": f"""
        select d.objoid::regclass || '.' || d.objsubid || ': ' || d.description
        from pg_description as d
        inner join pg_class as c on d.classoid = 'pg_class'::regclass and c.oid = d.objoid
        where c.relnamespace::regnamespace::text in {OURS} and c.relkind in ('r', 'p', 'v')
          and split_part(d.description, E'\\n', 1) !~ '[.;:)]$'""",
    "an index says what it is for": f"""
        select i.indexrelid::regclass from pg_index as i inner join pg_class as c on c.oid = i.indrelid
        where c.relnamespace::regnamespace::text in {HELD}
          and not exists (select from pg_constraint as k where k.conindid = i.indexrelid)
          and coalesce(obj_description(i.indexrelid, 'pg_class'), '') !~ '^Usage: '""",
    "nothing is executable by everyone": f"""
        select p.oid::regprocedure from pg_proc as p
        cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
        where p.pronamespace::regnamespace::text in {OURS} and a.grantee = 0""",
    "nothing is readable by everyone": f"""
        select c.oid::regclass from pg_class as c
        cross join lateral aclexplode(c.relacl) as a
        where c.relnamespace::regnamespace::text in {OURS} and a.grantee = 0
        union all
        select n.oid::regnamespace::text::regclass from pg_namespace as n
        cross join lateral aclexplode(n.nspacl) as a
        where n.nspname in {OURS} and a.grantee = 0""",
    "a body kept as text fixes its search_path": f"""
        select p.oid::regprocedure from pg_proc as p
        where p.pronamespace::regnamespace::text in {OURS} and p.prosqlbody is null and p.prokind <> 'a'
          -- One that commits may not, and says so first thing, and again after each commit.
          and not (p.prokind = 'p' and p.prosrc ~ 'begin[[:space:]]+set local search_path'
              and p.prosrc !~ 'commit;(?![[:space:]]+set local search_path)')
          and not exists (
              select from unnest(p.proconfig) as s where s ~ '^search_path=pg_catalog(, pg_temp)?$'
          )""",
    # But the triggers of the audit trail, which nobody else may write; nobody can call them or use them in a trigger of his own.
    # And the four that make and drop the tables of datasets (tests/db/test_datasets.py tries what they could be made to do).
    "no function runs with the rights of its owner": f"""
        select p.oid::regprocedure from pg_proc as p
        where p.pronamespace::regnamespace::text in {OURS} and p.prosecdef
          and not (p.proname in ('record_change', 'record_bulk_delete') and p.pronamespace = 'core'::regnamespace
              and p.prorettype = 'trigger'::regtype
              and not has_function_privilege('weighhouse_fitter', p.oid, 'execute'))
          and not (p.pronamespace = 'internal'::regnamespace and not has_function_privilege('weighhouse_analyst', p.oid, 'execute')
              and p.proname in ('make_dataset_table', 'seal_dataset_table', 'show_newest_dataset', 'drop_dataset_table'))""",
    "everything belongs to weighhouse_owner": f"""
        select p.oid::regprocedure::text from pg_proc as p
        where p.pronamespace::regnamespace::text in {OURS} and p.proowner <> 'weighhouse_owner'::regrole
        union all
        select c.oid::regclass::text from pg_class as c
        where c.relnamespace::regnamespace::text in {OURS} and c.relkind in ('r', 'p', 'v', 'm', 'S')
          and c.relowner <> 'weighhouse_owner'::regrole
        union all
        select t.oid::regtype::text from pg_type as t left join pg_class as c on c.oid = t.typrelid
        where t.typnamespace::regnamespace::text in {OURS} and (c.relkind = 'c' or t.typtype in ('e', 'd', 'r'))
          and t.typowner <> 'weighhouse_owner'::regrole""",
    "a moment has a zone": f"""
        select c.oid::regclass || '.' || a.attname
        from pg_class as c
        inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace::regnamespace::text in {HELD} and c.relkind in ('r', 'p', 'v', 'm')
          and a.atttypid in ('timestamp'::regtype, 'time'::regtype, 'timestamp[]'::regtype)""",
    "bi is flat": """
        select c.oid::regclass || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
        from pg_class as c
        inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = 'bi'::regnamespace and c.relkind in ('v', 'm')
          and a.atttypid not in ('int'::regtype, 'bigint'::regtype, 'float8'::regtype, 'text'::regtype,
              'timestamptz'::regtype, 'date'::regtype, 'boolean'::regtype)""",
    "bi holds views only": """
        select c.oid::regclass from pg_class as c
        where c.relnamespace = 'bi'::regnamespace and c.relkind not in ('v', 'i')""",
    "names are lower_snake_case": f"""
        select 'relation ' || c.relname from pg_class as c
        where c.relnamespace::regnamespace::text in {OURS} and c.relname !~ '^[a-z][a-z0-9_]*$'
        union all
        select c.relname || '.' || a.attname from pg_class as c
        inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace::regnamespace::text in {OURS} and a.attname !~ '^[a-z][a-z0-9_]*$'
        union all
        select 'function ' || p.proname from pg_proc as p
        where p.pronamespace::regnamespace::text in {OURS} and p.proname !~ '^[a-z][a-z0-9_]*$'
        union all
        select p.proname || ' ' || n.name from pg_proc as p cross join lateral unnest(p.proargnames) as n (name)
        where p.pronamespace::regnamespace::text in {OURS} and n.name !~ '^[a-z][a-z0-9_]*$'
        union all
        select 'type ' || t.typname from pg_type as t
        where t.typnamespace::regnamespace::text in {OURS} and t.typtype <> 'b' and t.typname !~ '^[a-z][a-z0-9_]*$'""",
    "callers can name every argument": """
        select p.oid::regprocedure from pg_proc as p
        where p.pronamespace in ('api'::regnamespace, 'internal'::regnamespace, 'bi'::regnamespace)
          and p.pronargs > 0 and (p.proargnames is null or '' = any(p.proargnames[:p.pronargs]))""",
    "no name has two functions in api": """
        select p.proname from pg_proc as p where p.pronamespace = 'api'::regnamespace
        group by p.proname having count(*) > 1""",
    "state calls no code": """
        select d.classid::regclass || ' ' || d.objid || ' uses ' || p.oid::regprocedure
        from pg_depend as d
        inner join pg_proc as p on d.refclassid = 'pg_proc'::regclass and p.oid = d.refobjid
        where p.pronamespace in ('api'::regnamespace, 'internal'::regnamespace)
          and d.classid not in ('pg_proc'::regclass)""",
    "a key on a hypertable carries its time": """
        select k.conrelid::regclass || ' ' || k.conname
        from pg_constraint as k
        inner join timescaledb_information.dimensions as d
            on k.conrelid = format('%I.%I', d.hypertable_schema, d.hypertable_name)::regclass
        where k.contype in ('p', 'u') and not exists (
            select from pg_attribute as a
            where a.attrelid = k.conrelid and a.attnum = any(k.conkey) and a.attname = d.column_name
        )""",
}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_convention(db: psycopg.Connection[Any], convention: str) -> None:
    broken = [str(row[0]) for row in db.execute(CONVENTIONS[convention]).fetchall()]
    assert broken == [], convention


BREAKING = {
    "a column has a comment": "alter table core.batches add column extra int",
    "a function has a comment": "create function api.extra() returns int language sql return 1",
    "nothing is executable by everyone": "grant execute on function api.check_facts() to public",
    "a body kept as text fixes its search_path": "alter function api.account_stock() reset search_path",
    "a moment has a zone": "alter table core.batches add column extra timestamp",
    "bi is flat": "create view bi.extra as select '{}'::jsonb as extra",
    "an index says what it is for": "create index on core.batches (supplier)",
    "names are lower_snake_case": 'alter table core.batches add column "Extra" int',
    "state calls no code": "alter table core.batches add check (internal.setting('x') is null)",
    "everything belongs to weighhouse_owner": "create view bi.extra as select 1 as extra",
    "nothing is readable by everyone": "grant select on bi.balance to public",
}


@pytest.mark.parametrize("convention", BREAKING)
def test_a_broken_convention_is_found(db: psycopg.Connection[Any], convention: str) -> None:
    db.execute(BREAKING[convention])
    assert db.execute(CONVENTIONS[convention]).fetchall(), convention


def test_no_table_takes_nan_or_infinity(db: psycopg.Connection[Any]) -> None:
    """Each stored figure is tried alone against the checks of its table."""
    columns = db.execute(
        """
        select a.attrelid::regclass::text, a.attname, format_type(a.atttypid, a.atttypmod),
               (select string_agg(format('%s as %I',
                    case when x.attnum = a.attnum then '$1::' else 'null::' end
                    || format_type(x.atttypid, x.atttypmod), x.attname), ', ')
                from pg_attribute as x where x.attrelid = a.attrelid and x.attnum > 0 and not x.attisdropped),
               (select string_agg('(' || pg_get_expr(k.conbin, k.conrelid) || ')', ' and ')
                from pg_constraint as k where k.conrelid = a.attrelid and k.contype = 'c')
        from pg_attribute as a
        inner join pg_class as c on c.oid = a.attrelid and c.relkind = 'r'
        where c.relnamespace in ('core'::regnamespace, 'cache'::regnamespace) and a.attnum > 0
          and a.atttypid in ('float8'::regtype, 'float4'::regtype, 'numeric'::regtype) and a.attgenerated = ''
        order by 1, 2
        """
    ).fetchall()
    assert len(columns) > 50
    taken = []
    for table, column, kind, row, checks in columns:
        values = ["NaN"] if "(" in kind else ["NaN", "Infinity", "-Infinity"]
        for value in values:
            query = f"select ({checks or 'true'}) is not false from (select {row}) as r".replace(
                "$1", f"'{value}'"
            )
            if db.execute(query).fetchone() == (True,):
                taken.append(f"{table}.{column} {value}")
    assert taken == []


# ------------------------------------------------------------------- the tables users know by name

TABLES = {
    "source_data": "id file_name file_path upload_date file_hash processed quality_score",
    "nomenclature": "id name product_type product_type_code created_date validation_flags",
    "calculation_data": "id source_data_id nomenclature_id initial_balance incoming outgoing"
    " final_balance storage_days calculation_date data_quality_flag inventory_confidence"
    " inventory_period_start inventory_period_end is_valid_inventory_period"
    " is_preliminary_forecast preliminary_period_end human_error_probability validation_errors"
    " manual_review_required pre_shrinkage_days pre_shrinkage_amount adjusted_shrinkage_rate"
    " inventory_shrinkage_total actual_deduction_batch fifo_principle_applied fifo_batch_sequence",
    "models": "id name model_type description version created_date",
    "coefficients": "id calculation_data_id model_id coefficient_a coefficient_b coefficient_c"
    " accuracy_r2 calculation_date adjusted_for_pre_shrinkage pre_shrinkage_factor"
    " effective_shrinkage_rate",
    "forecasts": "id coefficient_id forecast_value actual_value deviation forecast_date",
    "analytics": "nomenclature_id model_id avg_accuracy total_calculations period_start period_end"
    " last_updated",
    "ai_patterns": "id pattern_type description confidence_level affected_nomenclature"
    " discovery_date pattern_data",
    "validation_errors": "id calculation_data_id error_type description severity_level detected_by"
    " detection_date resolved resolution_date notes file_name line raw_text",
    "priority_periods": "id period_start period_end priority_level description created_by"
    " created_date active",
    "preliminary_forecasts": "id calculation_data_id forecast_model_id forecast_period_days"
    " expected_shrinkage confidence_level forecast_date actual_shrinkage forecast_accuracy notes"
    " pre_shrinkage_adjusted adjusted_expected_shrinkage batch_storage_history",
    "surplus_specifications": "id nomenclature_id surplus_percentage specification_start_date"
    " specification_end_date is_active created_date created_by notes",
    "surplus_recommendations": "id nomenclature_id recommended_surplus_percentage confidence_level"
    " analysis_period_start analysis_period_end calculation_method supporting_data created_date"
    " is_accepted acceptance_date",
    "surplus_patterns": "id nomenclature_id product_type surplus_percentage pattern_condition"
    " is_active created_date created_from_recommendation_id validation_count last_validated_date"
    " confidence_level feedback_count last_feedback_date",
    "pattern_validations": "id surplus_pattern_id validation_date actual_surplus_percentage"
    " predicted_surplus_percentage deviation validation_result user_feedback is_confirmed"
    " confirmation_date",
    "feedback_preferences": "id feedback_frequency auto_confirm_threshold is_active created_date"
    " updated_date",
    "ml_model_registry": "id model_name version algorithm_type parameters training_date"
    " accuracy_metrics is_active created_by created_date notes",
    "ml_models": "id model_name upload_id data_hash parameters data_length last_data_date"
    " trained_at last_used_at version supports_incremental",
    "model_versions": "id model version status metrics options feature_importance window_start"
    " window_end created_date deployed_at",
    "model_retraining_log": "model trigger old_version new_version old_score new_score"
    " improvement_percent decision decision_reason started_at finished_at error",
    "training_run": "id model status started_at finished_at",
    "data_lineage": "id source_file_id calculation_data_id process_name process_timestamp user_id"
    " input_records output_records status error_message execution_time_ms version",
}


@pytest.mark.parametrize("table", TABLES)
def test_analysts_find_the_tables_they_know(db: psycopg.Connection[Any], table: str) -> None:
    db.execute("set role weighhouse_analyst")
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in TABLES[table].split())
    db.execute(sql.SQL("select {} from {} limit 1").format(columns, sql.Identifier(table)))


def test_hypertables_are_hypertables(db: psycopg.Connection[Any]) -> None:
    rows = db.execute(
        "select hypertable_name::text, column_name::text from timescaledb_information.dimensions"
        " where hypertable_schema = 'core'"
    ).fetchall()
    assert set(rows) >= {
        ("stock_movements", "posted_at"),
        ("calculation_data", "calculation_date"),
        ("forecasts", "forecast_date"),
        ("forecast_ledger", "target_time"),
    }


# ------------------------------------------------------------------------------- comments that run


@pytest.fixture(scope="module")
def demo_url(server_url: str, fitted: str) -> Iterator[str]:
    """Twelve weeks of statements, accounted for and fitted."""
    with copied(server_url, fitted) as url:
        fill_demo(url)
        yield url


def fill_demo(url: str) -> None:
    """Give the functions something to be called on."""
    with psycopg.connect(url) as connection:
        connection.execute("select * from api.backfill_forecasts('-infinity')")
        connection.execute("select * from api.forecast_next_count()")
        connection.execute("select api.add_priority_period('2025-03-01', '2025-04-01', 8, 'Lent')")
        connection.execute("select * from api.refresh_analytics()")
        connection.execute("create schema shop")
        connection.execute(
            "create table shop.sale as select '2026-01-01'::date + t as sold_on, branch,"
            " 50 + 10 * (t % 7) + t::float8 / 10 as quantity from generate_series(0, 90) as t,"
            " unnest('{north,south}'::text[]) as branch"
        )
        connection.execute(
            "grant usage on schema shop to weighhouse_fitter, weighhouse_analyst;"
            " grant select on shop.sale to weighhouse_fitter, weighhouse_analyst"
        )
        create = (
            "select * from api.create_model('sales', 'shop.sale', 'sold_on', 'quantity', '{branch}',"
            " 'seasonal_naive')"
        )
        connection.execute(create)
        for number in (1, 2, 3):
            connection.execute("select * from api.fit_model('sales', refit => true)")
            connection.execute("select * from api.deploy_version('sales', %s)", (number,))
        connection.execute("select * from api.evaluate_model('sales')")
        connection.execute("select * from api.find_anomalies('sales', threshold => 0.01)")
        connection.execute(
            "create table shop.box as select i as id, sin(i) as weight, sin(i) > 0 as is_spoilt"
            " from generate_series(1, 60) as i;"
            " grant select on shop.box to weighhouse_fitter"
        )
        create = (
            "select * from api.create_model('spoilage', 'shop.box', value_column => 'is_spoilt',"
            " key_columns => '{id}', kind => 'xgboost')"
        )
        connection.execute(create)
        connection.execute("select * from api.fit_model('spoilage')")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "churn.csv"
        path.write_text(
            "id,months,has_left\n" + "".join(f"{i},{i % 40},{i % 7 == 0}\n" for i in range(200))
        )
        for _ in range(2):
            datasets.upload(url, str(path), "churn", ReadOptions(), datasets.UploadOptions())


def test_every_function_for_people_has_an_example_that_runs(demo_url: str) -> None:
    """The reading ones as an analyst, the writing ones as a fitter."""
    wrong = []
    with psycopg.connect(demo_url) as connection:
        functions = connection.execute(
            "select p.proname, p.provolatile::text, obj_description(p.oid, 'pg_proc') from pg_proc as p"
            " where p.pronamespace = 'api'::regnamespace order by p.proname"
        ).fetchall()
        assert len(functions) >= 6
        for name, volatility, comment in functions:
            found = re.search(r"Example: (.*;)", comment, re.S)
            if found is None or f"api.{name}(" not in found[1]:
                wrong.append(f"{name} has no example")
                continue
            role = "weighhouse_fitter" if volatility == "v" else "weighhouse_analyst"
            connection.rollback()
            # A procedure that commits is called outside a transaction.
            connection.autocommit = found[1].startswith("call ")
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
            try:
                connection.execute(found[1])
            except psycopg.Error as error:
                wrong.append(f"{name}: {error}")
            connection.rollback()
            connection.execute("reset role")
            connection.rollback()
            connection.autocommit = False
    assert wrong == []


def test_every_view_has_rows_and_no_nan(demo_url: str) -> None:
    """With data in it each view of bi answers the read-only role, and no figure is NaN or infinite."""
    empty, wrong = set(), []
    with psycopg.connect(demo_url) as connection:
        views = connection.execute(
            """
            select c.relname, array_agg(a.attname::text) filter (where a.atttypid = 'float8'::regtype)
            from pg_class as c inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
            where c.relnamespace = 'bi'::regnamespace and c.relkind = 'v' group by c.relname
            """
        ).fetchall()
        connection.execute("set role weighhouse_bi")
        for view, figures in views:
            row = connection.execute(
                sql.SQL("select count(*) from bi.{}").format(sql.Identifier(view))
            ).fetchone()
            if row == (0,):
                empty.add(view)
            for figure in figures or []:
                row = connection.execute(
                    sql.SQL("select count(*) from bi.{} where not abs({}) < 'infinity'").format(
                        sql.Identifier(view), sql.Identifier(figure)
                    )
                ).fetchone()
                if row != (0,):
                    wrong.append(f"{view}.{figure}")
    assert wrong == []
    assert not empty & {"balance", "coefficient", "dim_item", "dim_store", "dim_date", "analytics"}
    assert not empty & {"forecast", "models", "training_run", "fit_outcome", "actual_vs_forecast"}
    assert not empty & {"backtest_metric", "backtest_forecast", "cache", "model_event"}
    assert not empty & {"fit_by_type", "import_quality", "shrinkage_by_type", "shrinkage_weighted"}
    assert not empty & {"next_count", "preliminary_forecast", "forecast_accuracy_by_type"}


def test_analytics_is_the_mean_over_the_counts_of_a_month(demo_url: str) -> None:
    with psycopg.connect(demo_url) as connection:
        rows = connection.execute(
            """
            select a.nomenclature_id, a.period_start, a.avg_accuracy, a.total_calculations,
                   extract(day from a.period_end + 1), a.period_end - a.period_start
            from bi.analytics as a
            """
        ).fetchall()
        counts = connection.execute(
            """
            select u.item_id, date_trunc('month', (u.time - interval '1 second') at time zone 'Europe/Moscow')::date,
                   u.shortage_kg, u.expected_kg
            from bi.shrinkage_unexplained as u
            """
        ).fetchall()
    expected: dict[tuple[int, Any], list[float | None]] = {}
    for item, month, shortage, loss in counts:
        accuracy = max(0.0, 100 * (1 - abs(loss - shortage) / shortage)) if shortage > 0 else None
        expected.setdefault((item, month), []).append(accuracy)
    assert len(rows) == len(expected) > 24
    for item, month, mean, count, first_day, days in rows:
        known = [value for value in expected[item, month] if value is not None]
        assert count == len(expected[item, month])
        assert mean == (pytest.approx(sum(known) / len(known)) if known else None)
        assert first_day == 1 and 27 <= days <= 30
