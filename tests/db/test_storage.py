"""Sums by day, week and month: the same rows on both editions and from a plain query, whatever came late."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from loader import schema
from tests.conftest import admin, copy_database, drop_database, in_database

Connection = psycopg.Connection[Any]
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Atlantic/Azores",
    "America/Havana", "Asia/Kolkata",
)  # fmt: skip

# ------------------------------------------------------------------------------------- what happened

# Movements around both changes of the clock, and around the day that Apia left out.
FACTS = f"""
insert into core.warehouses (name, time_zone) select z, z from unnest(array{list(ZONES)}) as z;
insert into core.nomenclature (name, product_type, name_key)
select 'item ' || i, case when i % 2 = 0 then 'fresh' else 'frozen' end, 'ITEM ' || i from generate_series(1, 3) as i;
insert into core.source_data (file_name, file_hash, layout, size_bytes)
select 'file ' || i, repeat(i::text, 64), 'movements', 0 from generate_series(1, 2) as i;
insert into core.stock_movements
    (posted_at, nomenclature_id, warehouse_id, operation, document_number, in_kg, out_kg, source_data_id, line)
select d.day::timestamptz + h * interval '37 minutes 13 seconds', 1 + (h + w.id) % 3, w.id, o.operation, h::text,
    case when o.is_in then (h % 7 + 1) * 0.125 else 0 end, case when o.is_in then 0 else (h % 5 + 1) * 0.333 end, 1 + h % 2, h
from unnest(array['2011-12-28', '2025-03-08', '2025-03-29', '2025-10-25', '2025-11-01']) as d (day)
cross join generate_series(0, 130) as h
cross join core.warehouses as w
cross join lateral (
    select (array['receipt', 'sale', 'stock_take', 'opening', 'write_off', 'return', 'transfer_in', 'transfer_out', 'sale', 'stock_take'])[1 + h % 10],
        h % 10 in (0, 2, 3, 5, 6)
) as o (operation, is_in);
"""
# Periods, some of which a count closes at midnight of the warehouse; open and filtered ones do not all count.
PERIODS = """
insert into core.calculation_data
    (nomenclature_id, warehouse_id, initial_balance, incoming, outgoing, final_balance, calculation_date, data_quality_flag,
        inventory_period_start, inventory_period_end, mode, difference_kg, surplus_kg, inventory_shrinkage_total, kg_days, manual_review_required)
select 1 + k % 3, w.id, case when k % 5 > 0 then 10 + k end, k * 0.5, k * 0.25, 11 + k,
    ((timestamp '2025-03-01' + k * interval '6 hours') at time zone w.time_zone), (array['clean', 'dirty', 'filtered'])[1 + k % 3],
    '2025-02-01'::timestamptz + k * interval '1 hour', null, case when k % 11 = 0 then 'open' else 'posted' end, -0.125 * (k % 4), 0.001 * (k % 2),
    case when k % 7 > 0 then 0.125 * (k % 4) end, 0.1 * k, k % 4 = 0
from core.warehouses as w
cross join generate_series(0, 160) as k;
"""
FORECASTS = """
insert into core.model_definition (name, kind, grid) values
('north', 'naive', '{"zone": "Europe/Berlin"}'), ('south', 'naive', '{"zone": "Pacific/Apia"}'), ('none', 'naive', null);
insert into core.model_versions (model, model_type, version) select d.name, 'naive', 1 from core.model_definition as d where d.kind = 'naive' order by d.name;
insert into core.model_series (model, series_key, label)
select d.name, array[s], s from core.model_definition as d cross join unnest('{a,b}'::text[]) as s where d.kind = 'naive' order by 1, 2;
insert into core.forecast_ledger (version_id, series_id, issued_at, target_time, step, forecast, lower_80, upper_80, lower_95, upper_95, actual)
select v.id, s.id, '2025-03-01', '2025-03-20'::timestamptz + k * interval '5 hours', 1 + k, f.y, f.y - 1, f.y + 1, f.y - 2, f.y + 2,
    case when k % 4 > 0 then f.y + sin(k) * 2.5 end
from core.model_versions as v
inner join core.model_series as s on s.model = v.model
cross join generate_series(0, 120) as k
cross join lateral (select 100 * exp(cos(k))) as f (y);
"""
# A year late, changed, taken away, taken back; a new zone and another type change no row but all days.
CHANGES = """
insert into core.stock_movements
    (posted_at, nomenclature_id, warehouse_id, operation, in_kg, source_data_id, line)
