"""Datasets: types found from the cells, limits, versions, views, profiles, rights, expiry."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from loader import datasets, schema
from loader.datasets import UploadOptions, UploadResult
from loader.errors import Refused
from loader.reading import ReadOptions
from tests.conftest import admin, copied

BASE = "id,amount,city\n" + "".join(f"{i},{i}.5,c{i % 3}\n" for i in range(20))


@pytest.fixture(scope="module")
def url(server_url: str, template: str) -> Iterator[str]:
    with copied(server_url, template) as copy:
        yield copy


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def name() -> str:
    return f"set {uuid.uuid4().hex[:8]}"


def up(
    url: str, folder: Path, name: str, text: str, *, read: ReadOptions | None = None, **options: Any
) -> UploadResult:
    path = folder / "file.csv"
    path.write_text(text, encoding="utf-8")
    return datasets.upload(url, str(path), name, read or ReadOptions(), UploadOptions(**options))


def one(url: str, query: str, *parameters: Any) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


def held(url: str) -> dict[str, int]:
    """What uploads may leave behind, counted."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        row = connection.execute(
            "select (select count(*) from pg_class where relnamespace = 'dataset'::regnamespace) as relations,"
            " (select count(*) from core.source_data) as imports, (select count(*) from core.dataset) as uploads,"
            " (select count(*) from core.dataset_column) as columns, (select count(*) from core.dataset_event) as events"
        ).fetchone()
    assert row is not None
    return row


# ------------------------------------------------------------------------------------------- types

COLUMNS: dict[str, tuple[list[str], str, list[Any]]] = {
    # Texts of the cells in turn, the type, and their values.
    "whole": (["1", "-2", "+3"], "bigint", [1, -2, 3]),
    "half": (["1", "2.5", "1e3"], "double precision", [1.0, 2.5, 1000.0]),
    "comma": (["1", "2,5", "1 234,5"], "double precision", [1.0, 2.5, 1234.5]),
    "large": (["1", "123456789012345678901234567890", "2"], "numeric", [1, 123456789012345678901234567890, 2]),
    "code": (["007", "1", "2"], "text", ["007", "1", "2"]),
    "truth": (["yes", "No", "yes"], "boolean", [True, False, True]),
    "letter": (["t", "f", "t"], "boolean", [True, False, True]),
    "one_letter": (["t", "t", "t"], "text", ["t", "t", "t"]),
    "day": (["2025-02-28", "2024-02-29", "2025-1-1"], "date", ["2025-02-28", "2024-02-29", "2025-01-01"]),
    "no_day": (["2025-02-30", "2024-02-29", "x"], "text", ["2025-02-30", "2024-02-29", "x"]),
    "dotted": (["28.02.2025", "01.12.2024", "1.1.2025"], "date", ["2025-02-28", "2024-12-01", "2025-01-01"]),
    "moment": (["2025-01-01 10:00", "2025-01-01T10:00:01.5", "2025-01-02"], "timestamp without time zone",
               ["2025-01-01 10:00:00", "2025-01-01 10:00:01.5", "2025-01-02 00:00:00"]),
    "zoned": (["2025-01-01T10:00:00Z", "2025-01-01 10:00:00+03", "2025-01-01 10:00:00+03:00"], "timestamp with time zone",
              ["2025-01-01 10:00:00+00", "2025-01-01 07:00:00+00", "2025-01-01 07:00:00+00"]),
    "words": (["1", "NA", ""], "bigint", [1, None, None]),
    "text_na": (["a", "NA", " "], "text", ["a", "NA", None]),
    "spaced": ([" 1", "2 ", "3"], "bigint", [1, 2, 3]),
    "hex": (["0x1F", "1_000", "inf"], "text", ["0x1F", "1_000", "inf"]),
}  # fmt: skip


def test_types_are_found_from_the_cells(url: str, tmp_path: Path, name: str) -> None:
    rows = [";".join(COLUMNS)]
    for place in range(12):
        rows.append(";".join(cells[place % 3] for cells, _, _ in COLUMNS.values()))
    done = up(url, tmp_path, name, "\n".join(rows))
    assert done.rows == 12
    with psycopg.connect(url) as connection:
        connection.execute("set timezone = 'UTC'")
        found = connection.execute(
            "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute as a"
            " where a.attrelid = %s::regclass and a.attnum > 0 order by a.attnum",
            (done.relation,),
        ).fetchall()
        assert dict(found) == {column: kind for column, (_, kind, _) in COLUMNS.items()}
        for column, (_, kind, values) in COLUMNS.items():
            as_text = kind.startswith(("date", "timestamp"))
            query = sql.SQL("select {}{} from {} limit 3").format(
                sql.Identifier(column),
                sql.SQL("::text") if as_text else sql.SQL(""),
                sql.SQL(done.relation or ""),
            )
            assert [row[0] for row in connection.execute(query)] == values, column


