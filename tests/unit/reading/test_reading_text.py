"""Bytes and text: encodings, delimiters, quotes, line ends, damage."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import Refused, UsageError
from loader.reading import COPY_OPTIONS, ReadOptions, open_source
from loader.reading import source as source_module
from loader.reading.dialect import CsvTable
from loader.reading.options import Report
from loader.reading.stream import Bytes, Text

HEADER = "item;doc_type;date;in;out\n"
ROW = "ЛЕЩ Г/К;sale;2025-01-06;;0,534\n"
MOVEMENTS = HEADER + ROW


def uncopy(blocks):
    """Undo COPY's text format by its definition: tab, newline, backslash escapes, '' is NULL."""
    text = b"".join(block for block, _ in blocks).decode()
    unescape = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
    for line in text.split("\n")[:-1]:
        cells = []
        for cell in line.split("\t"):
            out, characters = "", iter(cell)
            for c in characters:
                out += unescape[next(characters)] if c == "\\" else c
            cells.append(out or None)
        yield (int(cells[0]), *cells[1:])


# -- encodings -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "found"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16-le")],
)
def test_marked_and_utf8_files_are_read_without_being_told(opened, written, found):
    source = opened(MOVEMENTS, written=written)
    assert source.encoding == found
    assert list(source.records()) == [(2, "ЛЕЩ Г/К", "sale", "2025-01-06", None, "0,534")]


def test_utf16_big_endian_with_mark(opened):
    source = opened(b"\xfe\xff" + MOVEMENTS.encode("utf-16-be"))
    assert source.encoding == "utf-16-be"
    assert next(source.records())[1] == "ЛЕЩ Г/К"


@pytest.mark.parametrize("encoding", ["cp1251", "cp866", "koi8-r"])
def test_one_byte_encodings_are_refused_by_position_and_read_when_named(opened, encoding):
    data = MOVEMENTS.encode(encoding)
    with pytest.raises(Refused) as refused:
        opened(data)
    assert f"position {len(HEADER)}" in str(refused.value)
    assert str(refused.value).startswith("stock.csv:2:")
    assert "--encoding cp1251" in refused.value.hint and "cp866" in refused.value.hint
    assert "ЛЕЩ Г/К" in refused.value.detail  # one of the readings is the right one
    source = opened(data, encoding=encoding)
    assert (source.encoding, next(source.records())[1]) == (encoding, "ЛЕЩ Г/К")


def test_a_bad_byte_far_into_the_file_is_named_when_it_is_met(opened):
    rows = 60_000  # several pieces of the verifying pass
    data = (HEADER + ROW * rows).encode() + b"\xff" + ROW.encode()
    source = opened(data)
    with pytest.raises(Refused) as refused:
        list(source.records())
    assert f":{rows + 2}: byte 0xFF at position {len((HEADER + ROW * rows).encode())}" in str(
        refused.value
    )
    assert "damaged" in refused.value.detail