select t::timestamptz, 2, w.id, 'receipt', 0.001, 1, 9000
from unnest(array['2011-12-30 09:59:59+00', '2011-12-30 10:00:00+00', '2025-10-26 00:30:00+00', '2025-10-26 01:30:00+00', '2024-12-31 23:59:59.9+00']) as t
cross join core.warehouses as w;
update core.stock_movements set in_kg = in_kg + 1 where line between 10 and 12 and posted_at < '2025-06-01';
insert into core.stock_movements
    (posted_at, nomenclature_id, warehouse_id, operation, document_number, in_kg, source_data_id, line)
select posted_at, nomenclature_id, warehouse_id, operation, document_number, 7, source_data_id, line from core.stock_movements where line = 20
on conflict (nomenclature_id, posted_at, key_hash) do update set in_kg = excluded.in_kg;
update core.stock_movements set posted_at = posted_at + interval '3 days' where line = 33;
delete from core.stock_movements where line = 40;
update core.calculation_data set inventory_shrinkage_total = 2, manual_review_required = true where nomenclature_id = 1 and kg_days > 14;
update core.calculation_data set data_quality_flag = 'filtered' where kg_days < 1;
update core.calculation_data set mode = 'posted' where mode = 'open' and kg_days < 8;
delete from core.calculation_data where nomenclature_id = 2 and kg_days > 15;
update core.forecast_ledger set actual = 3 where step between 5 and 9;
delete from core.forecast_ledger where step between 50 and 54;
"""
DIMENSIONS = """
update core.warehouses set time_zone = 'Asia/Tokyo' where name = 'UTC';
update core.nomenclature set product_type = 'dried' where name = 'item 1';
update core.model_definition set grid = '{"zone": "America/New_York"}' where name = 'none';
"""

# ------------------------------------------------------------------- the same by plain queries

ITEM_DAY = {
    "movement": """
        select (m.posted_at at time zone w.time_zone)::date as day, m.nomenclature_id, m.warehouse_id, m.*, w.time_zone as zone
        from core.stock_movements as m inner join core.warehouses as w on w.id = m.warehouse_id""",
    "period": """
        select ((c.calculation_date at time zone w.time_zone) - interval '1 second')::date as day, c.*, w.time_zone as zone
        from core.calculation_data as c inner join core.warehouses as w on w.id = c.warehouse_id where c.mode <> 'open'""",
    "forecast": """
        select (f.target_time at time zone coalesce(d.grid ->> 'zone', 'UTC'))::date as day, f.*, coalesce(d.grid ->> 'zone', 'UTC') as zone
        from core.forecast_ledger as f inner join core.model_versions as v on v.id = f.version_id
        inner join core.model_definition as d on d.name = v.model""",
}  # fmt: skip
KEYS = {
    "movement": "nomenclature_id, warehouse_id",
    "period": "nomenclature_id, warehouse_id",
    "forecast": "version_id, series_id",
}
FIGURES = {
    "movement": """
        count(*), sum(case when operation in ('opening', 'stock_take') then 0 else in_kg end), sum(case when operation in ('opening', 'stock_take') then 0 else out_kg end),
        sum(case operation when 'receipt' then in_kg - out_kg else 0 end), sum(case when operation in ('sale', 'return') then out_kg - in_kg else 0 end),
        sum(case operation when 'write_off' then out_kg - in_kg else 0 end), sum(case operation when 'transfer_in' then in_kg - out_kg else 0 end),
        sum(case operation when 'transfer_out' then out_kg - in_kg else 0 end), sum(case operation when 'opening' then in_kg - out_kg else 0 end),
        sum(case operation when 'stock_take' then in_kg else 0 end), sum(case operation when 'stock_take' then out_kg else 0 end)""",
    "period": """
        count(*), (array_agg(initial_balance order by calculation_date, inventory_period_start, id))[1], sum(incoming), sum(outgoing),
        (array_agg(final_balance order by calculation_date desc, inventory_period_start desc, id desc))[1], sum(difference_kg),
        sum(manual_review_required::int), sum(is_sound::int), sum(is_sound::int * coalesce(inventory_shrinkage_total, 0)),
        sum(is_sound::int * surplus_kg), sum(is_sound::int * coalesce(initial_balance + incoming + surplus_applied_kg, 0)), sum(is_sound::int * kg_days::numeric)""",
    "forecast": """
        count(*), count(actual), sum(forecast::numeric), sum(case when actual is null then 0 else forecast::numeric end), coalesce(sum(actual::numeric), 0),
        coalesce(sum(abs(actual::numeric)), 0), coalesce(sum(actual::numeric - forecast::numeric), 0), coalesce(sum(abs(actual::numeric - forecast::numeric)), 0),
        coalesce(sum((actual::numeric - forecast::numeric) * (actual::numeric - forecast::numeric)), 0),
        sum(coalesce(actual >= lower_80 and actual <= upper_80, false)::int), sum(coalesce(actual >= lower_95 and actual <= upper_95, false)::int)""",
}  # fmt: skip


def plain(subject: str, grain: str) -> str:
    """One query over the facts as they are, with nothing stored."""
    sound = "(data_quality_flag <> 'filtered' and inventory_shrinkage_total is not null)" if subject == "period" else "null"  # fmt: skip
    return (
        f"select date_trunc('{grain}', day::timestamp) at time zone zone, {KEYS[subject]}, {FIGURES[subject]}"
        f" from (select r.*, {sound} as is_sound from ({ITEM_DAY[subject].replace('m.nomenclature_id, m.warehouse_id, ', '')}) as r) as r"
        f" group by date_trunc('{grain}', day::timestamp), zone, {KEYS[subject]}"
    )


PLAIN_STORE = """
select m.day::timestamp at time zone m.zone, m.warehouse_id, n.product_type, sum(is_move), sum(in_all), sum(out_all), sum(shortage)
from (
    select day, zone, warehouse_id, nomenclature_id, 1 as is_move, case when operation in ('opening', 'stock_take') then 0 else in_kg end as in_all,
        case when operation in ('opening', 'stock_take') then 0 else out_kg end as out_all, 0 as shortage from ({movement}) as a
    union all
    select day, zone, warehouse_id, nomenclature_id, 0, 0, 0, case when data_quality_flag <> 'filtered' then coalesce(inventory_shrinkage_total, 0) else 0 end from ({period}) as b
) as m
inner join core.nomenclature as n on n.id = m.nomenclature_id
group by 1, 2, 3
"""
STORE = "select time, warehouse_id, product_type, movement_count, incoming_kg, outgoing_kg, shortage_kg from core.store_day"


def normal(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows in an order of their own, figures to the last digit but without zeros at their end."""
    return sorted(
        (
            tuple(str(v.normalize()) if hasattr(v, "normalize") else str(v) for v in row)
            for row in rows
        ),
    )