def test_options_say_how_cells_are_read(url: str, tmp_path: Path, name: str) -> None:
    text = "id,day,at,code\n" + "".join(
        f"{i},03/{i + 1:02}/2025,2025-07-01 12:00,{i}\n" for i in range(20)
    )
    with pytest.raises(Refused, match=r"file.csv:2 \(day\)") as refused:
        up(url, tmp_path, name, text)
    assert "--date-format" in (refused.value.hint or "")
    done = up(
        url,
        tmp_path,
        name,
        text,
        date_format="MDY",
        time_zone="Europe/Moscow",
        types={"code": "text"},
    )
    assert [column["type"] for column in done.columns] == ["bigint", "date", "timestamptz", "text"]
    assert one(url, f"select max(day)::text from {done.relation}") == "2025-03-20"
    assert one(url, f"select max(at) = '2025-07-01 09:00+00' from {done.relation}") is True
    with pytest.raises(Refused, match="nothing") as wrong:
        up(url, tmp_path, name, text, date_format="MDY", types={"nothing": "text"})
    assert "id, day, at, code" in (wrong.value.hint or "")
    with pytest.raises(Refused, match="varchar"):
        up(url, tmp_path, name, text, date_format="MDY", types={"code": "varchar"})
    with pytest.raises(Refused, match=r"file.csv:2 \(code\): .*boolean"):
        up(url, tmp_path, name, text, date_format="MDY", types={"code": "boolean"})


def test_one_bad_cell_of_a_hundred_thousand_is_named(url: str, tmp_path: Path, name: str) -> None:
    rows = [f"{i},{i / 4},c{i % 9}" for i in range(100_000)]
    rows[73_456] = "73456,12..5,c0"
    before = held(url)
    with pytest.raises(Refused) as refused:
        up(url, tmp_path, name, "\n".join(["id,amount,city", *rows]))
    assert str(refused.value).startswith(
        'file.csv:73458 (amount): "12..5" is no float8: 1 of 100000'
    )
    assert "--type" in (refused.value.hint or "")
    assert held(url) == before | {"uploads": before["uploads"] + 1, "events": before["events"] + 1}
    with psycopg.connect(url, row_factory=dict_row) as connection:
        row = connection.execute(
            "select status, refused_line, refused_column, relation, row_count, version from bi.dataset where name = %s",
            (name,),
        ).fetchone()
    assert row == {"status": "refused", "refused_line": 73458, "refused_column": "amount", "relation": None,
                   "row_count": None, "version": 1}  # fmt: skip


