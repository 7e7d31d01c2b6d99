"""Rows of the accounting as the database stores them."""

from __future__ import annotations

import json

import pytest

from weighhouse import stock

DAY = 86400
WEEK = 7 * DAY


def account(**more: object) -> list[stock.AccountedPeriod]:
    """10 kg of a batch two days old, 4 kg sold on day 3, 0.1 kg short on day 7."""
    given: dict[str, object] = {
        "opening_batch": [-2 * DAY], "opening_grams": [10_000], "moved_at": [3 * DAY, WEEK],
        "operation": ["sale", "stock_take"], "batch_at": [None, None], "in_grams": [0, 0],
        "out_grams": [4_000, 100], "surplus": [None, None], "opened_at": 0,
        "opening_is_count": True, "tolerance_grams": 5, "max_age_days": 365,
    }  # fmt: skip
    return list(stock.account_item(**(given | more)))  # type: ignore[arg-type]


def rows(**more: object) -> list[stock.AccountedPeriod]:
    """Two flat weeks: 100 g short, then 50 g short."""
    given: dict[str, object] = {
        "period_start": [0, WEEK], "period_end": [WEEK, 2 * WEEK], "opening_grams": [10_000, 5_900],
        "incoming_grams": [0, 1_000], "outgoing_grams": [4_000, 2_000],
        "closing_grams": [5_900, 4_850], "surplus": [None, None], "opening_is_count": True,
        "tolerance_grams": 5,
    }  # fmt: skip
    return list(stock.account_rows(**(given | more)))  # type: ignore[arg-type]


def test_a_period_and_what_is_open_after_it() -> None:
    closed, still_open = account()
    assert (closed.is_open, still_open.is_open) == (False, True)
    assert (closed.opening_grams, closed.outgoing_grams, closed.closing_grams) == (
        10_000,
        4_000,
        5_900,
    )
    assert (closed.difference_grams, closed.loss_grams, closed.shortage_grams) == (-100, 100, 100)
    # 10 kg for 3 days, 6 kg for 4.
    assert closed.kg_days == pytest.approx(54)
    assert closed.pre_shrinkage_days == 2
    assert closed.term_mass == [10, -4]
    assert closed.term_age_from == [2, 5]
    assert closed.term_age_to == [9, 9]
    assert closed.flags == []
    (layer,) = json.loads(closed.batch_sequence or "")
    assert (layer["opening"], layer["out"], layer["closing"]) == (10, 4.1, 5.9)
    assert layer["batch"] == "1969-12-30 00:00:00"
    assert (still_open.opening_grams, still_open.difference_grams) == (5_900, None)


def test_without_an_opening_the_least_that_explains_the_issues_stands_in_once() -> None:
    first, *others = account(opening_batch=None, opening_grams=None, opened_at=None)
    assert first.opening_grams == 4_100
    assert "missing_opening" in first.flags
    assert not first.has_opening_count
    assert all("missing_opening" not in period.flags for period in others)


def test_nothing_missing_is_not_flagged() -> None:
    (first,) = account(
        opening_batch=None, opening_grams=None, opened_at=None, operation=["receipt", "stock_take"],
        in_grams=[100, 0], out_grams=[0, 100],
    )  # fmt: skip
    assert "missing_opening" not in first.flags
    assert first.has_opening_count


def test_no_movements_and_no_stock() -> None:
    nothing = {"moved_at": None, "operation": None, "batch_at": None, "in_grams": None,
               "out_grams": None, "surplus": None}  # fmt: skip
    assert account(opening_batch=[], opening_grams=[], **nothing) == []
    (period,) = account(**nothing)
    assert (period.is_open, period.closing_grams) == (True, 10_000)


def test_flat_rows_follow_each_other() -> None:
    first, second = rows()
    assert (first.shortage_grams, second.shortage_grams) == (100, 50)
    assert first.has_opening_count and second.has_opening_count
    assert first.batch_sequence is None
    assert first.pre_shrinkage_days is None
    assert not first.fifo_principle_applied
    assert first.flags == second.flags == ["no_batch_ages"]


def test_a_row_without_closing_leaves_the_next_without_an_opening_count() -> None:
    first, second = rows(closing_grams=[None, 4_850])
    assert "missing_closing" in first.flags
    assert (first.difference_grams, first.surplus_applied_grams) == (None, 0)
    assert not second.has_opening_count


def test_a_row_without_opening_has_no_difference() -> None:
    first, second = rows(opening_grams=[None, 5_900])
    assert "missing_opening" in first.flags
    assert first.difference_grams is None
    assert not first.has_opening_count
    assert second.has_opening_count


@pytest.mark.parametrize(
    "column", ["opening_grams", "incoming_grams", "closing_grams"], ids=lambda name: name[:-6]
)
def test_what_cannot_be_negative_is_flagged(column: str) -> None:
    first, _ = rows(**{column: [-1, 1_000]})
    assert "negative_value" in first.flags


def test_a_negative_outgoing_is_a_return() -> None:
    first, _ = rows(outgoing_grams=[-1_000, 2_000])
    assert "negative_value" not in first.flags
    assert first.loss_grams == 10_000 + 1_000 - 5_900


def test_surplus_applies_to_what_came_in() -> None:
    _, second = rows(surplus=[None, 0.05])
    assert second.surplus_applied_grams == 50
    assert (second.difference_grams, second.loss_grams) == (-50, 100)


def test_a_row_as_text_is_what_the_server_reads() -> None:
    (text, _) = stock.as_text(account())
    assert text == (
        '(0,604800,False,True,10000,0,4000,5900,-100,0,100,100,0,9,54.0,2.0,True,-172800,"{}",'
        '"[{""batch"": ""1969-12-30 00:00:00"", ""received_at"": -172800, ""opening"": 10.0,'
        ' ""in"": 0.0, ""out"": 4.1, ""closing"": 5.9}]",'
        '"{10.0,-4.0}","{2.0,5.0}","{9.0,9.0}","{False,False}")'
    )


def test_what_is_not_known_is_empty_in_the_text() -> None:
    first, _ = stock.as_text(rows(closing_grams=[None, 4_850]))
    assert first.startswith("(0,604800,False,True,10000,0,4000,,,0,,,,7,")
    assert '"{no_batch_ages,missing_closing}",,"{' in first
