"""The fit over a product type: worked examples E28, E33, scipy, gates, pooling, bad data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares
from simulation import simulate_type
from vedomost import account, by_type, columns, read_statements, truth

from weighhouse.curves import family_of
from weighhouse.errors import BadOptions
from weighhouse.profile_fit import SHAPES
from weighhouse.shrinkage import (
    ItemCurve,
    TypeFit,
    fit_level_by_sum,
    fit_type,
    pool_rate,
    predict_shortage,
)
from weighhouse.shrinkage_holdout import holdout

Arguments = dict[str, Any]


def loss_at(item: ItemCurve, days: float) -> float:
    family = family_of(item.family)
    return float(family.loss(np.float64(days), *family.from_coefficients(item.a, item.b, item.c)))


def levels(fit: TypeFit) -> np.ndarray[Any, Any]:
    return np.array([item.a for item in fit.items])


def expected(arguments: Arguments, fit: TypeFit) -> np.ndarray[Any, Any]:
    a, b, c = (np.array([getattr(item, key) for item in fit.items]) for key in "abc")
    of = arguments["item"]
    return predict_shortage(
        fit.family, a[of], b[of], c[of], arguments["term_offset"], arguments["term_mass"],
        arguments["term_age_from"], arguments["term_age_to"],
    )  # fmt: skip


def test_e28_pooling_of_a_rate() -> None:
    assert pytest.approx(0.015254918, abs=1e-6) == 0.304 / 19.928
    assert pool_rate(0.304, 19.928, 0.0069527) == pytest.approx(0.011096323, abs=1e-6)


@pytest.fixture(scope="module")
def periods() -> dict[str, Any]:
    surplus = {name: row["surplus"] for name, row in truth()["skus"].items()}
    return account(read_statements(), surplus)


@pytest.fixture(scope="module")
def types(periods: dict[str, Any]) -> dict[str, tuple[Arguments, list[Any]]]:
    rows = truth()["skus"]
    return {
        kind: (columns([periods[name] for name in names]), [rows[name] for name in names])
        for kind, names in by_type().items()
    }


class TestSyntheticTruth:
    """24 products, 12 weekly counts, known curves (E33): read from the weekly statements."""

    def test_accounting_agrees_with_the_statement(self, periods: dict[str, Any]) -> None:
        first = [rows[0] for rows in periods.values()]
        # Totals of the first week (E30).
        assert sum(p.opening_grams for p in first) == 170_360
        assert sum(p.closing_grams for p in first) == 197_836
        assert sum(p.difference_grams for p in first) == -4342
        assert all(not p.flags for rows in periods.values() for p in rows)

    def test_level_by_sum(self, types: dict[str, tuple[Arguments, list[Any]]]) -> None:
        for arguments, rows in types.values():
            used = {
                key: value
                for key, value in arguments.items()
                if key not in ("kg_days", "weight", "sigma_count")
            }
            a = fit_level_by_sum(**used, b=[row["b"] for row in rows], c=[row["c"] for row in rows])
            assert a == pytest.approx([row["a"] for row in rows], rel=0.01)

    def test_level_with_b_and_c_given(self, types: dict[str, tuple[Arguments, list[Any]]]) -> None:
        for arguments, rows in types.values():
            fit = fit_type(**arguments, b=rows[0]["b"], c=[row["c"] for row in rows])
            assert levels(fit) == pytest.approx([row["a"] for row in rows], rel=0.01)
            assert not fit.b_is_identified
            assert {item.outcome for item in fit.items} == {"fitted"}

    @pytest.mark.parametrize("family", ["auto", "exp"])
    def test_loss_over_two_weeks(
        self, types: dict[str, tuple[Arguments, list[Any]]], family: str
    ) -> None:
        for arguments, rows in types.values():
            fit = fit_type(**arguments, family=family)
            if not fit.b_is_identified:
                assert fit.reason and all(item.b == 0.049 for item in fit.items)
                continue
            for item, row in zip(fit.items, rows, strict=True):
                true = row["a"] * (1 - np.exp(-row["b"] * 14)) + row["c"] * 14
                assert loss_at(item, 14) == pytest.approx(true, rel=0.05)

    def test_b_of_a_curve_that_saturates(
        self, types: dict[str, tuple[Arguments, list[Any]]]
    ) -> None:
        arguments, rows = types["dried"]
        fit = fit_type(**arguments)
        assert fit.family == "exp" and fit.b_is_identified
        assert fit.b == pytest.approx(rows[0]["b"], rel=0.02)
        assert levels(fit) == pytest.approx([row["a"] for row in rows], rel=0.01)

    def test_ignoring_a_surplus_ruins_the_level(
        self, types: dict[str, tuple[Arguments, list[Any]]]
    ) -> None:
        plain = account(read_statements())
        found = {}
        for name in ("ЛЕЩ ВЯЛЕНАЯ", "СКУМБРИЯ Х/К"):
            row = truth()["skus"][name]
            one = columns([plain[name]])
            used = {k: v for k, v in one.items() if k not in ("kg_days", "weight", "sigma_count")}
            a = fit_level_by_sum(**used, b=row["b"], c=row["c"])
            found[name] = float(a[0]) / row["a"]
        assert found == pytest.approx({"ЛЕЩ ВЯЛЕНАЯ": 0.464, "СКУМБРИЯ Х/К": 0.322}, abs=0.01)

    def test_restarting_ages_loses_level(
        self, types: dict[str, tuple[Arguments, list[Any]]]
    ) -> None:
        """E33: the ages of all stock begin at 0 at each count; mean ratio by type."""
        published = {
            "dried": 0.888, "cold_smoked": 0.839, "hot_smoked": 0.807, "salted": 0.879,
            "frozen": 0.929, "fresh": 0.709,
        }  # fmt: skip
        for kind, (arguments, rows) in types.items():
            reset = {
                k: v for k, v in arguments.items() if k not in ("kg_days", "weight", "sigma_count")
            }
            start, end = reset["term_age_from"].copy(), reset["term_age_to"].copy()
            counts = np.diff(reset["term_offset"])
            first = np.repeat(reset["term_offset"][:-1], counts)
            # What lay in stock at the start is as old as the period; receipts keep their age.
            age = start - end
            longest = np.repeat(np.maximum.reduceat(-age, reset["term_offset"][:-1]), counts)
            assert np.all(first >= 0)
            since = np.minimum(end, longest)
            reset["term_age_from"], reset["term_age_to"] = since + age, since
            reset["term_age_from"] = np.maximum(reset["term_age_from"], 0.0)
            a = fit_level_by_sum(**reset, b=rows[0]["b"], c=[row["c"] for row in rows])
            ratio = float(np.mean(a / [row["a"] for row in rows]))
            assert ratio == pytest.approx(published[kind], abs=0.03), kind

    def test_holdout_beats_the_simple_rules(
        self, types: dict[str, tuple[Arguments, list[Any]]]
    ) -> None:
        for kind, (arguments, _) in types.items():
            told = holdout(**arguments)
            assert [fold.n for fold in told.folds] == [4, 4, 4]
            assert told.is_better, kind
            assert told.overall.coverage80 >= 0.8


# ------------------------------------------------------------------------------ against other tools


def by_scipy(arguments: Arguments, cv: float, sweeps: int) -> tuple[float, np.ndarray[Any, Any]]:
    """The same loss minimised over ln b and all ln a at once; variance held within a sweep."""
    n_items = int(arguments["item"].max()) + 1
    offset = arguments["term_offset"][:-1]
    per_term = np.repeat(arguments["item"], np.diff(arguments["term_offset"]))

    def predict(x: np.ndarray[Any, Any]) -> Any:
        b, a = np.exp(x[0]), np.exp(x[1:])[per_term]
        g_from = 1 - a * -np.expm1(-b * arguments["term_age_from"])
        g_to = 1 - a * -np.expm1(-b * arguments["term_age_to"])
        return np.add.reduceat(arguments["term_mass"] * (1 - g_to / g_from), offset)

    x = np.append(np.log(0.049), np.full(n_items, np.log(0.1)))
    for _ in range(sweeps):
        deviation = np.sqrt(arguments["sigma_count"] ** 2 + (cv * predict(x)) ** 2)
        x = least_squares(
            lambda p, s=deviation: (predict(p) - arguments["shortage"]) / s, x, loss="soft_l1",
            xtol=1e-12, ftol=1e-12, gtol=1e-12,
        ).x  # fmt: skip
    return float(np.exp(x[0])), np.exp(x[1:])


@pytest.mark.parametrize("theft", [0.0, 0.1])
def test_same_answer_as_scipy_on_the_same_loss(theft: float) -> None:
    arguments, _ = simulate_type(5, 8, noise=0.1, theft=theft, seed=3)
    b, a = by_scipy(arguments, 0.25, sweeps=12)
    fit = fit_type(**arguments, family="exp", adapt=False)
    assert fit.b_is_identified
    assert fit.b == pytest.approx(b, rel=0.02)
    # Pooling moves a level by less than its own error: compare what is left when b is the same.
    same = fit_type(**arguments, b=b, adapt=False)
    own = np.array([item.pull for item in same.items])
    assert np.all(np.abs(np.log(levels(same) / a)) < 0.02 + own)


def test_levels_agree_with_scipy_when_nothing_pools() -> None:
    arguments, _ = simulate_type(3, 10, noise=0.1, seed=5)
    b, a = by_scipy(arguments, 0.25, sweeps=12)
    fit = fit_type(**arguments, b=b, kappa=0.0, adapt=False)
    assert levels(fit) == pytest.approx(a, rel=1e-4)


# ------------------------------------------------------------------------------------- the families


@pytest.mark.parametrize("name", SHAPES)
def test_family_recovers_what_it_made(name: str) -> None:
    """Shortages made by each family itself; the fitted one predicts them again."""
    arguments, _ = simulate_type(6, 20, noise=0.0, resolution=0.0, seed=2)
    true = {
        "linear": (0.0, 0.0, 0.004), "exp": (0.15, 0.06, 0.0), "exp_linear": (0.08, 0.3, 0.002),
        "power": (0.02, 0.6, 0.0), "peleg": (0.3, 60.0, 0.0), "weibull": (0.3, 0.05, 0.8),
    }[name]  # fmt: skip
    arguments["shortage"] = predict_shortage(
        name, *true, arguments["term_offset"], arguments["term_mass"],
        arguments["term_age_from"], arguments["term_age_to"],
    )  # fmt: skip
    fit = fit_type(**arguments, family=name)
    assert fit.family == name
    assert expected(arguments, fit) == pytest.approx(arguments["shortage"], rel=1e-3, abs=1e-4)
    for item in fit.items:
        assert (item.a, item.b, item.c) == pytest.approx(true, rel=0.02, abs=1e-4)
        assert item.r2 == pytest.approx(1.0, abs=1e-4)


def test_auto_finds_the_family() -> None:
    arguments, _ = simulate_type(20, 20, noise=0.03, seed=8)
    fit = fit_type(**arguments)
    assert fit.family == "exp"
    assert fit.b == pytest.approx(0.06, rel=0.1)
    assert {candidate.family for candidate in fit.candidates} == set(SHAPES)


def test_levels_scale_with_the_shortage() -> None:
    arguments, _ = simulate_type(6, 12, a=0.01, noise=0.02, resolution=0.0, seed=4)
    small = fit_type(**arguments, b=0.06)
    # Small losses: mass hardly changes, so three times the loss is three times the level.
    tripled = dict(arguments, shortage=3 * arguments["shortage"])
    tripled["sigma_count"] = 3 * arguments["sigma_count"]
    assert levels(fit_type(**tripled, b=0.06)) == pytest.approx(3 * levels(small), rel=0.02)


def test_same_input_same_output() -> None:
    arguments, _ = simulate_type(6, 12, seed=4)
    assert repr(fit_type(**arguments)) == repr(fit_type(**arguments))


# ---------------------------------------------------------------------------------- robust, pooling


def test_a_theft_does_not_lift_the_level() -> None:
    clean, level = simulate_type(12, 20, noise=0.03, seed=6)
    robbed, _ = simulate_type(12, 20, noise=0.03, seed=6, theft=0.05)
    assert robbed["shortage"].sum() > 1.2 * clean["shortage"].sum()
    fit = fit_type(**robbed, b=0.06)
    assert float(np.mean(levels(fit) / level)) == pytest.approx(1.0, abs=0.02)


def test_noise_does_not_bias_the_level() -> None:
    """A variance that grows with the expectation would reward large expectations, were it free."""
    arguments, level = simulate_type(200, 12, noise=0.25, seed=9)
    fit = fit_type(**arguments, b=0.06, kappa=0.0)
    assert float(np.mean(np.log(levels(fit) / level))) == pytest.approx(0.0, abs=0.015)


def test_poor_data_are_drawn_to_the_type_and_precise_are_not() -> None:
    poor, level = simulate_type(30, 4, noise=0.4, spread=0.1, seed=7)
    fit = fit_type(**poor, b=0.06)
    own = fit_level_by_sum(
        poor["item"], poor["shortage"], poor["term_offset"], poor["term_mass"],
        poor["term_age_from"], poor["term_age_to"], b=0.06,
    )  # fmt: skip
    assert np.std(np.log(levels(fit) / level)) < 0.7 * np.std(np.log(own / level))
    assert {item.outcome for item in fit.items} == {"pooled"}
    precise, level = simulate_type(30, 12, noise=0.003, spread=0.1, seed=7)
    fit = fit_type(**precise, b=0.06)
    assert levels(fit) == pytest.approx(level, rel=0.01)
    assert max(item.pull for item in fit.items) < 0.01


def test_few_products_pool_by_kappa() -> None:
    arguments, _ = simulate_type(2, 6, noise=0.02, spread=0.5, seed=3)
    alone = fit_type(**arguments, b=0.06, kappa=0.0)
    pooled = fit_type(**arguments, b=0.06, kappa=1000.0)
    assert np.ptp(levels(pooled)) < 0.7 * np.ptp(levels(alone))
    days = arguments["kg_days"][:6].sum()
    assert pooled.items[0].pull == pytest.approx(1000 / (1000 + days))


def test_errors_are_honest() -> None:
    """Levels scatter about the truth as their standard errors say."""
    standard = []
    for seed in range(8):
        arguments, level = simulate_type(25, 10, noise=0.1, seed=100 + seed)
        fit = fit_type(**arguments, b=0.06)
        standard.append((levels(fit) - level) / [item.se_a for item in fit.items])
    assert 0.8 < float(np.std(np.concatenate(standard))) < 1.25


# ------------------------------------------------------------------------------------------ gates


def one_age(n_items: int, n_periods: int) -> Arguments:
    """Every period holds one batch from age 0 to 7: the shape cannot be told."""
    n = n_items * n_periods
    return {
        "item": np.repeat(np.arange(n_items), n_periods), "shortage": np.full(n, 0.4),
        "kg_days": np.full(n, 70.0), "weight": np.ones(n), "sigma_count": 0.001,
        "term_offset": np.arange(n), "term_mass": np.full(n, 10.0),
        "term_age_from": np.zeros(n), "term_age_to": np.full(n, 7.0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "word"), [(one_age(4, 6), "ages"), (one_age(2, 1), "3 periods")]
)
def test_shape_that_cannot_be_told_is_the_default(arguments: Arguments, word: str) -> None:
    fit = fit_type(**arguments)
    assert not fit.b_is_identified
    assert fit.reason and word in fit.reason
    assert fit.family == "exp" and fit.b == 0.049
    assert np.isnan(fit.items[0].se_b)
    # Whatever the shape, what was seen is explained.
    assert expected(arguments, fit) == pytest.approx(arguments["shortage"], rel=1e-3)


def test_noise_without_shape_is_not_identified() -> None:
    arguments, _ = simulate_type(3, 3, noise=0.5, seed=1)
    fit = fit_type(**arguments)
    assert not fit.b_is_identified and fit.b == 0.049


def test_c_stays_zero_while_stock_is_young() -> None:
    arguments, _ = simulate_type(10, 12, b=0.05, c=0.001, noise=0.002, seed=1)
    fit = fit_type(**arguments, family="exp_linear")
    assert fit.age_max < 3 / 0.05
    assert all(item.c == 0 for item in fit.items)
    # b = 0.3: the ages reach far beyond 3 / b, and c shows.
    arguments, level = simulate_type(10, 12, a=0.05, b=0.3, c=0.001, noise=0.002, seed=1)
    fit = fit_type(**arguments, family="exp_linear")
    assert fit.b == pytest.approx(0.3, rel=0.05)
    assert [item.c for item in fit.items] == pytest.approx(level * 0.001 / 0.05, rel=0.05)
    assert all(item.se_c > 0 for item in fit.items)


# ---------------------------------------------------------------------------------------- bad data


def test_one_bad_product_does_not_stop_the_others() -> None:
    arguments, level = simulate_type(6, 10, noise=0.003, seed=2)
    arguments["shortage"][3] = np.nan
    arguments["term_mass"][8 * 10] = np.inf
    fit = fit_type(**arguments, n_items=7, b=0.06)
    outcomes = [item.outcome for item in fit.items]
    assert outcomes == ["failed", "failed", "fitted", "fitted", "fitted", "fitted", "type_curve"]
    assert fit.items[0].reason and np.isnan(fit.items[0].a)
    assert levels(fit)[2:6] == pytest.approx(level[2:], rel=0.01)
    assert fit.items[6].a == pytest.approx(fit.a)
    assert fit.items[6].n_periods == 0 and fit.items[6].pull == 1.0


def test_weight_zero_leaves_a_period_out() -> None:
    arguments, level = simulate_type(5, 10, noise=0.003, seed=2)
    arguments["shortage"][7] = 1e6
    arguments["weight"][7] = 0.0
    fit = fit_type(**arguments, b=0.06)
    assert levels(fit) == pytest.approx(level, rel=0.01)
    assert [item.n_periods for item in fit.items] == [9, 10, 10, 10, 10]


def test_a_product_with_one_period_is_pooled() -> None:
    arguments, _ = simulate_type(6, 8, noise=0.02, seed=2)
    arguments["weight"][1:8] = 0.0
    fit = fit_type(**arguments)
    assert fit.items[0].outcome == "pooled" and fit.items[0].reason == "one valid period"


def test_a_product_that_only_gains_takes_the_types_side() -> None:
    arguments, level = simulate_type(6, 8, noise=0.02, seed=2)
    arguments["shortage"][:8] = -0.5
    fit = fit_type(**arguments, b=0.06)
    assert 0 < fit.items[0].a < level.mean()
    assert levels(fit)[1:] == pytest.approx(level[1:], rel=0.05)


def test_nothing_valid() -> None:
    arguments, _ = simulate_type(2, 3)
    arguments["weight"][:] = 0.0
    fit = fit_type(**arguments)
    assert [item.outcome for item in fit.items] == ["failed", "failed"]
    assert all(item.reason for item in fit.items)
    empty: list[float] = []
    assert fit_type(empty, empty, empty, empty, empty, empty, empty, empty, empty).items == []
    nothing = holdout(empty, empty, empty, empty, empty, empty, empty, empty, empty)
    assert nothing.folds == [] and not nothing.is_better


def test_all_zero_shortages() -> None:
    arguments, _ = simulate_type(5, 6)
    arguments["shortage"][:] = 0.0
    fit = fit_type(**arguments)
    assert expected(arguments, fit) == pytest.approx(np.zeros(30), abs=1e-3)
    assert all(np.isnan(item.r2) for item in fit.items)


@pytest.mark.parametrize(
    "change",
    [
        {"family": "cubic"},
        {"item": [1, 0, 0]},
        {"term_offset": [0, 5, 2]},
        {"shortage": [0.1]},
        {"b": -1.0},
        {"cv": -0.1},
        {"n_items": 0},
        {"family": "power", "b": 0.05},
    ],
)
def test_wrong_use_is_our_error(change: Arguments) -> None:
    arguments = {**one_age(1, 3), **change}
    with pytest.raises(BadOptions) as raised:
        fit_type(**arguments)
    assert raised.value.sqlstate == "22023"


def test_periods_without_terms_predict_nothing() -> None:
    told = predict_shortage("exp", 0.1, 0.1, 0.0, [0, 1, 1], [10.0, 5.0], [0.0, 0.0], [7.0, 7.0])
    one = 10 * 0.1 * (1 - np.exp(-0.7))
    assert told == pytest.approx([one, 0.0, one / 2])
    assert np.isnan(predict_shortage("exp", np.nan, 0.1, 0.0, [0], [1.0], [0.0], [7.0])[0])


def test_interrupts_are_looked_for() -> None:
    class Cancelled(Exception):
        pass

    calls = 0

    def tick() -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise Cancelled

    arguments, _ = simulate_type(5, 6)
    with pytest.raises(Cancelled):
        fit_type(**arguments, tick=tick)