@pytest.mark.parametrize(("bad", "fits"), [(10, True), (11, False)])
def test_the_share_of_bad_cells_that_makes_a_column_text(
    url: str, tmp_path: Path, name: str, bad: int, fits: bool
) -> None:
    """10 % is the setting: up to it cells are errors, above it the column is text."""
    cells = [f"x{i}" if i % 9 == 0 and i // 9 < bad else str(i) for i in range(100)]
    text = "id,value\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
    if fits:
        with pytest.raises(Refused, match=r'file.csv:2 \(value\): "x0" is no bigint: 10 of 100'):
            up(url, tmp_path, name, text)
    else:
        assert [column["type"] for column in up(url, tmp_path, name, text).columns] == [
            "bigint",
            "text",
        ]


@pytest.mark.parametrize("first", ["numbers", "words"])
def test_a_column_that_changes_its_type_half_way(
    url: str, tmp_path: Path, name: str, first: str
) -> None:
    halves = [[str(i) for i in range(500)], [f"w{i}" for i in range(500)]]
    cells = [cell for half in (halves if first == "numbers" else halves[::-1]) for cell in half]
    text = "id,value\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
    with pytest.raises(
        Refused, match=r"file.csv:502 \(value\): .* changes the type of the column: it is bigint"
    ):
        up(url, tmp_path, name, text)
    done = up(url, tmp_path, name, text, types={"value": "text"})
    assert done.version == 2 and done.columns[1]["type"] == "text"


def numbered(header: str, row: str, rows: int = 30) -> str:
    return header + "\n" + "".join(row.format(i=i) + "\n" for i in range(rows))


UNFIT = {
    "one column": (numbered("a", "{i}"), 1, None, "--delimiter"),
    "no header": (
        numbered("1,2.5,2025-01-01", "{i},{i}.5,2025-01-02"),
        1,
        "1",
        "line with the names",
    ),
    "a name twice": (numbered("id,amount,id", "{i},{i},2"), 1, "id", "Rename"),
    "no name": (numbered("id,,x", "{i},{i},2"), 1, None, "give each one"),
    "a formula": (numbered("id,=cmd|'/C calc'!A0", "{i},2"), 1, "=cmd|'/C calc'!A0", "spreadsheet"),
    "a long name": (numbered("id," + "ж" * 32, "{i},2"), 1, "ж" * 32, "2 bytes"),
    "a name of PostgreSQL": (numbered("id,ctid", "{i},2"), 1, "ctid", "Rename"),
    "few rows": (numbered("a,b", "{i},2", 9), 10, None, "dataset.min_rows"),
    "empty cells": (numbered("a,b,c,d,e", "{i},,,,{i}"), 2, "b", "dataset.max_empty_percent"),
    "a short row": (numbered("a,b", "{i},2") + "7\n8,8\n", 32, None, "all its cells"),
    "a long row": (numbered("a,b", "{i},2") + "7,8,9\n", 32, None, "all its cells"),
    "an open quote": (numbered("a,b", "{i},2") + '7,"8\n8,8\n', None, None, "quote"),
    "nothing": ("", None, None, "Export"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_an_unfit_file_leaves_nothing_but_its_record(
    url: str, tmp_path: Path, name: str, case: str
) -> None:
    text, line, column, hint = UNFIT[case]
    before = held(url)
    with pytest.raises(Refused) as refused:
        up(url, tmp_path, name, text)
    assert refused.value.exit_code == 4
    assert hint in (refused.value.hint or "") + str(refused.value)
    if line is not None:
        assert f"file.csv:{line}" in str(refused.value)
    assert held(url) == before | {"uploads": before["uploads"] + 1, "events": before["events"] + 1}
    with psycopg.connect(url, row_factory=dict_row) as connection:
        row = connection.execute("select * from core.dataset where name = %s", (name,)).fetchone()
        lineage = connection.execute(
            "select status from core.data_lineage where error_message = %s", (str(refused.value),)
        ).fetchone()
    assert row is not None and row["status"] == "refused"
    assert (row["refusal"], row["refused_line"], row["refused_column"]) == (
        str(refused.value),
        line,
        column,
    )
    assert lineage == {"status": "failed"}


@pytest.mark.parametrize(
    ("setting", "value", "text", "word"),
    [
        ("dataset.max_megabytes", "0.001", numbered("a,b", "{i},some more words", 100), "0.001 MB"),
        ("dataset.max_columns", "2", BASE, "3 columns, more than 2"),
        ("dataset.min_rows", "21", BASE, "20 rows, fewer than 21"),
        ("dataset.max_empty_percent", "10", numbered("a,b,c", "{i},{i},"), "33.3 %"),
        ("dataset.max_bad_percent", "0", numbered("a,b", "{i},2") + "x,3\n", None),
    ],
)
def test_each_limit_is_a_setting(
    server_url: str, template: str, url: str, tmp_path: Path, name: str, setting: str, value: str, text: str, word: str | None
) -> None:  # fmt: skip
    with psycopg.connect(url) as connection:
        connection.execute(
            "update core.settings set value = %s::jsonb where name = %s", (value, setting)
        )
    try:
        if word is None:
            assert up(url, tmp_path, name, text).columns[0]["type"] == "text"
        else:
            with pytest.raises(Refused) as refused:
                up(url, tmp_path, name, text)
            assert word in str(refused.value) and setting in (refused.value.hint or "")
    finally:
        with psycopg.connect(url) as connection:
            connection.execute(
                "update core.settings set value = default_value where name = %s", (setting,)
            )
    assert (
        up(url, tmp_path, f"{name} again", text if word and "33.3" not in word else BASE).status
        == "stored"
    )


def test_a_packed_file_is_measured_unpacked(url: str, tmp_path: Path, name: str) -> None:
    import gzip

    path = tmp_path / "big.csv.gz"
    path.write_bytes(
        gzip.compress(numbered("a,b", "{i},the same words again and again", 50_000).encode())
    )
    with psycopg.connect(url) as connection:
        connection.execute(
            "update core.settings set value = '1' where name = 'dataset.max_megabytes'"
        )
    try:
        assert path.stat().st_size < 500_000
        with pytest.raises(
            Refused, match=r"big.csv.gz:\d+: the table is longer than 1 MB"
        ) as refused:
            datasets.upload(url, str(path), name, ReadOptions(), UploadOptions())
        assert "dataset.max_megabytes" in (refused.value.hint or "")
    finally:
        with psycopg.connect(url) as connection:
            connection.execute(
                "update core.settings set value = default_value where name = 'dataset.max_megabytes'"
            )


# ---------------------------------------------------------------------------------- versions, views


def test_the_same_bytes_twice_are_two_versions(url: str, tmp_path: Path, name: str) -> None:
    first, second = up(url, tmp_path, name, BASE), up(url, tmp_path, name, BASE)
    assert (first.version, second.version) == (1, 2) and first.relation != second.relation
    assert first.view == second.view == f'dataset."{name}"'
    assert one(url, f"select count(*) from {first.view}") == 20
    assert (
        one(
            url,
            "select count(distinct file_hash) from core.source_data where id in (%s, %s)",
            first.import_id,
            second.import_id,
        )
        == 1
    )
    third = up(url, tmp_path, name, BASE.replace("city", "town") + "20,1.5,c9\n")
    with psycopg.connect(url) as connection:
        cursor = connection.execute(f"select * from {third.view}")
        assert [column.name for column in cursor.description or ()] == ["id", "amount", "town"]
        assert len(cursor.fetchall()) == 21
        rows = connection.execute(
            "select version, is_newest from bi.dataset where name = %s order by 1", (name,)
        ).fetchall()
    assert rows == [(1, False), (2, False), (3, True)]


def test_other_columns_do_not_break_a_view_that_stands_on_the_name(
    url: str, tmp_path: Path, name: str
) -> None:
    first = up(url, tmp_path, name, BASE)
    with psycopg.connect(url) as connection:
        connection.execute(f"create view public.outsider as select city from {first.view}")
    before = held(url)
    with pytest.raises(Refused) as refused:
        up(url, tmp_path, name, BASE.replace("city", "town"))
    assert "view" in str(refused.value) and "relation" in (refused.value.hint or "")
    assert held(url) | {"uploads": 0, "events": 0} == before | {"uploads": 0, "events": 0}
    # Columns at the end are no harm.
    added = up(url, tmp_path, name, numbered("id,amount,city,more", "{i},1.5,c,2"))
    assert one(url, "select count(*) from public.outsider") == 30
    with psycopg.connect(url) as connection:
        connection.execute("drop view public.outsider")
    assert added.version == 3


@pytest.mark.parametrize(
    "odd",
    [
        'a "b"; drop table core.settings',
        "Имя с пробелами",
        "upload_1",
        "x" * 150,
        "ж" * 60,
        "%s {} $1",
    ],
)
def test_odd_names_are_names(url: str, tmp_path: Path, odd: str) -> None:
    done = up(url, tmp_path, odd, BASE)
    assert one(url, f"select count(*) from {done.view}".replace("%", "%%")) == 20
    view = one(url, "select view_name from core.dataset where id = %s", done.dataset_id)
    assert len(view.encode()) <= 63 and view != "upload_1"
    assert one(url, "select to_regclass(%s) is not null", done.view)
    assert up(url, tmp_path, odd, BASE).view == done.view


def test_names_that_are_none(url: str, tmp_path: Path) -> None:
    for bad in ("", " a", "a\nb", "x" * 201):
        with pytest.raises(Refused, match="cannot be named"):
            up(url, tmp_path, bad, BASE)


@pytest.mark.parametrize("keep", ["30 days", "forever", None])
def test_how_long_it_is_kept(url: str, tmp_path: Path, name: str, keep: str | None) -> None:
    done = up(url, tmp_path, name, BASE, keep=keep)
    days = one(
        url,
        "select extract(epoch from expires_at - uploaded_at) / 86400 from core.dataset where id = %s",
        done.dataset_id,
    )
    assert days == {"30 days": 30, "forever": None, None: 90}[keep]


@pytest.mark.parametrize("keep", ["soon", "-1 day", "0"])
def test_times_that_are_none(url: str, tmp_path: Path, name: str, keep: str) -> None:
    before = held(url)
    with pytest.raises(Refused, match="cannot be kept") as refused:
        up(url, tmp_path, name, BASE, keep=keep)
    assert "forever" in (refused.value.hint or "")
    assert held(url)["relations"] == before["relations"]


# ------------------------------------------------------------------------------------------ profile


def test_the_profile_is_right(url: str, tmp_path: Path, name: str) -> None:
    """1..10, 1000 and one empty cell: quartiles 3.5 and 8.5, so above 16 is an outlier."""
    values = [*map(str, range(1, 11)), "1000", ""]
    words = ["a", "b", "b", "c", "c", "", "d", "e", "f", "g", "h", "i"]
    text = "value,word,flag\n" + "".join(
        f"{value},{word},{flag}\n"
        for value, word, flag in zip(values, words, ["true"] * 9 + ["false"] * 3, strict=True)
    )
    done = up(url, tmp_path, name, text)
    with psycopg.connect(url, row_factory=dict_row) as connection:
        rows = connection.execute(
            "select * from bi.dataset_column where dataset_id = %s order by position",
            (done.dataset_id,),
        ).fetchall()
        shown = connection.execute("select * from api.show_dataset(%s)", (name,)).fetchall()
    number, word, flag = rows
    assert number["type"] == "bigint" and word["type"] == "text" and flag["type"] == "boolean"
    assert (
        number["empty_count"],
        number["distinct_count"],
        number["minimum"],
        number["maximum"],
    ) == (1, 11, "1", "1000")
    assert number["empty_percent"] == pytest.approx(100 / 12)
    assert number["mean"] == pytest.approx(1055 / 11)
    # sqrt((sum of squares - n mean^2) / (n - 1)): (385 + 1e6 - 1055^2 / 11) / 10.
    assert number["stddev"] == pytest.approx(((1_000_385 - 1055**2 / 11) / 10) ** 0.5)
    assert number["outlier_count"] == 1
    assert (
        word["most_frequent"],
        word["most_frequent_count"],
        word["mean"],
        word["outlier_count"],
    ) == ("b", 2, None, None)
    assert (flag["minimum"], flag["maximum"], flag["most_frequent"]) == ("false", "true", "true")
    assert [row["column_name"] for row in shown] == ["value", "word", "flag"]
    assert one(
        url, "select empty_percent from bi.dataset where dataset_id = %s", done.dataset_id
    ) == pytest.approx(200 / 36)


def test_what_differs_between_versions(url: str, tmp_path: Path, name: str) -> None:
    up(url, tmp_path, name, BASE)
    up(url, tmp_path, name, numbered("id,amount,extra", "{i},a{i},1", 30))
    up(url, tmp_path, name, numbered("id,amount,extra", "{i},a{i},1", 30))
    with psycopg.connect(url) as connection:
        rows = connection.execute("select * from api.diff_datasets(%s, 1, 2)", (name,)).fetchall()
        same = connection.execute("select * from api.diff_datasets(%s, 2, 3)", (name,)).fetchall()
        with pytest.raises(psycopg.Error) as unknown:
            connection.execute("select * from api.diff_datasets(%s, 1, 9)", (name,))
    found = {
        (column, figure): (change, before, after) for column, figure, change, before, after in rows
    }
    assert found[None, "rows"] == ("changed", "20", "30")
    assert (None, "columns") not in found
    assert found["extra", "column"] == ("added", None, "bigint")
    assert found["city", "column"] == ("removed", "text", None)
    assert found["amount", "type"] == ("changed", "float8", "text")
    assert found["id", "maximum"] == ("changed", "19", "29")
    assert found["amount", "mean"] == ("removed", "10", None)
    assert same == []
    assert unknown.value.sqlstate == "22023" and unknown.value.diag.message_hint


# ------------------------------------------------------------------------------------- drop, expiry


def test_dropping_a_version_brings_the_one_before_back(url: str, tmp_path: Path, name: str) -> None:
    first = up(url, tmp_path, name, BASE)
    up(url, tmp_path, name, numbered("x,y", "{i},1"))
    with psycopg.connect(url, row_factory=dict_row) as connection:
        gone = connection.execute(
            "select * from api.drop_dataset(%s, 2, reason => 'wrong file')", (name,)
        ).fetchall()
        assert [(row["dropped_version"], row["row_count"], row["run_count"]) for row in gone] == [
            (2, 30, 0)
        ]
        connection.commit()
        assert connection.execute(f"select count(*) as n from {first.view}").fetchone() == {"n": 20}
        for arguments in ((name, 2), (name, 7), ("no such", None)):
            with pytest.raises(psycopg.Error) as refused, connection.transaction():
                connection.execute("select * from api.drop_dataset(%s, %s)", arguments)
            assert refused.value.sqlstate == "22023" and refused.value.diag.message_hint
        connection.execute("select * from api.drop_dataset(%s)", (name,))
        connection.commit()
        assert connection.execute("select to_regclass(%s) as r", (first.view,)).fetchone() == {
            "r": None
        }
        events = connection.execute(
            "select e.event, e.reason from core.dataset_event as e inner join core.dataset as d on d.id = e.dataset_id"
            " where d.name = %s order by e.id", (name,)
        ).fetchall()  # fmt: skip
    assert [(row["event"], row["reason"]) for row in events] == [
        ("uploaded", None), ("uploaded", None), ("dropped", "wrong file"), ("dropped", None)
    ]  # fmt: skip
    # Its number is not given again.
    assert up(url, tmp_path, name, BASE).version == 3


SERIES = "sold_on,quantity\n" + "".join(
    f"2025-{1 + i // 28:02}-{1 + i % 28:02},{10 + i % 7}\n" for i in range(84)
)
# Three versions of a model of a dataset: one archived and needed by nobody, one a rollback would go to, one deployed.
FITTED = """
insert into core.model_definition (name, kind, source, time_column, value_column, grid)
values (%(model)s, 'naive', %(view)s, 'sold_on', 'quantity', '{"unit": "day", "count": 1, "phase": 0, "zone": "UTC", "is_local": true}');
"""


def fitted(connection: psycopg.Connection[Any], model: str, dataset: int) -> dict[int, int]:
    """Write rows of runs, fits and artifacts as fits would; give the versions' keys."""
    keys: dict[int, int] = {}
    for version, status in ((1, "archived"), (2, "archived"), (3, "deployed")):
        row = connection.execute(
            "insert into cache.model_artifact (model_name, upload_id, kind, version, options_hash, data_hash, header, arrays,"
            " signature, label, data_length, fitted_length)"
            " values (%s, %s, 'naive', 1, %s, %s, '{}', '', '', 'x', 1, 1) returning id",
            (model, dataset, model, str(version)),
        ).fetchone()
        assert row is not None
        artifact = row["id"]
        row = connection.execute(
            "insert into core.model_versions (model, model_type, version, status, replaced_version_id, artifact_id, parameters)"
            " values (%s, 'naive', %s, %s, %s, %s, '{}') returning id",
            (model, version, status, keys.get(version - 1), artifact),
        ).fetchone()
        assert row is not None
        keys[version] = row["id"]
        row = connection.execute(
            "insert into core.training_run (model, task, status, version_id, upload_id) values (%s, 'fit', 'succeeded', %s, %s) returning id",
            (model, keys[version], dataset),
        ).fetchone()
        assert row is not None
        run = row["id"]
        row = connection.execute(
            "insert into cache.ml_models (model_name, upload_id, kind, fitted_kind, options_hash, data_hash, parameters, signature, label,"
            " data_length, fitted_length, first_data_date, last_data_date, version, supports_incremental)"
            " values (%s, %s, 'naive', 'naive', %s, %s, '{}', '', 'x', 1, 1, now(), now(), 1, false) returning id",
            (model, dataset, model, str(version)),
        ).fetchone()
        assert row is not None
        connection.execute(
            "insert into core.run_outcome (run_id, series_id, outcome, ml_model_id) values (%s, 1, 'fitted', %s)",
            (run, row["id"]),
        )
    return keys


def test_expiry_removes_all_but_what_is_deployed_and_reports_it(
    url: str, tmp_path: Path, name: str
) -> None:
    done = up(url, tmp_path, name, SERIES)
    kept = up(url, tmp_path, f"{name} kept", BASE)
    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.execute(FITTED, {"model": name, "view": done.view})
        fitted(connection, name, done.dataset_id or 0)
        connection.execute(
            "update core.dataset set expires_at = now() - interval '1 second' where id = %s",
            (done.dataset_id,),
        )
        connection.commit()
        assert connection.execute(
            "select internal.source_dataset(d) as id from core.model_definition as d where d.name = %s",
            (name,),
        ).fetchone() == {"id": done.dataset_id}
        rows = connection.execute("select * from api.expire_datasets()").fetchall()
        connection.commit()
        assert [row["dataset_id"] for row in rows] == [done.dataset_id]
        # One run, artifact and fit of three go; two of each stay.
        assert rows[0] | {"table_bytes": 0} == {
            "dataset_id": done.dataset_id, "owner": rows[0]["owner"], "name": name, "version": 1, "event": "expired", "reason": None,
            "row_count": 84, "table_bytes": 0, "run_count": 1, "artifact_count": 1, "fit_count": 1, "needed_count": 6,
        }  # fmt: skip
        assert rows[0]["table_bytes"] > 0
        left = connection.execute(
            "select v.version, v.artifact_id is not null as has_artifact, count(r.id) as runs from core.model_versions as v"
            " left join core.training_run as r on r.version_id = v.id where v.model = %s group by v.id order by 1", (name,)
        ).fetchall()  # fmt: skip
        assert [(row["version"], row["has_artifact"], row["runs"]) for row in left] == [
            (1, False, 0),
            (2, True, 1),
            (3, True, 1),
        ]
        event = connection.execute(
            "select status, removed_run_count, removed_artifact_count, removed_fit_count, needed_count, relation"
            " from bi.dataset where dataset_id = %s", (done.dataset_id,)
        ).fetchone()  # fmt: skip
        assert event is not None and tuple(event.values()) == ("expired", 1, 1, 1, 6, None)
        assert connection.execute("select * from api.expire_datasets()").fetchall() == []
        # What reads it says what happened.
        with pytest.raises(psycopg.Error) as refused, connection.transaction():
            connection.execute("select * from api.fit_model(%s)", (name,))
        assert refused.value.sqlstate == "42P01" and "expired on" in str(refused.value)
        assert "loader import FILE --into dataset" in (refused.value.diag.message_hint or "")
        assert connection.execute(
            "select internal.source_dataset(d) as id from core.model_definition as d where d.name = %s",
            (name,),
        ).fetchone() == {"id": None}
        assert connection.execute(f"select count(*) as n from {kept.relation}").fetchone() == {
            "n": 20
        }
        # The profile stays.
        assert connection.execute(
            "select count(*) as n from api.show_dataset(%s, 1)", (name,)
        ).fetchone() == {"n": 2}


def test_what_is_used_expires_later(url: str, tmp_path: Path, name: str) -> None:
    names = [f"{name} {word}" for word in ("free", "read", "viewed")]
    done = [up(url, tmp_path, one_name, BASE) for one_name in names]
    with psycopg.connect(url) as connection, psycopg.connect(url) as reader:
        connection.execute(f"create view public.standing as select * from {done[2].relation}")
        connection.execute(
            "update core.dataset set expires_at = now() where id = any(%s)",
            ([d.dataset_id for d in done],),
        )
        connection.commit()
        reader.execute(f"select * from {done[1].relation}")
        rows = connection.execute(
            "select name, event, reason from api.expire_datasets() order by 1"
        ).fetchall()
        connection.commit()
        reader.rollback()
        assert [row[:2] for row in rows] == [
            (names[0], "expired"),
            (names[1], "kept"),
            (names[2], "kept"),
        ]
        assert "being read" in rows[1][2] and "view" in rows[2][2]
        assert connection.execute(f"select count(*) from {done[1].view}").fetchone() == (20,)
        connection.execute("drop view public.standing")
        connection.commit()
        # The job does it, at its next turn.
        step = connection.execute(
            "select statement from internal.job_steps('housekeeping') where step = 'expire_datasets'"
        ).fetchone()
        assert step is not None
        row = connection.execute(step[0].replace("$1", "'{}'")).fetchone()
        assert row is not None and row[0] == 2 and "2 datasets expired with 40 rows" in row[1]


def test_a_model_reads_the_newest_version(url: str, tmp_path: Path, name: str) -> None:
    first = up(url, tmp_path, name, SERIES)
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select series_count, row_count from api.create_model(%s, %s, 'sold_on', 'quantity', kind => 'naive')",
            (name, first.view),
        ).fetchone()
        assert row == (1, 84)
        connection.execute(
            "select * from api.create_model(%s, %s, 'sold_on', 'quantity', kind => 'naive')",
            (name + " table", first.relation),
        )
        connection.execute("select * from api.create_model(%s, %s, 'sold_on', 'quantity', kind => 'naive')",
                           (name + " query", f"select * from {first.view}"))  # fmt: skip
        connection.execute("select * from api.fit_model(%s)", (name,))
    second = up(url, tmp_path, name, SERIES + "2025-05-01,3\n")
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "select internal.source_dataset(d) from core.model_definition as d where d.name like %s order by d.name",
            (name + "%",),
        ).fetchall()
    assert [row[0] for row in found] == [second.dataset_id, None, first.dataset_id]


# ------------------------------------------------------------------------------------------- rights


@pytest.fixture(scope="module")
def members(server_url: str) -> Iterator[dict[str, str]]:
    """Logins of their own: two fitters, an analyst, one of the tools, one of nothing."""
    suffix = uuid.uuid4().hex[:8]
    made = {
        "anna": "weighhouse_fitter",
        "boris": "weighhouse_fitter",
        "analyst": "weighhouse_analyst",
        "tool": "weighhouse_bi",
        "nobody": None,
    }
    names = {key: f"wh_{key}_{suffix}" for key in made}
    with admin(server_url) as connection:
        for key, role in made.items():
            statement = sql.SQL("create role {} login").format(sql.Identifier(names[key]))
            if role:
                statement += sql.SQL(" in role {}").format(sql.Identifier(role))
            connection.execute(statement)
    yield names
    with admin(server_url) as connection:
        for member in names.values():
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(member)))