def answers(db: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every aggregate, every grain."""
    db.execute("set timezone = 'UTC'")
    found = {
        f"{subject}_{grain}": normal(db.execute(f"select * from core.{subject}_{grain}").fetchall())
        for subject in KEYS
        for grain in ("day", "week", "month")
    }
    return found | {"store_day": normal(db.execute(STORE).fetchall())}


def expected(db: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """The same, recomputed."""
    db.execute("set timezone = 'UTC'")
    found = {
        f"{subject}_{grain}": normal(db.execute(plain(subject, grain)).fetchall())
        for subject in KEYS
        for grain in ("day", "week", "month")
    }
    movement = ITEM_DAY["movement"].replace("m.nomenclature_id, m.warehouse_id, ", "")
    store = PLAIN_STORE.format(movement=movement, period=ITEM_DAY["period"])
    return found | {"store_day": normal(db.execute(store).fetchall())}


def happen(db: Connection) -> None:
    db.execute(FACTS)
    db.execute(PERIODS)
    db.execute(FORECASTS)


def pending(db: Connection) -> int:
    row = db.execute("select count(*) from core.rollup_pending").fetchone()
    assert row is not None
    return int(row[0])


def refresh(db: Connection) -> None:
    db.execute("call api.refresh_aggregates()")


def play(url: str) -> list[dict[str, list[tuple[Any, ...]]]]:
    """Let it all happen; give what the aggregates say after each step, each held against the facts."""
    said = []
    with psycopg.connect(url, autocommit=True) as db:
        happen(db)
        for step in ("", CHANGES, "select * from api.undo_import(2)", DIMENSIONS):
            if step:
                db.execute(step)
            said.append(answers(db))
            assert said[-1] == expected(db), step
            assert all(said[-1].values())
            assert pending(db) > 0
            refresh(db)
            assert pending(db) == 0
            assert answers(db) == said[-1], step
    return said


def community(server_url: str) -> bool:
    with psycopg.connect(in_database(server_url, "postgres")) as db:
        row = db.execute("select current_setting('timescaledb.license', true)").fetchone()
    return row == ("timescale",)


# -------------------------------------------------------------------------------------------- tests


@pytest.fixture(scope="module")
def played(
    server_url: str, template: str
) -> Iterator[tuple[str, list[dict[str, list[tuple[Any, ...]]]]]]:
    """A database in which everything happened, with what was said on the way."""
    name = f"wh_storage_{uuid.uuid4().hex[:8]}"
    copy_database(server_url, template, name)
    try:
        yield in_database(server_url, name), play(in_database(server_url, name))
    finally:
        drop_database(server_url, name)


def test_aggregates_say_what_the_facts_say(
    played: tuple[str, list[dict[str, list[tuple[Any, ...]]]]],
) -> None:
    """At once, after a refresh, after late, changed and deleted rows, another zone, another type."""
    _, said = played
    assert len(said) == 4
    # The day Apia left out has no row, the days around it have.
    apia = 1 + ZONES.index("Pacific/Apia")
    days = {row[0] for row in said[0]["movement_day"] if row[2] == str(apia) and row[0] < "2012"}
    assert "2011-12-29 10:00:00+00:00" in days
    assert "2011-12-30 10:00:00+00:00" in days
    # 29 December starts at 10:00 UTC (-10), 31 December 24 hours later (+14): nothing between.
    assert not {
        day for day in days if "2011-12-29 10:00:00+00:00" < day < "2011-12-30 10:00:00+00:00"
    }


def test_both_editions_say_the_same(
    played: tuple[str, list[dict[str, list[tuple[Any, ...]]]]],
) -> None:
    other = os.environ.get("COMMUNITY_SERVER_URL")
    if not other:
        pytest.skip("needs COMMUNITY_SERVER_URL, a server with the Community edition")
    name = f"wh_storage_{uuid.uuid4().hex[:8]}"
    with admin(other) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        url = in_database(other, name)
        schema.upgrade(url)
        with psycopg.connect(url) as db:
            row = db.execute("select count(*) from timescaledb_information.continuous_aggregates").fetchone()  # fmt: skip
            assert row == (3,)
        assert play(url) == played[1]
    finally:
        drop_database(other, name)


# ------------------------------------------------------------------------- refreshing, at once and twice


def checksum(db: Connection) -> list[Any]:
    """Rows of what is stored with where they stand: a row written again stands elsewhere."""
    return db.execute(
        "select s.ctid::text, s::text from core.movement_week_stored as s"
        " union all select s.ctid::text, s::text from core.store_day_stored as s"
        " union all select s.ctid::text, s::text from core.forecast_month_stored as s order by 1, 2"
    ).fetchall()


@pytest.fixture
def filled_url(played: tuple[str, Any], server_url: str) -> Iterator[str]:
    """A copy of the database in which everything happened."""
    url = played[0]
    name = f"wh_storage_{uuid.uuid4().hex[:8]}"
    copy_database(server_url, str(psycopg.conninfo.conninfo_to_dict(url)["dbname"]), name)
    yield in_database(server_url, name)
    drop_database(server_url, name)


LATE = (
    "insert into core.stock_movements (posted_at, nomenclature_id, warehouse_id, operation, in_kg,"
    " source_data_id, line, document_number)"
    " values ('2025-03-30 01:00+00', 1, 2, 'receipt', 5, 1, {0}, 'late {0}')"
)


def test_a_refresh_changes_only_what_changed(filled_url: str) -> None:
    with psycopg.connect(filled_url, autocommit=True) as db:
        before = checksum(db)
        refresh(db)
        assert db.execute("select * from internal.refresh_rollups()").fetchone() == (0, "nothing changed")  # fmt: skip
        assert checksum(db) == before
        # A row comes and goes: it is looked at, and nothing written.
        db.execute(LATE.format(1))
        db.execute("delete from core.stock_movements where document_number = 'late 1'")
        assert pending(db) > 0
        refresh(db)
        assert checksum(db) == before
        # What no figure tells is not even looked at.
        db.execute("update core.calculation_data set adjusted_shrinkage_rate = 0.5")
        db.execute("update core.stock_movements set document_number = 'x' where line = 50")
        assert pending(db) == 0
        db.execute(LATE.format(2))
        refresh(db)
        changed = {row[1] for row in checksum(db)} - {row[1] for row in before}
        # One week, one store and day.
        assert len(changed) == 2
        assert answers(db) == expected(db)


def test_rows_that_come_while_a_refresh_runs_are_not_lost(filled_url: str) -> None:
    stop = threading.Event()
    failed: list[BaseException] = []

    def insert(first: int) -> None:
        try:
            with psycopg.connect(filled_url, autocommit=True) as db:
                number = first
                while not stop.is_set() and number < first + 400:
                    db.execute(LATE.format(number))
                    number += 1
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=insert, args=(first,)) for first in (1000, 2000)]
    with psycopg.connect(filled_url, autocommit=True) as db, psycopg.connect(filled_url, autocommit=True) as other:  # fmt: skip
        for writer in writers:
            writer.start()
        for _ in range(4):
            refresh(db)
            refresh(other)
        stop.set()
        for writer in writers:
            writer.join()
        assert failed == []
        assert answers(db) == expected(db)
        # As a clock calls it.
        db.execute("call core.refresh_storage()")
        assert pending(db) == 0
        assert answers(db) == expected(db)
        count = db.execute("select count(*) from core.stock_movements where document_number ~ '^late [0-9]{4}'").fetchone()  # fmt: skip
        assert count is not None
        assert count[0] > 20


def test_a_transaction_sees_its_own_rows_in_the_sums(filled_url: str, server_url: str) -> None:
    with psycopg.connect(filled_url) as db:
        db.execute(LATE.format(3))
        assert answers(db) == expected(db)
        db.rollback()
        assert pending(db) == 0
        assert answers(db) == expected(db)
        db.execute("truncate core.stock_movements")
        assert answers(db) == expected(db)
        db.execute("select internal.refresh_rollups()")
        assert answers(db) == expected(db)
        if community(server_url):
            # TimescaleDB empties its days after this transaction: until then it all stays pending.
            assert pending(db) > 0
        else:
            assert pending(db) == 0
            assert db.execute("select count(*) from core.movement_week_stored").fetchone() == (0,)


# ------------------------------------------------------------------------------------------ policies

REFUSED = {
    "facts are kept": "select * from api.set_storage_policy('core.stock_movements', drop_after => '10 years')",
    "periods are kept": "select * from api.set_storage_policy('calculation_data', drop_after => '10 years')",
    "its trail is kept": "select * from api.set_storage_policy('core.stock_movements', '1 year')",
    "no such table": "select * from api.set_storage_policy('core.batches', '1 year')",
    "no table": "select * from api.set_storage_policy(null, '1 year')",
    "no age": "select * from api.set_storage_policy('core.forecasts', '0 days')",
    "a negative age": "select * from api.set_storage_policy('core.forecasts', null, '-1 year')",
    "dropped before compressed": "select * from api.set_storage_policy('core.forecasts', '2 years', '1 year')",
    "too young": "select * from api.set_storage_policy('core.forecasts', drop_after => '1 day')",
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_policy_that_cannot_be_is_refused(db: Connection, why: str) -> None:
    before = db.execute("select * from core.storage_policy order by 1").fetchall()
    with pytest.raises(psycopg.Error) as caught, db.transaction():
        db.execute(REFUSED[why])
    assert caught.value.sqlstate == ("0A000" if "trail" in why else "22023")
    assert caught.value.diag.message_hint
    assert db.execute("select * from core.storage_policy order by 1").fetchall() == before


def test_a_policy_is_set_once(db: Connection, server_url: str) -> None:
    says = "available" if community(server_url) else "not available"
    statement = "select * from api.set_storage_policy('forecast_ledger', '1 year', '3 years')"
    assert db.execute(statement).fetchone() == (True, says)
    assert db.execute(statement).fetchone() == (False, says)
    row = db.execute(
        "select compress_after, drop_after, compression, is_kept_whole from bi.storage"
        " where table_name = 'core.forecast_ledger'"
    ).fetchone()
    assert row == ("1 year", "3 years", says, False)
    assert db.execute("select * from api.set_storage_policy('forecast_ledger')").fetchone() == (True, says)  # fmt: skip


def test_by_default_nothing_is_dropped_or_compressed(db: Connection) -> None:
    rows = db.execute(
        "select table_name, compress_after, drop_after from bi.storage where kind = 'hypertable'"
    ).fetchall()
    assert {row[0] for row in rows} == {
        "core.stock_movements", "core.calculation_data", "core.forecasts", "core.forecast_ledger",
        "core.model_performance_metrics",
    }  # fmt: skip
    assert {row[1:] for row in rows} == {(None, None)}


def test_who_only_reads_sets_no_policy(db: Connection) -> None:
    db.execute("set role weighhouse_analyst")
    with pytest.raises(psycopg.Error) as caught:
        db.execute("select * from api.set_storage_policy('core.forecasts', '1 year')")
    assert caught.value.sqlstate == "42501"


FORECAST_DAYS = "select time, version_id, series_id, forecast_count, forecast_sum, actual_sum from core.forecast_day order by 1, 2, 3"


def test_sums_outlive_the_rows_they_were_made_of(filled_url: str) -> None:
    ledger = (
        "insert into core.forecast_ledger (version_id, series_id, issued_at, target_time, step, forecast,"
        " lower_80, upper_80, lower_95, upper_95) select {}, 1, now(), {}, 1, 7, 7, 7, 7, 7"
    )
    with psycopg.connect(filled_url, autocommit=True) as db:
        db.execute(ledger.format(2, "now() - interval '3 days'"))
        refresh(db)
        before = db.execute(FORECAST_DAYS).fetchall()
        old = db.execute("select count(*) from core.forecast_ledger where target_time < now() - interval '1 year'").fetchone()  # fmt: skip
        assert old is not None
        assert old[0] > 100
        db.execute("select * from api.set_storage_policy('core.forecast_ledger', drop_after => '60 days')")  # fmt: skip
        done = db.execute("select * from internal.apply_storage_policies()").fetchone()
        assert done is not None
        assert done[0] > 0, done
        assert db.execute("select count(*) from core.forecast_ledger").fetchone() == (1,)
        assert db.execute(FORECAST_DAYS).fetchall() == before
        again = db.execute("select * from internal.apply_storage_policies()").fetchone()
        assert again is not None
        assert again[0] == 0, again
        # A row that comes for a day long gone is kept, and not counted: the others of its day are not there.
        db.execute(ledger.format(2, "timestamptz '2025-03-25 12:00+00'"))
        assert db.execute(FORECAST_DAYS).fetchall() == before
        refresh(db)
        assert pending(db) == 0
        assert db.execute(FORECAST_DAYS).fetchall() == before
        weeks = db.execute("select sum(forecast_count) from core.forecast_week").fetchone()
        assert weeks == (sum(row[3] for row in before),)
        # Nor when the age is raised again: what is gone is gone.
        db.execute("select * from api.set_storage_policy('core.forecast_ledger', drop_after => '10 years')")  # fmt: skip
        db.execute("delete from core.forecast_ledger where target_time < '2025-04-01'")
        refresh(db)
        assert db.execute(FORECAST_DAYS).fetchall() == before
        # Days after the boundary are counted as ever.
        db.execute(ledger.format(3, "now() - interval '2 days'"))
        assert len(db.execute(FORECAST_DAYS).fetchall()) == len(before) + 1
        refresh(db)
        assert len(db.execute(FORECAST_DAYS).fetchall()) == len(before) + 1


def test_compressed_chunks_take_late_rows(filled_url: str, server_url: str) -> None:
    """Community alone compresses: sums, corrections and repeated rows are as without."""
    if not community(server_url):
        pytest.skip("the Apache edition does not compress")
    with psycopg.connect(filled_url, autocommit=True) as db:
        for table in ("calculation_data", "forecast_ledger"):
            db.execute("select * from api.set_storage_policy(%s, '1 day')", (table,))
        done = db.execute("select * from internal.apply_storage_policies()").fetchone()
        assert done is not None
        assert done[0] > 1, done
        assert db.execute("select * from internal.apply_storage_policies()").fetchone() == (
            0, "0 chunks dropped, 0 compressed",
        )  # fmt: skip
        shares = db.execute("select compressed_percent from bi.storage where compress_after is not null").fetchall()  # fmt: skip
        assert shares == [(100,)] * 2
        assert answers(db) == expected(db)
        db.execute(LATE.format(4))
        with pytest.raises(psycopg.errors.UniqueViolation):
            db.execute(LATE.format(4))
        db.execute(LATE.format(4) + " on conflict (nomenclature_id, posted_at, key_hash) do update set in_kg = 6")  # fmt: skip
        db.execute("update core.forecast_ledger set actual = 4 where step = 11")
        db.execute("delete from core.calculation_data where kg_days between 3 and 4")
        db.execute("delete from core.forecast_ledger where step = 12")
        db.execute("update core.stock_movements set out_kg = 1 where line = 21")
        assert pending(db) > 0
        assert answers(db) == expected(db)
        refresh(db)
        assert pending(db) == 0
        assert answers(db) == expected(db)