def test_a_file_that_cannot_be_hashed_is_not_taken_for_one_without_a_hash(opened, monkeypatch):
    def fail(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr("hashlib.file_digest", fail)
    source = opened(MOVEMENTS)
    with pytest.raises(OSError, match="the disk is gone"):
        _ = source.sha256


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_mark_is_refused_and_read_when_named(opened, encoding):
    data = MOVEMENTS.encode(encoding)
    with pytest.raises(Refused) as refused:
        opened(data)
    assert f"--encoding {encoding}" in refused.value.hint
    assert next(opened(data, encoding=encoding).records())[1] == "ЛЕЩ Г/К"


def test_forced_encoding_is_strict_and_may_not_contradict_the_mark(opened):
    with pytest.raises(Refused, match="position"):
        opened(MOVEMENTS.encode("cp1251") + b"\x98", encoding="cp1251")
    with pytest.raises(Refused, match="contradicts"):
        opened(MOVEMENTS, written="utf-8-sig", encoding="cp1251")
    with pytest.raises(UsageError, match="unknown encoding"):
        opened(MOVEMENTS, encoding="latin-zz")
    assert next(opened(MOVEMENTS, written="utf-8-sig", encoding="utf8").records())[0] == 2


def test_a_nul_byte_rejects_its_row_only(opened):
    source = opened(HEADER + ROW + "ЩУ\0КА;sale;2025-01-06;;1\n" + ROW)
    assert [r[0] for r in source.records()] == [2, 4]
    assert [(b.line, b.raw) for b in source.bad_rows] == [(3, "ЩУ␀КА;sale;2025-01-06;;1")]
    assert "NUL" in source.bad_rows[0].reason
    assert source.raw_lines({3}) == {3: "ЩУ␀КА;sale;2025-01-06;;1"}


# -- delimiters and lines ------------------------------------------------------


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_delimiters_are_found(opened, delimiter):
    source = opened(MOVEMENTS.replace("0,534", "0.534").replace(";", delimiter))
    assert source.delimiter == delimiter
    assert next(source.records())[5] == "0.534"


def test_decimal_commas_do_not_look_like_delimiters(opened):
    source = opened("item;date;in;out\n" + "ЛЕЩ;2025-01-06;1,5;2,5\n" * 20)
    assert source.delimiter == ";"


def test_sep_line_and_option_decide(opened):
    source = opened("sep=|\n" + MOVEMENTS.replace(";", "|"))
    assert source.delimiter == "|" and [r[0] for r in source.records()] == [3]
    source = opened(MOVEMENTS.replace(";", "^"), delimiter="^")
    assert [r[0] for r in source.records()] == [2]
    with pytest.raises(UsageError):
        opened(MOVEMENTS, delimiter="ab")


def test_two_plausible_delimiters_are_refused(opened):
    both = "item;date;qty\nitem,date,qty\n"
    with pytest.raises(Refused) as refused:
        opened(both)
    assert "--delimiter" in refused.value.hint
    assert list(opened(both, delimiter=",").records()) == []


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_kind_and_no_final_one(opened, ends):
    source = opened((MOVEMENTS + ROW).rstrip("\n").replace("\n", ends))
    assert [(r[0], r[5]) for r in source.records()] == [(2, "0,534"), (3, "0,534")]


def test_mixed_line_ends_count_as_lines(opened):
    source = opened(HEADER + "A;s;d;;1\r\nB;s;d;;2\rC;s;d;;3\n\nD;s;d;;4")
    assert [(r[0], r[1]) for r in source.records()] == [(2, "A"), (3, "B"), (4, "C"), (6, "D")]
    assert source.skipped["blank"] == 1


def test_quoted_line_breaks_and_doubled_quotes_keep_the_line_numbers(opened):
    source = opened(HEADER + '"ФИЛЕ ""ЛЮКС""\r\nвес.";sale;d;;1\n' + ROW + '"A\n\nB";sale;d;;2\n')
    records = list(source.records())
    assert [(r[0], r[1]) for r in records] == [
        (2, 'ФИЛЕ "ЛЮКС"\r\nвес.'),
        (4, "ЛЕЩ Г/К"),
        (5, "A\n\nB"),
    ]
    assert list(uncopy(source.copy_blocks())) == records
    assert source.raw_lines({2, 5}) == {
        2: '"ФИЛЕ ""ЛЮКС""\r\nвес.";sale;d;;1',
        5: '"A\n\nB";sale;d;;2',
    }


def test_a_line_with_the_copy_terminator_is_data(opened):
    source = opened(HEADER + ROW + "\\.\n" + "\\.;sale;d;;1\n" + ROW)
    records = list(source.records())
    assert [r[0] for r in records] == [2, 4, 5]  # line 3 has one cell: rejected or a heading
    assert source.skipped["group"] + len(source.bad_rows) == 1
    assert records[1][1] == "\\."
    assert list(uncopy(source.copy_blocks())) == records


# -- damage --------------------------------------------------------------------


def test_an_unclosed_quote_is_refused_at_the_line_where_it_opened(opened):
    for before in (3, 5000):  # among the first records, and far behind them
        with pytest.raises(Refused, match=rf"stock\.csv:{before + 2}: .*never closed"):
            list(opened(HEADER + ROW * before + '"ЩУКА;sale;d;;1\n' + ROW * 300).records())


def test_a_quote_that_swallows_lines_is_refused(opened):
    source = opened(HEADER + ROW * 300 + '"ЩУКА;sale;d;;1\n' + ROW * 3 + '"ЛЕЩ;s;d;;1\n')
    with pytest.raises(Refused, match=r"stock\.csv:302: "):
        list(source.records())


def test_a_stray_quote_rejects_its_row_only(opened):
    source = opened(HEADER + ROW + '"ФИЛЕ "ЛЮКС"";sale;d;;1\n' + ROW + 'ФИЛЕ "ЛЮКС";sale;d;;1\n')
    assert [(r[0], r[1]) for r in source.records()] == [
        (2, "ЛЕЩ Г/К"),
        (4, "ЛЕЩ Г/К"),
        (5, 'ФИЛЕ "ЛЮКС"'),
    ]
    assert [(b.line, b.raw) for b in source.bad_rows] == [(3, '"ФИЛЕ "ЛЮКС"";sale;d;;1')]


def test_ragged_rows_are_rejected_with_their_line(opened):
    source = opened(HEADER + ROW + "A;sale;d;1\nB;sale;d;;1;x\nC;sale;d;;1;;\n")
    assert [(r[0], r[1]) for r in source.records()] == [(2, "ЛЕЩ Г/К"), (5, "C")]
    assert [(b.line, b.raw) for b in source.bad_rows] == [(3, "A;sale;d;1"), (4, "B;sale;d;;1;x")]
    assert source.bad_rows[0].reason == "4 cells where the header has 5"
    assert [b.line for b in source.take_bad_rows()] == [3, 4] and source.bad_rows == []


def test_empty_and_header_only_files(opened):
    for empty in (b"", b"\n \r\n", b"\xef\xbb\xbf"):
        with pytest.raises(Refused, match="empty"):
            opened(empty)
    source = opened(HEADER)
    assert list(source.records()) == [] and list(source.copy_blocks()) == []
    assert source.skipped["header"] == 1


def test_an_endless_line_is_refused_in_bounded_memory(opened, tmp_path):
    path = tmp_path / "long.csv"
    with path.open("wb") as file:
        file.write(HEADER.encode())
        for _ in range(64):
            file.write(b"x" * 1024 * 1024)
    tracemalloc.start()
    with pytest.raises(Refused, match=r"long\.csv:2: .*16 MiB"):
        opened(path)
    assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    tracemalloc.stop()


def test_a_hundred_thousand_columns_are_read_by_name(opened):
    extra = ";".join(f"x{i}" for i in range(100_000))
    cells = ";".join("1" for _ in range(100_000))
    source = opened(f"{extra};item;date;qty\n" + f"{cells};ЛЕЩ;2025-01-06;1,5\n" * 3)
    assert [r[1:] for r in source.records()] == [("ЛЕЩ", "2025-01-06", "1,5")] * 3


def test_a_cell_longer_than_a_mebibyte_rejects_its_row(opened):
    source = opened(HEADER + ROW + f'"{"x" * 1_200_000}";sale;d;;1\n' + ROW)
    assert [r[0] for r in source.records()] == [2, 4]
    assert len(source.bad_rows[0].raw) <= 64 * 1024


# -- where bytes come from -----------------------------------------------------


def test_gzip_is_undone_and_the_hash_is_of_the_bytes_as_given(opened, tmp_path):
    packed = gzip.compress((HEADER + ROW * 1000).encode())
    source = opened(packed, name="stock.csv.gz")
    assert source.sha256 == hashlib.sha256(packed).hexdigest()
    assert source.size_bytes == len(packed)
    assert sum(1 for _ in source.records()) == 1000
    assert source.bytes_read == len(packed)
    with pytest.raises(Refused, match="damaged"):
        opened(packed[:-20], name="cut.csv.gz")


def test_standard_input_is_spooled():
    program = (
        "from loader.reading import open_source\n"
        "with open_source('-') as s: print(s.name, s.size_bytes, list(s.records()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=b"item,date,qty\nx,2025-01-06,1\n",
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == "stdin 29 [(2, 'x', '2025-01-06', '1')]"


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "xls"),
        ("report.mxl", b"MOXCEL\0\6\0", "mxl"),
        ("page.xls", b"<html><table>", "HTML"),
        ("~$stock.xlsx", b"\x05user", "lock file"),
    ],
)
def test_foreign_files_are_refused_with_advice(opened, name, data, says):
    with pytest.raises(Refused, match=says) as refused:
        opened(data, name=name)
    assert refused.value.hint