def be(connection: psycopg.Connection[Any], role: str) -> None:
    connection.execute(sql.SQL("set session authorization {}").format(sql.Identifier(role)))


def store(connection: psycopg.Connection[Any], name: str) -> dict[str, Any]:
    """Upload as the loader does, in the transaction of a session."""
    connection.execute(
        "create temp table upload_row (line bigint, c1 text, c2 text) on commit drop"
    )
    connection.execute(
        "insert into pg_temp.upload_row select i + 1, i, 'w' || i from generate_series(1, 15) as i"
    )
    assert (
        connection.execute("select * from internal.judge_upload('{number,word}')").fetchall() == []
    )
    row = connection.execute(
        "select * from internal.store_upload(%s, 'f.csv', repeat('0', 64), 1)", (name,)
    ).fetchone()
    assert row is not None
    return dict(row)


def test_owners_do_not_collide(
    connection: psycopg.Connection[Any], members: dict[str, str], name: str
) -> None:
    views = {}
    for who in ("anna", "boris", "anna"):
        be(connection, members[who])
        stored = store(connection, name)
        views.setdefault(who, []).append((stored["version"], stored["view"]))
        connection.execute(
            "drop table pg_temp.upload_row, pg_temp.upload_tally, pg_temp.upload_column, pg_temp.upload_guess,"
            " pg_temp.upload_problem"
        )
        connection.execute("reset session authorization")
    assert views["anna"] == [(1, f'dataset."{name}"'), (2, f'dataset."{name}"')]
    assert views["boris"] == [(1, f'dataset."{name}_{members["boris"]}"')]
    be(connection, members["boris"])
    with pytest.raises(psycopg.Error) as refused, connection.transaction():
        connection.execute("select * from api.drop_dataset(%s, 2)", (name,))
    assert refused.value.sqlstate == "22023"
    # Another's, only by naming the owner.
    gone = connection.execute(
        "select * from api.drop_dataset(%s, 2, %s)", (name, members["anna"])
    ).fetchall()
    assert len(gone) == 1
    connection.execute("reset session authorization")
    be(connection, members["analyst"])
    with pytest.raises(psycopg.Error) as refused, connection.transaction():
        connection.execute("select * from api.show_dataset(%s)", (name,))
    assert refused.value.sqlstate == "22023" and members["anna"] in (
        refused.value.diag.message_hint or ""
    )
    assert (
        len(
            connection.execute(
                "select * from api.show_dataset(%s, owner => %s)", (name, members["boris"])
            ).fetchall()
        )
        == 2
    )
    connection.rollback()


