"""Stock accounting: worked examples E03-E07, E10, E18, edge cases, and what must always hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighhouse.accounting import (
    DAY,
    OPERATIONS,
    Period,
    account_balance,
    account_stock,
    infer_opening,
)
from weighhouse.errors import BadOptions

Row = tuple[float, str, float | None, int, int]


def account(
    rows: list[Row], opening: list[tuple[float | None, int]] | None = None, **options: Any
) -> list[Period]:
    """Account for rows (day, operation, batch day, in, out) with opening layers (day, grams)."""

    def at(day: float | None) -> int | None:
        return None if day is None else round(day * DAY)

    layers = opening or []
    return account_stock(
        [at(day) for day, _ in layers],
        [mass for _, mass in layers],
        [round(row[0] * DAY) for row in rows],
        [row[1] for row in rows],
        [at(row[2]) for row in rows],
        [row[3] for row in rows],
        [row[4] for row in rows],
        **options,
    )


def layers(period: Period) -> list[tuple[float, int]]:
    return [
        (batch / DAY, mass)
        for batch, mass in zip(period.closing_batch, period.closing_layer_grams, strict=True)
    ]


def test_e03_difference_within_tolerance() -> None:
    period = account([(1, "sale", None, 0, 174), (2, "stock_take", None, 2, 0)], [(0, 790)])[0]
    assert (period.difference_grams, period.shortage_grams, period.surplus_grams) == (2, 0, 0)
    assert period.loss_grams == -2
    assert period.closing_grams == 618


def test_e04_issues_and_shortage_take_from_the_oldest() -> None:
    rows: list[Row] = [
        (15, "sale", None, 0, 396),
        (17, "receipt", None, 1250, 0),
        (18, "sale", None, 0, 226),
        (21, "stock_take", None, 0, 80),
    ]
    period = account(rows, [(-10, 844)])[0]
    assert layers(period) == [(-10, 142), (17, 1250)]
    assert period.closing_grams == 1392
    assert period.deduction_batch == -10 * DAY
    assert period.batch_sequence[0] == {
        "batch": "1969-12-22 00:00:00",
        "received_at": -10 * DAY,
        "opening": 0.844,
        "in": 0.0,
        "out": 0.702,
        "closing": 0.142,
    }


def test_e05_an_issue_crosses_two_layers() -> None:
    issues = [440, 328, 1652, 1908, 592]
    rows: list[Row] = [(15, "receipt", None, 5716, 0)]
    rows += [(15.5 + k / 10, "sale", None, 0, mass) for k, mass in enumerate(issues)]
    rows.append((21, "stock_take", None, 0, 506))
    period = account(rows, [(3, 4410)])[0]
    assert period.term_mass[-2:] == [-0.082, -0.51]
    assert layers(period) == [(15, 4700)]
    assert period.deduction_batch == 15 * DAY


def test_e06_more_issued_than_there_is() -> None:
    rows: list[Row] = [(5, "sale", None, 0, 6000), (6, "stock_take", None, 0, 0)]
    (period,) = account(rows, [(1, 2000), (2, 3000)])
    assert period.unallocated_grams == 1000
    assert period.flags == ["negative_stock"]
    assert not period.fifo_principle_applied
    assert [row["out"] for row in period.batch_sequence] == [2.0, 3.0]
    assert period.closing_grams == 0


def test_e07_storage_days() -> None:
    rows: list[Row] = [(46.9, "stock_take", None, 0, 0)]
    period = account(rows, [(16.2, 222), (42.7, 1250)], opened_at=45 * DAY)[0]
    assert period.weighted_days == pytest.approx(7.921195652, abs=1e-6)
    assert period.storage_days == 8


def test_storage_days_round_half_up() -> None:
    period = account([(3, "stock_take", None, 0, 0)], [(0, 500), (1, 500)], opened_at=2 * DAY)[0]
    assert period.weighted_days == 2.5
    assert period.storage_days == 3


def test_e10_terms_are_the_exact_mass_accounting() -> None:
    a, b = 0.1, 0.1

    def g(t: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return 1 - a * (1 - np.exp(-b * t))

    rows: list[Row] = [
        (0, "receipt", None, 10_000, 0),
        (5, "sale", None, 0, 4000),
        (10, "stock_take", None, 0, 533),
    ]
    period = account(rows)[0]
    mass = np.array(period.term_mass)
    shortage = mass @ (1 - g(np.array(period.term_age_to)) / g(np.array(period.term_age_from)))
    assert shortage == pytest.approx(0.532750151, abs=1e-6)
    assert period.term_is_receipt == [True, False]


def test_e18_surplus_belongs_to_the_true_loss() -> None:
    rows: list[Row] = [
        (1, "receipt", None, 100_000, 0),
        (2, "sale", None, 0, 90_000),
        (3, "stock_take", None, 3200, 0),
    ]
    period = account(rows, [(0, 20_000)], surplus=[0.05, None, None])[0]
    assert period.difference_grams == 3200
    assert period.surplus_applied_grams == 5000
    assert (period.shortage_grams, period.surplus_grams) == (1800, 0)
    assert period.term_mass[1] == pytest.approx(105.0)
    assert period.closing_grams == 33_200


def test_e01_and_e18_without_batches() -> None:
    plain = account_balance(120_500, 80_000, 150_250, 47_130, 7)
    assert plain.shortage_grams == 3120
    assert plain.term_age_from == [0.0, 0.0, 3.5]
    assert plain.term_age_to == [7.0, 3.5, 7.0]
    assert plain.flags == ["no_batch_ages"]
    with_surplus = account_balance(20_000, 100_000, 90_000, 33_200, 7, surplus=0.05)
    assert with_surplus.difference_grams == 3200
    assert with_surplus.shortage_grams == 1800


def test_balance_without_a_side_has_no_difference() -> None:
    assert account_balance(None, 10, 0, 10, 7).loss_grams is None
    assert account_balance(10, 0, 0, None, 7).shortage_grams is None
    assert account_balance(100, 0, -50, 150, 7).residual_grams == 0  # a return


def test_a_count_closes_and_opens() -> None:
    rows: list[Row] = [
        (1, "sale", None, 0, 100),
        (7.9, "stock_take", None, 0, 50),
        (8, "sale", None, 0, 100),
        (14.9, "stock_take", None, 0, 40),
        (15, "sale", None, 0, 10),
    ]
    periods = account(rows, [(0, 1000)], opened_at=0)
    assert [p.is_open for p in periods] == [False, False, True]
    assert [p.opening_grams for p in periods] == [1000, 850, 710]
    assert [p.end for p in periods[:-1]] == [p.start for p in periods[1:]]
    assert periods[2].difference_grams is None
    assert periods[1].term_age_from[0] == pytest.approx(7.9)
    assert periods[1].pre_shrinkage_days == pytest.approx(7.9)


def test_counts_of_one_day_are_one() -> None:
    rows: list[Row] = [
        (6.5, "stock_take", None, 0, 50),
        (6.6, "sale", None, 0, 10),
        (6.8, "stock_take", None, 20, 0),
    ]
    (closed, tail) = account(rows, [(0, 1000)], opened_at=0)
    assert closed.end == round(6.8 * DAY)
    assert closed.difference_grams == -30
    assert tail.is_open and tail.start == tail.end


def test_same_moment_receipt_before_issue_count_last() -> None:
    rows: list[Row] = [
        (1, "stock_take", None, 0, 10),
        (1, "sale", None, 0, 500),
        (1, "receipt", None, 600, 0),
    ]
    closed = account(rows)[0]
    assert closed.flags == []
    assert (closed.incoming_grams, closed.outgoing_grams, closed.closing_grams) == (600, 500, 90)


def test_transferred_goods_keep_their_date_and_go_first() -> None:
    rows: list[Row] = [
        (1, "transfer_in", -500, 300, 0),
        (2, "sale", None, 0, 100),
        (3, "stock_take", None, 0, 0),
    ]
    period = account(rows, [(0, 1000)])[0]
    assert layers(period) == [(-500, 200), (0, 1000)]
    assert period.flags == ["age_capped"]
    # The age is held at the cap, the time that passes is kept.
    assert period.term_age_to[1] == 365.0
    assert period.term_age_from[1] == pytest.approx(363.0)


def test_return_reopens_an_exhausted_batch() -> None:
    rows: list[Row] = [
        (1, "sale", None, 0, 150),
        (2, "return", 0, 30, 0),
        (3, "stock_take", None, 0, 0),
    ]
    period = account(rows, [(0, 100), (0.5, 100)])[0]
    assert layers(period) == [(0, 30), (0.5, 50)]
    assert period.term_age_from[-1] == 2.0


def test_negative_outgoing_is_a_return() -> None:
    rows: list[Row] = [(1, "sale", 0, 0, -40), (2, "stock_take", None, 0, 0)]
    period = account(rows, [(0, 100)])[0]
    assert (period.incoming_grams, period.outgoing_grams) == (40, 0)
    assert layers(period) == [(0, 140)]


def test_regrading_goes_both_ways_and_is_no_shrinkage() -> None:
    rows: list[Row] = [
        (1, "regrading", None, 0, 60),
        (2, "regrading", 2, 10, 0),
        (3, "stock_take", None, 0, 0),
    ]
    period = account(rows, [(0, 100)])[0]
    assert (period.incoming_grams, period.outgoing_grams, period.loss_grams) == (10, 60, 0)


def test_surplus_goes_to_the_newest_batch_or_makes_one() -> None:
    rows: list[Row] = [(3, "stock_take", None, 20, 0)]
    assert layers(account(rows, [(0, 100), (1, 100)])[0]) == [(0, 100), (1, 120)]
    assert layers(account(rows)[0]) == [(3, 20)]


def test_sold_out_still_has_exposure() -> None:
    rows: list[Row] = [(4, "sale", None, 0, 950), (7, "stock_take", None, 0, 50)]
    (period,) = account(rows, [(0, 1000)], opened_at=0)
    assert period.closing_grams == 0
    assert period.shortage_grams == 50
    assert period.kg_days == pytest.approx(4 * 1.0 + 3 * 0.05)
    assert period.storage_days is None


def test_nothing_at_all() -> None:
    assert account([]) == []


def test_opening_rows_are_the_opening() -> None:
    rows: list[Row] = [
        (0, "opening", -3, 400, 0),
        (0, "opening", -1, 100, 0),
        (5, "stock_take", None, 0, 10),
    ]
    period = account(rows)[0]
    assert period.opening_grams == 500
    assert period.opening_batch == [-3 * DAY, -DAY]
    assert "gap_between_periods" not in period.flags


@pytest.mark.parametrize(
    ("stated", "closing", "gap"), [(900, 900, False), (700, 700, True), (1200, 1200, True)]
)
def test_opening_in_mid_stream_adjusts_the_book(stated: int, closing: int, gap: bool) -> None:
    rows: list[Row] = [
        (1, "sale", None, 0, 100),
        (2, "opening", 0, stated, 0),
        (3, "sale", None, 0, 0),
        (5, "stock_take", None, 0, 0),
    ]
    period = account(rows, [(0, 1000)])[0]
    assert period.closing_grams == closing
    assert ("gap_between_periods" in period.flags) is gap


def test_unknown_batch_is_flagged_until_it_is_gone() -> None:
    rows: list[Row] = [(1, "sale", None, 0, 100), (2, "stock_take", None, 0, 0)]
    rows += [(3, "receipt", None, 50, 0), (9, "stock_take", None, 0, 0)]
    first, second = account(rows, [(None, 100)])[:2]
    assert first.flags == ["no_batch_ages"] and first.pre_shrinkage_days is None
    assert second.flags == [] and second.fifo_principle_applied


def test_opening_inferred_from_issues() -> None:
    batch, mass = infer_opening(
        [1, 2, 3, 4], ["sale", "receipt", "sale", "sale"], [-5, None, 2, None],
        [0, 100, 0, 0], [40, 0, 90, 30],
    )  # fmt: skip
    assert batch == [-5, None]
    assert mass == [40, 20]


def test_bad_input_is_our_error() -> None:
    with pytest.raises(BadOptions) as unknown:
        account([(1, "vanished", None, 0, 1)])
    assert unknown.value.hint
    with pytest.raises(BadOptions):
        account_stock([], [], [1], ["sale"], [None], [0], [])
    with pytest.raises(BadOptions):
        account_balance(1, 1, 1, 1, float("nan"))


movements = st.lists(
    st.tuples(
        st.integers(0, 30).map(lambda k: k / 2),
        st.sampled_from([op for op in OPERATIONS if op != "opening"]),
        st.one_of(st.none(), st.integers(-400, 15)),
        st.integers(-50, 500),
        st.integers(-50, 500),
    ),
    max_size=40,
)
openings = st.lists(st.tuples(st.integers(-500, 0), st.integers(0, 1000)), max_size=4)


@settings(max_examples=200, deadline=None)
@given(movements, openings)
def test_mass_is_conserved(rows: list[Row], opening: list[tuple[float | None, int]]) -> None:
    periods = account(rows, opening)
    assert account(rows, opening) == periods
    book = sum(mass for _, mass in opening)
    for period in periods:
        difference = period.difference_grams or 0
        assert period.opening_grams == book
        book = period.closing_grams
        assert (
            period.opening_grams + period.incoming_grams - period.outgoing_grams
            + difference + period.unallocated_grams
        ) == book  # fmt: skip
        assert sum(period.closing_layer_grams) == book
        assert min(period.closing_layer_grams, default=0) >= 0
        assert period.kg_days >= 0
        for row in period.batch_sequence:
            assert row["opening"] + row["in"] - row["out"] == pytest.approx(
                row["closing"], abs=1e-9
            )
            assert row["closing"] >= 0
        before_count = book - difference - (period.unallocated_grams if difference < 0 else 0)
        if not period.unallocated_grams:
            assert sum(period.term_mass) == pytest.approx(before_count / 1000, abs=1e-9)
        assert all(
            0 <= young <= old or old == 0
            for young, old in zip(period.term_age_from, period.term_age_to, strict=True)
        )