def test_missing_files_and_folders_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        open_source(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="directory"):
        open_source(tmp_path)


def test_a_file_that_grows_while_it_is_read_is_refused(opened, tmp_path):
    source = opened(MOVEMENTS)
    with (tmp_path / "stock.csv").open("a") as file:
        file.write(ROW)
    with pytest.raises(Refused, match="changed"):
        list(source.records())


def test_a_file_overwritten_while_it_is_read_is_refused(opened, tmp_path):
    source = opened(HEADER + ROW * 20_000)
    records = source.records()
    next(records)
    (tmp_path / "stock.csv").write_bytes(b"\xff" * 2_000_000)
    with pytest.raises(Refused, match="changed"):
        list(records)


# -- the fast path -------------------------------------------------------------

CELLS = st.text(alphabet='aЯ ;,"\n\r\t\\', max_size=6)


@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=12), st.sampled_from(["\n", "\r\n"])
)
def test_tables_read_like_the_csv_module(tmp_path_factory, rows, ends):
    """The csv module over the whole text is the reference for cells, order and line numbers."""
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=";", lineterminator=ends).writerows(rows)
    path = tmp_path_factory.mktemp("fuzz") / "t.csv"
    path.write_text(written.getvalue(), encoding="utf-8", newline="")
    reader = csv.reader(io.StringIO(written.getvalue(), newline=""), delimiter=";", strict=True)
    expected, line = [], 1
    for row in reader:
        expected.append((line, row or [""]))
        line = reader.line_num + 1
    table = CsvTable(Text(Bytes(path), None), ";")
    read = [
        (line, row or [""])
        for chunk in table.chunks(Report(), 3)
        for line, row in zip(chunk.lines, chunk.rows(), strict=True)
    ]
    assert read == expected


