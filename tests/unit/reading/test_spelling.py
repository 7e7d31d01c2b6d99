"""Which rows casts can read, what kinds there are, and when they were."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import pytest

from loader.reading import Batch, Kinds
from loader.reading.spelling import LONGEST, SIGNS, TIMES, looks_negative, span

TIME_FORMATS = (
    "%Y-%m-%d %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%d.%m.%Y %H:%M",
    "%Y-%m-%d",
    "%d.%m.%Y",
)


def sort(
    columns: dict[str, Sequence[str]], decimal: str | None = None
) -> tuple[list[int], list[int], Kinds]:
    """Give the lines of the rows that casts can read, and of the others."""
    kinds = Kinds(("line", *columns), decimal)
    count = len(next(iter(columns.values())))
    plain, odd = kinds.sort(Batch(range(count), list(columns.values())))
    return list(plain.lines) if plain else [], list(odd.lines) if odd else [], kinds


def test_every_way_to_write_nothing_at_all_is_known() -> None:
    chance = random.Random(1)
    for _ in range(20_000):
        cell = "".join(chance.choices("0000.,19", k=chance.randint(1, LONGEST)))
        if cell.count(".") + cell.count(",") > 1 or not any(map(str.isdigit, cell)):
            continue
        is_zero = Decimal(cell.replace(",", ".")) == 0
        assert SIGNS.get(cell, "+") == ("0" if is_zero else "+"), cell


@pytest.mark.parametrize(
    ("decimal", "plain"),
    [
        (None, ["0", "12", "1.5", "1,5", ".5", "5.", "007", "99999999999"]),
        (".", ["0", "12", "1.5", ".5", "5.", "007", "99999999999"]),
        (",", ["0", "12", "1,5", "007", "99999999999"]),
    ],
)
def test_numbers_that_a_cast_reads(decimal: str | None, plain: list[str]) -> None:
    cells = [
        "0",
        "12",
        "1.5",
        "1,5",
        ".5",
        "5.",
        "007",
        "99999999999",
        "1 234",
        "1.234,5",
        "-1",
        "+1",
        "1e3",
        "NaN",
        "1_0",
        "1-",
        "(1)",
        "٣",
        ".",
        "1234567890.123",
        "1\n2",
    ]
    time = ["2025-01-06"] * len(cells)
    lines, odd, _ = sort({"posted_at": time, "incoming": cells}, decimal)
    assert [cells[line] for line in lines] == plain
    assert sorted(lines + odd) == list(range(len(cells)))
    # A single quantity may go either way.
    lines, _, _ = sort({"posted_at": time, "quantity": cells}, decimal)
    assert [cells[line] for line in lines] == [*plain, "-1"]


def test_times_that_a_cast_reads() -> None:
    good = ["2025-01-06 10:00:00", "06.01.2025 9:07:05", "2025-01-06", "06.01.2025 10:00"]
    bad = [
        "",
        "6.1.2025",
        "2025-01-06T10:00:00",
        "2025-01-06 10:00:00+03",
        "06/01/2025",
        "now",
        "2025-01-06\n2025-01-06",
        " 2025-01-06",
        "2025-01-06 10:00:00.5",
        "06.01.25",
    ]
    lines, odd, _ = sort({"posted_at": good + bad, "incoming": ["1"] * 14})
    assert lines == [0, 1, 2, 3] and odd == list(range(4, 14))
    # A batch may be missing; rows without a time are none that a cast reads.
    assert sort({"posted_at": good[:2], "batch": ["", bad[1]]})[:2] == ([0], [1])
    assert sort({"incoming": ["1", "2"]})[:2] == ([], [0, 1])


def test_kinds_are_numbered_once_and_their_names_given_once() -> None:
    kinds = Kinds(("line", "item", "document_type", "unit", "posted_at", "incoming", "outgoing"))
    cells = [
        ["A", "A", "B", "A", "A\tx"],
        ["sale", "sale", "sale", "sale", "sale"],
        ["", "", "", "г", ""],
        ["2025-01-06"] * 5,
        ["0", "0,00", "0", "0", "2"],
        ["1", "", "1", "1", "0"],
    ]
    plain, odd = kinds.sort(Batch(range(5), cells))
    assert plain is not None and odd is None
    assert list(plain.kinds) == [0, 1, 2, 3, 4] and plain.present == {0, 1, 2, 3, 4}
    assert [(kind.spelling, kind.unit, kind.signs) for kind in kinds.all] == [
        (1, "", ("0", "+", "n")),
        (1, "", ("0", "n", "n")),
        (2, "", ("0", "+", "n")),
        (1, "г", ("0", "+", "n")),
        (3, "", ("+", "0", "n")),
    ]
    assert kinds.take_new() == b"1\tA\t\t\tsale\t\n2\tB\t\t\tsale\t\n3\tA\\tx\t\t\tsale\t\n"
    assert kinds.take_new() == b""
    assert kinds.staged(plain.where([False, False, False, True, True])) == (
        "3\t1\tг\t2025-01-06\t0\t1\n4\t3\t\t2025-01-06\t2\t0\n".encode()
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_first_and_the_last_of_times_however_they_are_spelt(seed: int) -> None:
    chance = random.Random(seed)
    formats = chance.sample(TIME_FORMATS, chance.randint(1, len(TIME_FORMATS)))
    texts, moments = [], []
    for _ in range(chance.choice((1, 5, 300))):
        moment = datetime(
            chance.choice((2019, 2024, 2025)), chance.randint(1, 12), chance.randint(1, 28),
            chance.randint(0, 23), chance.randint(0, 59), chance.randint(0, 59),
        )  # fmt: skip
        spelt = chance.choice(formats)
        text = f"{moment:{spelt}}"
        moments.append(datetime.strptime(text, spelt))
        if spelt == "%d.%m.%Y %H:%M:%S" and chance.random() < 0.5:
            text = text[:11] + text[11:].removeprefix("0")
        texts.append(text)
    assert span(texts) == (str(min(moments)), str(max(moments)))


def test_shapes_are_those_that_are_read() -> None:
    shapes = {f"{datetime(2000, 10, 10, 10, 10, 10):{spelt}}" for spelt in TIME_FORMATS}
    zeros = {"".join("0" if sign.isdigit() else sign for sign in shape) for shape in shapes}
    assert zeros | {"00.00.0000 0:00:00"} == TIMES


@pytest.mark.parametrize("number", ["-1", " -1", "−1", "–1", "(1)", "1-", "1- "])
def test_minus_signs(number: str) -> None:
    assert looks_negative(number)
    assert not looks_negative(number.translate(str.maketrans("", "", "-−–(")))