def test_rights(connection: psycopg.Connection[Any], members: dict[str, str], name: str) -> None:
    be(connection, members["anna"])
    stored = store(connection, name)
    connection.execute("reset session authorization")
    table, number = stored["relation"], stored["dataset_id"]
    view = stored["view"]
    readers, tools = {"anna", "analyst"}, {"anna", "analyst", "tool"}
    actions = {
        f"select count(*) from {table}": readers,
        f"select count(*) from {view}": readers,
        "select count(*) from bi.dataset": tools,
        "select count(*) from bi.dataset_column": tools,
        "select * from api.list_datasets()": readers,
        f"select * from api.show_dataset('{name}')": readers,
        f"select * from api.diff_datasets('{name}', 1, 1)": readers,
        "select count(*) from core.dataset": readers,
        "select * from api.expire_datasets()": {"anna"},
        f"select * from api.drop_dataset('{name}', 1, '{members['anna']}')": {"anna"},
        f"insert into {table} values (1, 'x')": set(),
        f"delete from {table}": set(),
        f"drop table {table}": set(),
        f"alter table {table} add column x int": set(),
        f"create trigger t before insert on {table} for each row execute function suppress_redundant_updates_trigger()": set(),
        f"drop view {view}": set(),
        "create table dataset.mine (x int)": set(),
        "create view dataset.mine as select 1 as x": set(),
        "create function dataset.mine() returns int language sql return 1": set(),
        f"select internal.seal_dataset_table({number})": {"anna"},
    }
    wrong = []
    for who in ("anna", "analyst", "tool", "nobody"):
        be(connection, members[who])
        for action, may in actions.items():
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(action)
                state = "00000"
            except psycopg.Error as error:
                state = error.sqlstate or "?"
            if (state == "00000") != (who in may) or state not in ("00000", "42501", "42P01"):
                wrong.append((who, action, state))
        connection.execute("reset session authorization")
    assert wrong == []
    connection.rollback()


