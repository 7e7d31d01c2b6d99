"""Files as a user has them: what is accepted, what is not, and with which reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loader import ingest
from loader.errors import Refused
from loader.reading import ReadOptions
from tests.conftest import EXAMPLES

HEAD = "sku,doc_type,doc_number,doc_time,batch,in_kg,out_kg"
MOSCOW = ingest.ImportOptions(time_zone="Europe/Moscow")
Import = Callable[..., ingest.ImportResult]


@pytest.fixture
def bring(fresh_url: str, tmp_path: Path) -> Import:
    """Import lines of a CSV under a header."""
    count = iter(range(1000))

    def run(
        *lines: str,
        head: str = HEAD,
        options: ingest.ImportOptions = MOSCOW,
        reading: ReadOptions | None = None,
        **more: Any,
    ) -> ingest.ImportResult:
        path = tmp_path / f"file{next(count)}.csv"
        path.write_text("\n".join([head, *lines, ""]), "utf-8")
        return ingest.import_file(fresh_url, str(path), reading or ReadOptions(), options, **more)

    return run


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def counts(result: ingest.ImportResult) -> tuple[int, int, int, int]:
    return result.read, result.loaded, result.duplicate, result.rejected


@pytest.mark.parametrize(
    ("line", "reason", "column"),
    [
        (",sale,1,2025-01-06 10:00:00,,0,1", "missing_item", "item"),
        ("A,sale,1,,,0,1", "missing_date", "posted_at"),
        ("A,sale,1,2025-13-06 10:00:00,,0,1", "not_a_date", "posted_at"),
        ("A,sale,1,now,,0,1", "not_a_date", "posted_at"),
        ("A,sale,1,infinity,,0,1", "not_a_date", "posted_at"),
        ("A,sale,1,0001-01-01,,0,1", "date_out_of_range", "posted_at"),
        ("A,sale,1,2099-01-01 00:00:00,,0,1", "date_in_future", "posted_at"),
        ("A,sale,1,2025-01-06 10:00:00,yesterday,0,1", "not_a_date", "batch"),
        ("A,frob,1,2025-01-06 10:00:00,,0,1", "unknown_operation", "document_type"),
        ("A,sale,1,2025-01-06 10:00:00,,0,NaN", "not_a_number", "outgoing"),
        ("A,sale,1,2025-01-06 10:00:00,,0,Infinity", "not_a_number", "outgoing"),
        ("A,sale,1,2025-01-06 10:00:00,,0,1e400", "too_large", "outgoing"),
        ("A,sale,1,2025-01-06 10:00:00,,0,#ДЕЛ/0!", "not_a_number", "outgoing"),
        ("A,sale,1,2025-01-06 10:00:00,,,", "missing_quantity", "quantity"),
        ("A,sale,1,2025-01-06 10:00:00,,0,100000000000", "too_large", None),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason_and_the_others_are_loaded(
    bring: Import, fresh_url: str, line: str, reason: str, column: str | None
) -> None:
    result = bring("A,receipt,1,2025-01-05 10:00:00,,5,0", line)
    assert counts(result) == (2, 1, 0, 1)
    found = ask(
        fresh_url,
        "select line, reason, column_name, raw_text, file_name from core.validation_errors",
    )
    assert found[0][:2] == (3, reason)
    assert column is None or found[0][2] == column
    assert found[0][3] == line
    assert found[0][4] == "file0.csv"


def test_numbers_as_people_write_them(bring: Import, fresh_url: str) -> None:
    bring(
        "A;receipt;1;05.01.2025 9:07:00;;1 234,567;",
        "A;receipt;2;05.01.2025 9:08:00;;1.234,5;",
        "A;sale;3;05.01.2025 9:09:00;;;0,05",
        "A;sale;4;05.01.2025 9:10:00;;(12,5);",
        head=HEAD.replace(",", ";"),
    )
    assert [
        tuple(map(float, row))
        for row in ask(fresh_url, "select in_kg, out_kg from core.stock_movements order by line")
    ] == [(1234.567, 0), (1234.5, 0), (0, 0.05), (0, 12.5)]


def test_spellings_of_a_name_meet_in_one_product(bring: Import, fresh_url: str) -> None:
    names = [
        "СКУМБРИЯ Х/К",
        "СКУМБРИЯ  Х/К ",
        "Скумбрия х/к",
        "СКУМБРИЯ Х\\К",
        "СКУМБРИЯ X/K",
        "СКУМБPИЯ Х/К",
        "СКУМБРИЯ\u00a0Х/К",
    ]
    bring(*(f"{name},sale,{i},2025-01-05 10:00:0{i},,0,1" for i, name in enumerate(names)))
    assert ask(fresh_url, "select name, product_type from core.nomenclature") == [
        ("СКУМБРИЯ Х/К", "cold_smoked")
    ]
    assert ask(fresh_url, "select count(*) from core.stock_movements") == [(len(names),)]


def test_units_are_turned_into_kilograms_or_refused(bring: Import, fresh_url: str) -> None:
    result = bring(
        "A,receipt,1,2025-01-05 10:00:00,,5,0,кг",
        "A,receipt,2,2025-01-05 10:00:00,,500,0,г",
        "A,receipt,3,2025-01-05 10:00:00,,1,0,т",
        "A,receipt,4,2025-01-05 10:00:00,,7,0,шт",
        head=HEAD + ",unit",
    )
    assert counts(result) == (4, 3, 0, 1)
    assert ask(fresh_url, "select sum(in_kg)::float8 from core.stock_movements") == [(1005.5,)]
    assert ask(fresh_url, "select reason from core.validation_errors") == [("unit_not_mass",)]


def test_a_negative_sale_is_a_return_and_a_transfer_goes_where_its_mass_goes(
    bring: Import, fresh_url: str
) -> None:
    bring(
        "A,sale,1,2025-01-05 10:00:00,,0,-2",
        "A,Перемещение,2,2025-01-05 11:00:00,2024-12-01 08:00:00,3,0",
        "A,Перемещение,3,2025-01-05 12:00:00,2024-12-01 08:00:00,0,3",
    )
    assert ask(
        fresh_url,
        "select operation, in_kg::int, out_kg::int from core.stock_movements order by posted_at",
    ) == [("return", 2, 0), ("transfer_in", 3, 0), ("transfer_out", 0, 3)]


def test_the_same_row_again_is_a_duplicate_and_another_quantity_a_conflict(
    bring: Import, fresh_url: str
) -> None:
    row = "A,sale,1,2025-01-05 10:00:00,2025-01-01 10:00:00,0,"
    assert counts(bring(row + "1", row + "1", row + "2")) == (3, 1, 1, 1)
    assert counts(bring(row + "1.000", "A,sale,2,2025-01-05 10:00:00,,0,1")) == (2, 1, 1, 0)
    assert counts(bring(row + "3")) == (1, 0, 0, 1)
    update = ingest.ImportOptions(time_zone="Europe/Moscow", on_conflict="update")
    assert counts(bring(row + "4", options=update)) == (1, 1, 0, 0)
    assert ask(
        fresh_url, "select out_kg::int from core.stock_movements where document_number = '1'"
    ) == [(4,)]
    fail = ingest.ImportOptions(time_zone="Europe/Moscow", on_conflict="fail")
    with pytest.raises(Refused, match="another quantity"):
        bring(row + "5", options=fail)
    assert ask(fresh_url, "select count(*) from core.stock_movements") == [(2,)]


def test_what_cannot_be_known_is_refused_with_the_option_that_settles_it(
    bring: Import, fresh_url: str
) -> None:
    with pytest.raises(Refused) as caught:
        bring("A,sale,1,03/04/2025,,0,1")
    assert "--date-format" in (caught.value.hint or "")
    with pytest.raises(Refused) as caught:
        bring("A,sale,1,2025-01-05 10:00:00,,0,1", options=ingest.ImportOptions())
    assert "--timezone" in (caught.value.hint or "")
    assert ask(fresh_url, "select count(*) from core.source_data") == [(0,)]
    assert ask(fresh_url, "select distinct status from core.data_lineage") == [("failed",)]
    day_first = ingest.ImportOptions(time_zone="Europe/Moscow", date_format="DMY")
    bring("A,sale,1,03/04/2025,,0,1", options=day_first)
    zoned = bring("A,sale,2,2025-01-05T10:00:00+03:00,,0,1", options=ingest.ImportOptions())
    assert zoned.loaded == 1
    assert ask(
        fresh_url,
        "select (posted_at at time zone 'Europe/Moscow')::text from core.stock_movements"
        " order by document_number",
    ) == [("2025-04-03 00:00:00",), ("2025-01-05 10:00:00",)]


@pytest.mark.parametrize(
    ("zone", "gap", "overlap"),
    [
        ("Europe/Berlin", "2025-03-30 02:30:00", "2024-10-27 02:30:00"),
        ("America/New_York", "2025-03-09 02:30:00", "2024-11-03 01:30:00"),
    ],
)
def test_local_times_that_do_not_exist_or_exist_twice(
    bring: Import, fresh_url: str, zone: str, gap: str, overlap: str
) -> None:
    rows = (f"A,sale,1,{gap},,0,1", f"A,sale,2,{overlap},,0,1", "A,sale,3,2025-07-01 02:30:00,,0,1")
    result = bring(*rows, options=ingest.ImportOptions(time_zone=zone))
    assert counts(result) == (3, 1, 0, 2)
    assert ask(fresh_url, "select distinct reason from core.validation_errors") == [
        ("time_not_unique",)
    ]
    ingest.undo_import(fresh_url, result.import_id or 0)
    moments = {}
    for dst in ("earlier", "later"):
        result = bring(*rows, options=ingest.ImportOptions(time_zone=zone, dst=dst))
        assert counts(result) == (3, 3, 0, 0)
        moments[dst] = ask(
            fresh_url, "select posted_at from core.stock_movements order by document_number"
        )
        ingest.undo_import(fresh_url, result.import_id or 0)
    for place in (0, 1):
        early, late = moments["earlier"][place][0], moments["later"][place][0]
        assert (late - early).total_seconds() == 3600
    assert moments["earlier"][2] == moments["later"][2]


@pytest.mark.parametrize(
    "zone", ["Asia/Kolkata", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca"]
)
def test_daily_sums_hold_in_any_zone(bring: Import, fresh_url: str, zone: str) -> None:
    rows = [
        f"A,sale,{day:02}{hour:02},2025-06-{day:02} {hour:02}:15:00,,0,{day}"
        for day in range(1, 6)
        for hour in range(24)
    ]
    bring(*rows, options=ingest.ImportOptions(time_zone=zone))
    assert ask(
        fresh_url,
        f"select extract(day from posted_at at time zone '{zone}')::int, sum(out_kg)::int"
        " from core.stock_movements group by 1 order by 1",
    ) == [(day, day * 24) for day in range(1, 6)]


def test_rejected_rows_are_judged_again_after_the_mapping_was_mended(
    bring: Import, fresh_url: str
) -> None:
    bad = "A,Дегустация,7,2025-01-05 10:00:00,,0,1"
    result = bring("A,receipt,1,2025-01-05 09:00:00,,5,0", bad)
    assert counts(result) == (2, 1, 0, 1)
    again = ingest.retry_rejects(fresh_url, result.import_id or 0, ingest.ImportOptions())
    assert counts(again) == (1, 0, 0, 1)
    assert ask(fresh_url, "select raw_text from core.validation_errors") == [(bad,)]
    with psycopg.connect(fresh_url) as connection:
        connection.execute("insert into core.operation_mapping values ('дегустация', 'write_off')")
    again = ingest.retry_rejects(fresh_url, result.import_id or 0, ingest.ImportOptions())
    assert counts(again) == (1, 1, 0, 0)
    assert ask(
        fresh_url,
        "select read_count, loaded_count, rejected_count from core.source_data",
    ) == [(2, 2, 0)]


def test_the_ledger_cannot_lie(bring: Import, fresh_url: str) -> None:
    bring("A,receipt,1,2025-01-05 09:00:00,,5,0")
    with (
        psycopg.connect(fresh_url) as connection,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        connection.execute("update core.source_data set loaded_count = loaded_count + 1")


def test_flat_balances_need_a_period_from_somewhere(bring: Import, fresh_url: str) -> None:
    head = "Номенклатура;Начальный остаток;Приход;Расход;Конечный остаток;Период хранения (дней)"
    row = "ЛЕЩ Г/К;120,5;80;150,25;47,13;7"
    with pytest.raises(Refused) as caught:
        bring(row, head=head)
    assert "--period" in (caught.value.hint or "")
    options = ingest.ImportOptions(
        time_zone="Europe/Moscow", period_start="15.07.2025", period_end="21.07.2025"
    )
    assert counts(bring(row, head=head, options=options)) == (1, 1, 0, 0)
    assert ask(
        fresh_url,
        "select (period_start at time zone 'Europe/Moscow')::date::text,"
        " (period_end at time zone 'Europe/Moscow')::date::text, closing_kg::float8"
        " from core.stock_balances",
    ) == [("2025-07-15", "2025-07-22", 47.13)]


def test_naughty_names_are_stored_as_they_are(bring: Import, fresh_url: str) -> None:
    names = [
        "Robert'); DROP TABLE core.nomenclature;--",
        "=cmd|' /C calc'!A0",
        "\\.",
        "\\N",
        "ﷺ ᚛᚜ 🐟🐟",
        "\u202eдрок",
        "a\u200bb",
        "%s %d {0} $1",
        "x" * 4000,
        "NULL",
        "<script>alert(1)</script>",
    ]
    result = bring(
        *(f'"{n}",sale,{i},2025-01-05 10:00:00,,0,1' for i, n in enumerate(names)),
        "Z,sale,99,2025-01-05 10:00:00,,0,1",
    )
    assert counts(result) == (len(names) + 1, len(names) + 1, 0, 0)
    stored = {row[0] for row in ask(fresh_url, "select raw_name from core.nomenclature_alias")}
    assert stored == {*names, "Z"}


def test_undo_takes_the_facts_back_and_the_file_may_come_again(
    bring: Import, fresh_url: str, tmp_path: Path
) -> None:
    result = bring("A,receipt,1,2025-01-05 09:00:00,,5,0")
    path = tmp_path / "file0.csv"
    known = ingest.import_file(fresh_url, str(path), ReadOptions(), MOSCOW)
    assert known.status == "already imported"
    ingest.undo_import(fresh_url, result.import_id or 0)
    assert ask(fresh_url, "select count(*) from core.stock_movements") == [(0,)]
    again = ingest.import_file(fresh_url, str(path), ReadOptions(), MOSCOW)
    assert (again.status, again.loaded) == ("loaded", 1)


def test_a_contradicting_total_of_a_statement_is_named_and_the_finer_level_counts(
    fresh_url: str, tmp_path: Path
) -> None:
    source = Path(__file__).resolve().parents[2] / "examples/vedomost/vedomost_2025-01-06.csv"
    text = source.read_text("cp1251")
    # The product says 3,806 went out; its documents say so too. Change the product only.
    broken = text.replace(
        "ПЛОТВА ВЯЛЕНАЯ;;;;5,454;;4,322;3,806;5,97", "ПЛОТВА ВЯЛЕНАЯ;;;;5,454;;4,322;3,900;5,97"
    )
    assert broken != text
    path = tmp_path / "broken.csv"
    path.write_text(broken, "cp1251")
    result = ingest.import_file(fresh_url, str(path), ReadOptions(encoding="cp1251"), MOSCOW)
    assert result.rejected == 1
    assert ask(fresh_url, "select reason, column_name from core.validation_errors") == [
        ("control_total", "outgoing")
    ]
    assert ask(
        fresh_url,
        "select sum(out_kg)::float8 from core.stock_movements as m"
        " inner join core.nomenclature as n on n.id = m.nomenclature_id"
        " where n.name = 'ПЛОТВА ВЯЛЕНАЯ'",
    ) == [(3.806,)]


# ------------------------------------------------------------------------------ the time of a file


@pytest.mark.parametrize(
    ("file", "encoding", "start", "end"),
    [
        ("vedomost/vedomost_2025-01-06.csv", "cp1251", "2025-01-06 00:00", "2025-01-13 00:00"),
        ("movements.csv", None, None, None),
        ("flat_balances_cp1251.csv", "cp1251", None, None),
    ],
)
def test_a_file_says_which_time_it_speaks_of(
    fresh_url: str, file: str, encoding: str | None, start: str | None, end: str | None
) -> None:
    result = ingest.import_file(
        fresh_url,
        str(EXAMPLES / file),
        ReadOptions(encoding=encoding),
        ingest.ImportOptions(time_zone="Europe/Moscow"),
    )
    with psycopg.connect(fresh_url) as connection:
        noted, facts = connection.execute(
            "select (select array[s.period_start, s.period_end] from core.source_data as s where s.id = %s),"
            " (select array[min(x.first), max(x.last)] from ("
            "   select m.posted_at as first, m.posted_at as last from core.stock_movements as m"
            "   union all select b.period_start, b.period_end from core.stock_balances as b) as x)",
            (result.import_id,),
        ).fetchone() or (None, None)
        local = connection.execute(
            "select array(select to_char(x at time zone 'Europe/Moscow', 'YYYY-MM-DD HH24:MI') from unnest(%s) as x)",
            (noted,),
        ).fetchone()
    assert noted == facts
    assert noted[0] is not None and noted[0] < noted[1]
    if start is not None:
        assert local == ([start, end],)
