"""Curve families: worked examples E08, E09, E11-E14, E16, E21, and one list for all families."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy.optimize import least_squares
from vedomost import shared

from weighhouse.curves import (
    FAMILIES,
    Curve,
    allocate_by_batch,
    describe,
    fit_points,
    invert_daily_sum,
    level_first_order,
    pre_shrinkage,
    predict_layers,
    select,
)
from weighhouse.errors import BadOptions, NotConverged, TooFewObservations

EXAMPLE = {
    "linear": (0.002,),
    "sqrt": (0.02,),
    "exp": (0.14, 0.06),
    "exp_linear": (0.14, 0.06, 0.0004),
    "power": (0.03, 0.4),
    "peleg": (60.0, 4.0),
    "weibull": (0.2, 0.05, 0.8),
}
DAYS = np.array([1.0, 2, 3, 5, 7, 10, 14, 20, 28, 40, 60])


def test_e08_exp_linear() -> None:
    curve = Curve("exp_linear", (0.015, 0.05, 0.001))
    assert curve.loss([0, 7, 30]) == pytest.approx([0.0, 0.011429679, 0.041653048], abs=1e-6)
    assert 100 * curve.loss(7) == pytest.approx(1.142967865, abs=1e-6)
    assert curve.rate([0, 30]) == pytest.approx([0.00175, 0.001167348], abs=1e-6)


def test_e09_daily_sum() -> None:
    total, a = invert_daily_sum(0.049, [1.388] * 4 + [0.388] * 3, 0.046)
    assert (total, a) == pytest.approx((5.787457, 0.162209), abs=5e-6)


def test_e11_pre_shrinkage() -> None:
    curve = Curve("exp_linear", (0.12, 0.049, 0.0005))
    assert curve.loss([13, 19]) == pytest.approx([0.063034799, 0.082200878], abs=1e-6)
    told = pre_shrinkage(curve, 13, 6, 13.428)
    assert told.initial_equivalent == pytest.approx(14.331375363, abs=1e-6)
    assert told.pre_amount == pytest.approx(0.903375363, abs=1e-6)
    assert told.period_loss == pytest.approx(0.274676268, abs=1e-6)
    assert told.adjusted_rate == pytest.approx(0.020455486, abs=1e-6)
    assert told.factor == pytest.approx(0.609395991, abs=1e-6)
    assert told.effective_per_day == pytest.approx(0.003409248, abs=1e-6)


def test_pre_shrinkage_without_ages_changes_nothing() -> None:
    told = pre_shrinkage(Curve("exp", (0.1, 0.1)), [np.nan, np.nan], 7, [1.0, 2.0])
    assert told.factor == pytest.approx(1.0)
    assert np.isnan(pre_shrinkage(Curve("exp", (0.1, 0.1)), [1.0], 7, [0.0]).adjusted_rate)


def test_e12_level_from_one_period_and_its_allocation() -> None:
    segments = ([4.0, 6.0], [13, 2], [20, 9])
    denominator, a = level_first_order(0.049, 0.0, *segments, 0.55)
    assert (denominator, a) == pytest.approx((2.193799494, 0.250706594), abs=1e-6)
    assert allocate_by_batch(a, 0.049, 0.0, *segments) == pytest.approx(
        [0.153999612, 0.396000388], abs=1e-6
    )


def test_e13_published_drying_curves() -> None:
    """Sour cherry (PMC10571025, table 1): remaining moisture is 1 - S for the families we have."""
    t = np.arange(0, 91, 15)
    newton = 1 - Curve("exp", (1.0, 0.0198)).loss(t)
    assert newton == pytest.approx([1.0, 0.743, 0.552, 0.41, 0.305, 0.227, 0.168], abs=0.0011)
    # Page, exp(-k t^n), is a Weibull with b = k^(1/n).
    page = 1 - Curve("weibull", (1.0, 0.0504 ** (1 / 0.761), 0.761)).loss(t)
    assert page == pytest.approx([1.0, 0.673, 0.511, 0.401, 0.321, 0.26, 0.213], abs=0.0011)
    # The rest do not start at 1, or rise again: no families of ours, the formulas alone.
    others = {
        "henderson_pabis": 0.9533 * np.exp(-0.0187 * t),
        "logarithmic": 0.8362 * np.exp(-0.0269 * t) + 0.1435,
        "wang_singh": 1 - 0.0184 * t + 0.0001 * t**2,
        "midilli": 0.9999 * np.exp(-0.0944 * t**0.5083) - 0.0023 * t,
    }
    published = {
        "henderson_pabis": [0.953, 0.72, 0.544, 0.411, 0.31, 0.234, 0.177],
        "logarithmic": [0.98, 0.702, 0.517, 0.393, 0.31, 0.255, 0.218],
        "wang_singh": [1.0, 0.747, 0.538, 0.375, 0.256, 0.183, 0.154],
        "midilli": [1.0, 0.653, 0.518, 0.417, 0.331, 0.256, 0.188],
    }
    for name, values in published.items():
        assert others[name] == pytest.approx(values, abs=0.0011)


def sardines() -> tuple[list[float], list[float]]:
    with shared("fish_drying_weights.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["product"] == "sardine"]
    return [float(row["time_h"]) / 24 for row in rows], [float(r["loss_fraction"]) for r in rows]


def test_e14_drying_sardines() -> None:
    t, y = sardines()
    expected = {
        "exp": ((0.73815, 0.82651), 0.026846, 0.96225, -369.961),
        "exp_linear": ((0.73815, 0.82651, 0.0), 0.026846, 0.96225, -367.594),
        "peleg": ((1.2281, 1.10154), 0.04717533, 0.93366, -341.774),
        "weibull": ((0.72173, 0.84221, 1.16864), 0.02303178, 0.96761, -375.256),
        "power": ((0.45273, 0.32037), 0.09879397, 0.86106, -304.815),
        "linear": ((0.18363,), 1.6712591, -1.35032, -165.667),
    }
    for family, (parameters, sse, r2, aicc) in expected.items():
        curve = fit_points(t, y, family)
        assert curve.n == 50
        assert curve.parameters == pytest.approx(parameters, abs=0.002)
        assert (curve.sse, curve.r2, curve.aicc) == pytest.approx((sse, r2, aicc), abs=0.002)
    bound = fit_points(t, y, "exp_linear")
    assert bound.parameters[2] == 0.0
    assert np.isnan(bound.standard_errors[2])
    assert select(t, y).chosen.family == "weibull"


def test_e16_short_series() -> None:
    t, y = [21, 28, 35, 45, 60], [0.18, 0.19, 0.192, 0.208, 0.211]
    found = select(t, y, ["exp", "peleg", "power", "sqrt", "linear", "weibull"])
    loo = {
        "exp": 0.007354,
        "peleg": 0.00417,
        "power": 0.004327,
        "sqrt": 0.031144,
        "linear": 0.075923,
    }
    sse = {"exp": 8.95905e-5, "peleg": 4.27764e-5, "power": 3.84955e-5, "sqrt": 0.0029367287}
    assert {name: curve.loo_rmse for name, curve in found.candidates.items()} == pytest.approx(
        loo, abs=2e-5
    )
    for name, value in sse.items():
        assert found.candidates[name].sse == pytest.approx(value, abs=2e-5)
    assert (found.chosen.family, found.criterion) == ("peleg", "loo_rmse")
    assert "weibull" in found.failed


def test_e21_expected_loss_of_layers() -> None:
    curve = Curve("exp_linear", (0.12, 0.049, 0.0005))
    by_batch = predict_layers(curve, [4.0, 6.0], [13, 2], 7)
    assert by_batch == pytest.approx([0.09361231, 0.213145289], abs=1e-6)
    assert by_batch.sum() == pytest.approx(0.306757599, abs=1e-6)
    assert 10 * curve.loss(7) == pytest.approx(0.383434146, abs=1e-6)  # ages ignored


def test_guards() -> None:
    curve = Curve("linear", (0.05,), age_max=10.0)
    assert curve.problems(10) == []
    assert curve.problems(30) == ["loss_over_1", "extrapolation"]
    assert curve.loss(30) == 1.0
    assert curve.rate(30) == 0.0


# ------------------------------------------------------------------------ one list for all families


@pytest.mark.parametrize("name", FAMILIES)
class TestFamily:
    def test_starts_at_zero_and_never_falls(self, name: str) -> None:
        curve = Curve(name, EXAMPLE[name])
        t = np.linspace(0, 200, 2001)
        assert curve.loss(0.0) == 0.0
        assert np.all(np.diff(curve.loss(t)) >= 0)
        assert np.all(curve.loss(t) <= 1.0)

    def test_rate_is_the_derivative(self, name: str) -> None:
        family = FAMILIES[name]
        step = 1e-5
        numeric = (
            family.loss(DAYS + step, *EXAMPLE[name]) - family.loss(DAYS - step, *EXAMPLE[name])
        ) / (2 * step)
        assert family.rate(DAYS, *EXAMPLE[name]) == pytest.approx(numeric, rel=1e-6)

    def test_recovers_its_own_curve(self, name: str) -> None:
        y = FAMILIES[name].loss(DAYS, *EXAMPLE[name])
        found = fit_points(DAYS, y, name)
        assert found.loss(DAYS) == pytest.approx(y, abs=1e-6)
        assert (found.age_min, found.age_max, found.n) == (1.0, 60.0, 11)

    def test_scale(self, name: str) -> None:
        y = FAMILIES[name].loss(DAYS, *EXAMPLE[name]) * (1 + 0.02 * np.sin(DAYS))
        once, thrice = fit_points(DAYS, y, name), fit_points(DAYS, 3 * y, name)
        assert thrice.loss(DAYS) == pytest.approx(3 * once.loss(DAYS), rel=1e-4)

    def test_same_input_same_output(self, name: str) -> None:
        y = FAMILIES[name].loss(DAYS, *EXAMPLE[name]) + 0.001 * np.cos(DAYS)
        assert repr(fit_points(DAYS, y, name)) == repr(fit_points(DAYS, y, name))

    def test_no_worse_than_scipy(self, name: str) -> None:
        y = FAMILIES[name].loss(DAYS, *EXAMPLE[name]) + 0.004 * np.cos(3 * DAYS)
        loss = FAMILIES[name].loss
        peer = least_squares(
            lambda p: loss(DAYS, *p) - y, EXAMPLE[name], bounds=(0, np.inf), x_scale=EXAMPLE[name],
            ftol=1e-12, xtol=1e-12, gtol=1e-12,
        )  # fmt: skip
        assert fit_points(DAYS, y, name).sse <= 2 * peer.cost * (1 + 1e-6)

    def test_coefficients_round_trip(self, name: str) -> None:
        family = FAMILIES[name]
        back = family.from_coefficients(*family.coefficients(EXAMPLE[name]))
        assert back == pytest.approx(EXAMPLE[name])
        assert set(describe(Curve(name, EXAMPLE[name]))["parameters"]) == set(family.parameters)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_no_number(self, name: str, bad: float) -> None:
        y = DAYS / 100
        with pytest.raises(BadOptions):
            fit_points(DAYS, np.append(y[:-1], bad), name)
        with pytest.raises(BadOptions):
            fit_points(np.append(DAYS[:-1], bad), y, name)

    def test_too_short(self, name: str) -> None:
        for t, y in (([], []), ([0.0, 0.0, 0.0, 0.0], [0.0] * 4)):
            with pytest.raises(TooFewObservations) as raised:
                fit_points(t, y, name)
            assert raised.value.hint

    def test_no_loss_at_all(self, name: str) -> None:
        if name == "peleg":
            with pytest.raises(NotConverged):
                fit_points(DAYS, 0 * DAYS, name)
        else:
            assert np.all(fit_points(DAYS, 0 * DAYS, name).loss(DAYS) == 0)


def test_wrong_use_is_our_error() -> None:
    with pytest.raises(BadOptions):
        fit_points([1, 2, 3], [0.1, 0.2, 0.3], "cubic")
    with pytest.raises(BadOptions):
        fit_points([1, 2, 3], [0.1, 0.2], "exp")
    with pytest.raises(BadOptions):
        fit_points([-1, 2, 3], [0.1, 0.2, 0.3], "exp")
    with pytest.raises(BadOptions):
        FAMILIES["exp"].coefficients([1.0])
    with pytest.raises(TooFewObservations):
        select([1.0], [0.1])