@pytest.mark.parametrize(
    ("call", "state"),
    [
        # They make and drop nothing but tables of datasets, whatever they are told.
        ("select internal.make_dataset_table(-1, '{a,b}', '{text,text}')", "22023"),
        ("select internal.make_dataset_table({id}, '{a,b}', '{text,text default pg_sleep(0)}')", "22023"),
        ("select internal.make_dataset_table({id}, '{a,b}', '{text,text}')", "42P07"),
        ("select internal.drop_dataset_table({id})", "22023"),
        ("select internal.show_newest_dataset('upload_{id}')", "22023"),
        ("update core.dataset set relation = 'core.settings' where id = {id};"
         " select internal.show_newest_dataset(view_name) from core.dataset where id = {id};"
         " select * from dataset.{view}", "42P01"),
    ],
)  # fmt: skip
def test_the_rights_of_the_owner_reach_no_further_than_datasets(
    connection: psycopg.Connection[Any], members: dict[str, str], name: str, call: str, state: str
) -> None:
    be(connection, members["anna"])
    stored = store(connection, name)
    with pytest.raises(psycopg.Error) as refused, connection.transaction():
        filled = call.replace("{id}", str(stored["dataset_id"]))
        for statement in filled.replace("{view}", f'"{name}"').split(";"):
            connection.execute(statement)
    assert refused.value.sqlstate == state
    connection.rollback()


