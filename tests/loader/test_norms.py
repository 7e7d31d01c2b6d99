"""Norms from a file, as a user brings them in: whole norms or none, in the ledger, taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.loader.command_line import one, run
from tests.loader.test_cli import movements

# The rows the domain quotes (order 252, section XXXII, frozen beef; cheese by months).
HEAD = "product_group,kind,storage_mode,climate_group,days_from,days_to,percent,add_per_day\n"
BEEF = (
    "frozen,stepped,warehouse,1,1,1,0,\n"
    "frozen,stepped,warehouse,1,2,2,0.05,\n"
    "frozen,stepped,warehouse,1,3,3,0.08,\n"
    "frozen,stepped,warehouse,1,4,10,,0.01\n"
    "frozen,stepped,warehouse,1,11,30,,0.005\n"
)
CHEESE = "cheese,monthly,refrigerator,,1,1,0.08,\ncheese,monthly,refrigerator,,2,,0.06,\n"


def table(path: Path, text: str, head: str = HEAD) -> str:
    path.write_text(head + text, "utf-8")
    return str(path)


def bring(url: str, path: str, *words: str) -> dict[str, Any]:
    done = run(url, "--json", "import", path, "--into", "norms", *words)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["read"] == result["loaded"] + result["duplicate"] + result["rejected"]
    return result


def counts(result: dict[str, Any]) -> tuple[int, int, int]:
    return result["loaded"], result["duplicate"], result["rejected"]


def rejected(url: str, result: dict[str, Any]) -> dict[int, str]:
    shown = run(url, "--json", "rejects", "show", str(result["import_id"]))
    return {row["line"]: row["reason"] for row in json.loads(shown.stdout)}


def stored(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select product_group, climate_group, count(*)::int, max(percent_last) from bi.norm"
            " group by norm_id, product_group, climate_group order by norm_id"
        ).fetchall()


def test_in_once_and_back_again(fresh_url: str, tmp_path: Path) -> None:
    path = table(tmp_path / "norms.csv", BEEF + CHEESE)
    result = bring(fresh_url, path)
    assert (result["layout"], *counts(result)) == ("norms", 7, 0, 0)
    assert stored(fresh_url) == [("frozen", 1, 5, 0.25), ("cheese", None, 2, 0.08)]
    norm = "(select min(norm_id) from bi.norm)"
    assert one(fresh_url, f"select api.norm_percent({norm}, 12)") == 0.16
    assert one(fresh_url, f"select api.norm_percent({norm}, 31)") == 0.25
    again = run(fresh_url, "import", path, "--into", "norms")
    assert again.returncode == 0 and "already imported on" in again.stdout
    same = bring(fresh_url, table(tmp_path / "same.csv", CHEESE + BEEF))
    assert counts(same) == (0, 7, 0)
    undone = run(fresh_url, "imports", "undo", str(result["import_id"]))
    assert undone.returncode == 0 and "took back 2 norms" in undone.stdout
    assert one(fresh_url, "select count(*) from core.norm_steps") == 0
    assert counts(bring(fresh_url, path)) == (7, 0, 0)
    assert one(fresh_url, "select count(*) from staging.norm") == 0


@pytest.mark.parametrize(
    ("was", "becomes", "reasons"),
    [
        # Lines 2 to 6 are the norm.
        ("1,3,3,0.08", "1,4,4,0.08", {4: "step_gap", 5: "step_overlap"}),
        ("1,11,30,", "1,10,30,", {6: "step_overlap"}),
        ("1,3,3,0.08", "1,3,3,-0.08", {4: "negative_percent"}),
        ("1,3,3,0.08", "1,3,3,soon", {4: "not_a_number"}),
        ("1,3,3,0.08", "1,3,3,", {4: "missing_percent"}),
        ("1,1,1,0", "1,1,1,101", {2: "percent_over_100"}),
        # Without the row the rest would look whole: it may not be stored.
        ("stepped,warehouse,1,11", "steped,warehouse,1,11", {6: "unknown_kind"}),
        ("warehouse,1,11", "cellar,1,11", {6: "unknown_storage_mode"}),
        ("warehouse,1,11", "warehouse,4,11", {6: "unknown_climate_group"}),
    ],
)
def test_a_norm_with_a_bad_row_is_rejected_whole_and_nothing_else(
    fresh_url: str, tmp_path: Path, was: str, becomes: str, reasons: dict[int, str]
) -> None:
    text = BEEF.replace(was, becomes, 1) + CHEESE + BEEF.replace("warehouse,1", "warehouse,2")
    assert text.count(becomes) >= 1
    path = table(tmp_path / "norms.csv", text)
    checked = run(fresh_url, "check", path, "--into", "norms")
    assert checked.returncode == 1 and "norms.csv:" in checked.stderr
    result = bring(fresh_url, path)
    assert counts(result) == (7, 0, 5)
    assert rejected(fresh_url, result) == {
        line: reasons.get(line, "rejected_with_norm") for line in range(2, 7)
    }
    assert stored(fresh_url) == [("cheese", None, 2, 0.08), ("frozen", 2, 5, 0.25)]
    strict = table(tmp_path / "strict.csv", text + "\n")
    done = run(fresh_url, "import", strict, "--into", "norms", "--max-rejects", "4")
    assert done.returncode == 4 and "nothing of this file was loaded" in done.stderr


def test_norms_that_meet_and_what_becomes_of_them(fresh_url: str, tmp_path: Path) -> None:
    head = "product_group,kind,storage_mode,valid_from,valid_to,percent\n"
    first = table(tmp_path / "1.csv", "frozen,turnover,retail,01.01.2025,,0.4\n", head)
    assert counts(bring(fresh_url, first)) == (1, 0, 0)
    other = "frozen,turnover,retail,2025-01-01,31.12.2025,0.5\n"
    for blank, (conflict, left) in enumerate((("skip", 0.4), ("fail", 0.4), ("update", 0.5))):
        path = table(tmp_path / f"{conflict}.csv", other + "\n" * blank, head)
        done = run(fresh_url, "import", path, "--into", "norms", "--on-conflict", conflict)
        assert done.returncode == (4 if conflict == "fail" else 0), done.stderr
        assert ("hint: " in done.stderr) is (conflict == "fail")
        assert one(fresh_url, "select max(percent_last) from bi.norm") == left
    assert one(fresh_url, "select count(*) from core.norms") == 1
    # The skipped file once more, now that the norm it meets has ended.
    skipped = "(select id from core.source_data where file_name = 'skip.csv')"
    number = str(one(fresh_url, f"select {skipped}"))
    assert rejected(fresh_url, {"import_id": number}) == {2: "validity_overlap"}
    with psycopg.connect(fresh_url) as connection:
        connection.execute("select api.drop_norm(n.norm_id) from bi.norm as n")
    again = json.loads(run(fresh_url, "--json", "rejects", "retry", number).stdout)
    assert (again["read"], again["loaded"], again["rejected"]) == (1, 1, 0)
    assert one(fresh_url, "select max(percent_last) from bi.norm") == 0.5


def test_as_a_spreadsheet_writes_it(fresh_url: str, tmp_path: Path) -> None:
    path = tmp_path / "нормы.csv"
    path.write_bytes(
        "Нормы естественной убыли;;;;;;;\n"
        "Группа товаров;Вид нормы;Место хранения;Сезон;Действует с;Норма, %;Приказ;Полдня\n"
        "Мороженая рыба;от оборота;розница;I квартал;01.03.2013;0,40;№ 252;нет\n"
        ";;;;;;;\n"
        "Мороженая рыба;от оборота;розница;4-12;01.03.2013;0,50;№ 252;да\n".encode("cp1251")
    )
    result = bring(fresh_url, str(path), "--encoding", "cp1251")
    assert (*counts(result), result["skipped"]) == (2, 0, 0, 3)
    with psycopg.connect(fresh_url) as connection:
        rows = connection.execute(
            "select match_key, kind, storage_mode, month_from, month_to, valid_from::text,"
            " percent_last, document, is_half_day, file_name, line from bi.norm order by norm_id"
        ).fetchall()
    common = ("мороженая рыба", "turnover", "retail")
    assert rows == [
        (*common, 1, 3, "2013-03-01", 0.4, "№ 252", False, "нормы.csv", 3),
        (*common, 4, 12, "2013-03-01", 0.5, "№ 252", True, "нормы.csv", 5),
    ]


def test_what_cannot_be_read_is_refused(fresh_url: str, tmp_path: Path) -> None:
    head = "product_group,kind,storage_mode,valid_from,percent\n"
    dated = table(tmp_path / "dated.csv", "frozen,turnover,retail,01/02/2025,0.4\n", head)
    done = run(fresh_url, "import", dated, "--into", "norms")
    assert done.returncode == 4 and "--date-format" in done.stderr
    assert counts(bring(fresh_url, dated, "--date-format", "DMY")) == (1, 0, 0)
    assert one(fresh_url, "select valid_from::text from bi.norm") == "2025-02-01"
    stock = movements(tmp_path / "m.csv", 5)
    done = run(fresh_url, "import", str(stock), "--into", "norms")
    assert done.returncode == 4 and "product_group" in done.stderr
    named = table(
        tmp_path / "named.csv", "x,turnover,retail,0.4\n", "goods,kind,storage_mode,norm\n"
    )
    assert run(fresh_url, "import", named, "--into", "norms").returncode == 4
    assert counts(bring(fresh_url, named, "--map", "product_group=goods")) == (1, 0, 0)
    for words in (
        ("--into", "stock"),
        ("--into", "norms", "--layout", "balances"),
        ("--layout", "norms"),
    ):
        done = run(fresh_url, "import", dated, *words)
        assert done.returncode == 2 and "hint: " in done.stderr
    # Norms are never guessed, and the other layouts are told apart as ever.
    assert run(fresh_url, "import", table(tmp_path / "n.csv", BEEF)).returncode == 4
    done = run(fresh_url, "import", str(stock), "--into", "auto", "--timezone", "UTC")
    assert done.returncode == 0 and "loaded 5" in done.stdout