def test_blocks_and_records_agree_across_block_borders(opened, monkeypatch):
    monkeypatch.setattr("loader.reading.dialect.BLOCK", 64)
    monkeypatch.setattr(source_module, "ROWS_AT_ONCE", 7)
    rows = [
        f'"имя ""{i}""\n2";sale;d{i};;{i}\n' if i % 11 == 5 else f"a\\b\tc{i};sale;d{i};;{i}\n"
        for i in range(200)
    ]
    source = opened(HEADER + "".join(rows))
    records = list(source.records())
    expected, line = [], 2
    for i, row in enumerate(rows):
        expected.append((line, str(i)))
        line += row.count("\n")
    assert [(r[0], r[5]) for r in records] == expected
    blocks = list(source.copy_blocks(max_rows=20))
    assert max(count for _, count in blocks) <= 20
    assert sum(count for _, count in blocks) == 200
    assert list(uncopy(blocks)) == records
    assert COPY_OPTIONS == "format text, null ''"


def test_memory_does_not_grow_with_the_file(opened):
    def peak(rows: int) -> int:
        source = opened(HEADER + ROW * rows, name=f"{rows}.csv")
        tracemalloc.start()
        for _ in source.copy_blocks(max_rows=5000):
            pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(120_000) < 1.5 * peak(30_000)


def test_options_are_checked():
    with pytest.raises(UsageError, match="line"):
        ReadOptions(column_map={"line": "x"}).check()
    with pytest.raises(UsageError, match="layout"):
        ReadOptions(layout="pivot").check()