def test_functions_with_the_rights_of_their_owner_fix_their_path(
    connection: psycopg.Connection[Any],
) -> None:
    rows = connection.execute(
        "select proname, proowner::regrole::text as owner, proconfig from pg_proc"
        " where prosecdef and pronamespace = 'internal'::regnamespace order by 1"
    ).fetchall()
    assert [row["proname"] for row in rows] == [
        "drop_dataset_table", "make_dataset_table", "seal_dataset_table", "show_newest_dataset"
    ]  # fmt: skip
    assert all(
        row["owner"] == "weighhouse_owner" and "search_path=pg_catalog, pg_temp" in row["proconfig"]
        for row in rows
    )


# ------------------------------------------------------------------------------------------ the rest


def test_an_import_that_made_a_dataset_is_not_taken_back(
    url: str, tmp_path: Path, name: str
) -> None:
    done = up(url, tmp_path, name, BASE)
    with psycopg.connect(url) as connection:
        with pytest.raises(psycopg.Error) as refused:
            connection.execute("select * from api.undo_import(%s)", (done.import_id,))
        assert refused.value.sqlstate == "22023" and "drop_dataset" in (
            refused.value.diag.message_hint or ""
        )
    assert one(url, "select undone_at is null from core.source_data where id = %s", done.import_id)


def test_a_dry_run_leaves_nothing(url: str, tmp_path: Path, name: str) -> None:
    path = tmp_path / "f.csv"
    before = held(url)
    for text, fits in ((BASE, True), ("a\n1\n", False)):
        path.write_text(text)
        try:
            done = datasets.upload(
                url, str(path), name, ReadOptions(), UploadOptions(), dry_run=True
            )
            assert fits and (done.status, done.rows, done.relation) == ("checked", 20, None)
        except Refused:
            assert not fits
    assert held(url) == before


def test_down_and_up_again_with_datasets_in_it(fresh_url: str, tmp_path: Path) -> None:
    up(fresh_url, tmp_path, "a", BASE)
    up(fresh_url, tmp_path, "a", BASE)
    up(fresh_url, tmp_path, "b", SERIES)
    schema.downgrade(fresh_url, "0017")
    assert one(fresh_url, "select count(*) from pg_namespace where nspname = 'dataset'") == 0
    assert one(fresh_url, "select count(*) from core.source_data") == 0
    schema.upgrade(fresh_url)
    assert up(fresh_url, tmp_path, "a", BASE).version == 1


def test_uploads_at_once_get_numbers_of_their_own(url: str, tmp_path: Path, name: str) -> None:
    import threading

    found: list[Any] = []

    def work(place: int) -> None:
        folder = tmp_path / str(place)
        folder.mkdir()
        found.append(up(url, folder, name, BASE).version)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [1, 2, 3, 4]
