"""ARIMA against published estimates, and what is its own; the rest is in the contract's list."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from weighhouse.errors import BadOptions, BadRow, TooFewObservations
from weighhouse.forecasting import arima
from weighhouse.forecasting.contract import Fit, Floats, Parameters, Series, no_check

# R's datasets `lh` (Diggle 1990) and `USAccDeaths` (Brockwell, Davis 1991).
HORMONE = np.fromstring(
    "2.4 2.4 2.4 2.2 2.1 1.5 2.3 2.3 2.5 2.0 1.9 1.7 2.2 1.8 3.2 3.2 2.7 2.2 2.2 1.9 1.9 1.8 2.7"
    " 3.0 2.3 2.0 2.0 2.9 2.9 2.7 2.7 2.3 2.6 2.4 1.8 1.7 1.5 1.4 2.1 3.3 3.5 3.5 3.1 2.6 2.1 3.4"
    " 3.0 2.9",
    sep=" ",
)
DEATHS = np.fromstring(
    "9007 8106 8928 9137 10017 10826 11317 10744 9713 9938 9161 8927 7750 6981 8038 8422 8714 9512"
    " 10120 9823 8743 9129 8710 8680 8162 7306 8124 7870 9387 9556 10093 9620 8285 8466 8160 8034"
    " 7717 7461 7767 7925 8623 8945 10078 9179 8037 8488 7874 8647 7792 6957 7726 8106 8890 9299"
    " 10625 9302 8314 8850 8265 8796 7836 6892 7791 8192 9115 9434 10484 9827 9110 9070 8633 9240",
    sep=" ",
)


def fit(y: Floats, *seasons: int, **options: Any) -> Fit:
    (result,) = arima.fit([Series(y, seasons)], 12, arima.check_options(options), no_check)
    assert isinstance(result, Fit), result
    return result


def simulate(n: int, ar: float, ma: float, seed: int = 0) -> Floats:
    e = np.random.default_rng(seed).normal(size=n + 50)
    y = np.zeros(n + 50)
    for t in range(1, n + 50):
        y[t] = ar * y[t - 1] + e[t] + ma * e[t - 1]
    return y[50:]


# The examples of R's help page of `arima`, as printed by R: coefficients, sigma^2 (over n), with
# the intercept last.
@pytest.mark.parametrize(
    ("order", "coefficients", "mean", "sigma2"),
    [
        ((1, 0, 0), [0.5739], 2.4133, 0.1975),
        ((3, 0, 0), [0.6448, -0.0634, -0.2198], 2.3931, 0.1787),
        ((1, 0, 1), [0.4522, 0.1982], 2.4101, 0.1923),
    ],
)
def test_estimates_are_those_of_maximum_likelihood(
    order: tuple[int, int, int], coefficients: list[float], mean: float, sigma2: float
) -> None:
    p, d, q = order
    found = fit(HORMONE, p=p, d=d, q=q).parameters
    assert found["ar"] + found["ma"] == pytest.approx(coefficients, abs=1.5e-4)
    assert found["mean"] == pytest.approx(mean, abs=1.5e-4)
    assert found["sigma"] ** 2 * found["freedom"] / 48 == pytest.approx(sigma2, abs=1e-4)
    assert found["freedom"] == 48 - len(coefficients) - 1


def test_the_standard_error_of_the_mean() -> None:
    # R: 0.1466 with sigma^2 over n.
    found = fit(HORMONE, p=1, d=0, q=0).parameters
    assert found["mean_error"] * np.sqrt(found["freedom"] / 48) == pytest.approx(0.1466, abs=2e-4)


def test_the_airline_model_is_found_and_estimated() -> None:
    # R: arima(USAccDeaths, c(0,1,1), list(order = c(0,1,1))): -0.4303, -0.5528, sigma^2 99347.
    given = fit(DEATHS, 12, p=0, d=1, q=1, P=0, D=1, Q=1)
    assert given.label == "ARIMA(0,1,1)(0,1,1)[12]"
    assert given.parameters["ma"] == pytest.approx([-0.4303], abs=2e-4)
    assert given.parameters["seasonal_ma"] == pytest.approx([-0.5528], abs=2e-4)
    sigma2 = given.parameters["sigma"] ** 2 * given.parameters["freedom"] / 59
    assert sigma2 == pytest.approx(99347, rel=2e-4)
    # Box, Jenkins, Reinsel's airline model is also what the tests and AICc choose here.
    assert fit(DEATHS, 12).label == given.label
    # R: predict(fit, n.ahead = 6), printed to whole numbers.
    ahead = arima.forecast(given.parameters, 6, ())
    np.testing.assert_allclose(ahead.mean, [8336, 7532, 8315, 8617, 9489, 9859], atol=1.5)


def test_first_order_forecasts_by_hand() -> None:
    found = fit(HORMONE, p=1, d=0, q=0).parameters
    phi, mean, sigma = found["ar"][0], found["mean"], found["sigma"]
    ahead = arima.forecast(found, 3, (0.8,))
    by_hand = [mean + phi**h * (2.9 - mean) for h in (1, 2, 3)]
    np.testing.assert_allclose(ahead.mean, by_hand, rtol=1e-12)
    # sigma^2 (1 + phi^2 + ...), and the square of (1 - phi^h) times the mean's error.
    own = sigma**2 * np.cumsum(phi ** (2 * np.arange(3)))
    of_mean = (found["mean_error"] * (1 - phi ** np.arange(1, 4))) ** 2
    # Student's t, 46 degrees of freedom, 0.9: 1.3002 (tables).
    np.testing.assert_allclose(
        ahead.upper[0] - ahead.mean, 1.3002 * np.sqrt(own + of_mean), rtol=1e-4
    )


def test_random_walk_with_drift_by_hand() -> None:
    y = np.array([1.0, 3.0, 4.0, 8.0, 9.0, 11.0, 12.0, 15.0])
    found = fit(y, p=0, d=1, q=0, seasonal=False).parameters
    if found["mean"] is None:
        pytest.fail("a drift of 2 with a deviation of 1.2 is a drift")
    assert found["mean"] == pytest.approx(2.0)
    # Deviations 0 -1 2 -1 0 -1 1: 8 over 6.
    assert found["sigma"] ** 2 == pytest.approx(8 / 6)
    ahead = arima.forecast(found, 2, (0.5,))
    np.testing.assert_allclose(ahead.mean, [17.0, 19.0])
    # h sigma^2 + h^2 sigma^2 / 7; t(6), 0.75: 0.7176.
    half = 0.7176 * np.sqrt(8 / 6 * np.array([1 + 1 / 7, 2 + 4 / 7]))
    np.testing.assert_allclose(ahead.upper[0] - ahead.mean, half, rtol=1e-3)


def filtered(parameters: Parameters, y: Floats, e: Floats, start: int) -> Floats:
    """Shocks of (1 - phi B)(1 - Phi B^4)(1 - B) y = (1 + theta B)(1 + Theta B^4) e, by terms."""
    (phi,), (theta,) = parameters["ar"], parameters["ma"]
    (big_phi,), (big_theta,) = parameters["seasonal_ar"], parameters["seasonal_ma"]
    x = np.diff(y, prepend=np.nan)
    shocks = e.copy()
    for t in range(start, y.size):
        shocks[t] = (
            x[t]
            - phi * x[t - 1]
            - big_phi * x[t - 4]
            + phi * big_phi * x[t - 5]
            - theta * shocks[t - 1]
            - big_theta * shocks[t - 4]
            - theta * big_theta * shocks[t - 5]
        )
    return shocks


def test_update_is_the_filter_run_on() -> None:
    rng = np.random.default_rng(8)
    y = np.cumsum(simulate(120, 0.5, 0.3)) + np.tile(rng.normal(0, 4, 4), 30)
    found = fit(y[:80], 4, p=1, d=1, q=1, P=1, D=0, Q=1).parameters | {"mean": None}
    later = arima.update(found, y[80:])
    known = np.zeros(120)
    known[75:80] = found["shocks"]
    expected = filtered(found, y, known, 80)
    np.testing.assert_allclose(later["shocks"], expected[-5:], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(later["values"], y[-6:])
    assert later["n"] == 120
    # An unexpected value moves the next forecast by psi_1 = phi + 1 + theta (d = 1).
    expects = arima.forecast(later, 2, ()).mean
    hit = arima.forecast(arima.update(later, expects[:1] + 1), 1, ()).mean
    psi = found["ar"][0] + 1 + found["ma"][0]
    assert hit[0] - expects[1] == pytest.approx(psi)
    # What was expected changes nothing.
    calm = arima.forecast(arima.update(later, expects[:1]), 1, ()).mean
    assert calm[0] == pytest.approx(expects[1])


def test_shocks_of_a_short_series_are_those_of_the_finite_sample() -> None:
    # MA(1): the best linear forecast from all of w, by the normal equations themselves.
    y = simulate(30, 0.0, 0.8)
    found = fit(y, p=0, d=0, q=1, seasonal=False).parameters
    theta, mean = found["ma"][0], found["mean"]
    lag = np.abs(np.subtract.outer(np.arange(30), np.arange(30)))
    covariance = np.where(lag == 0, 1 + theta**2, np.where(lag == 1, theta, 0.0))
    ahead = np.r_[np.zeros(29), theta]
    expected = mean + ahead @ np.linalg.solve(covariance, y - mean)
    assert arima.forecast(found, 1, ()).mean[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ar", "ma", "label"),
    [(0.8, 0.0, "ARIMA(1,0,0)"), (0.0, 0.7, "ARIMA(0,0,1)")],
)
def test_orders_are_recovered(ar: float, ma: float, label: str) -> None:
    # AICc takes too large an order now and then, by its nature; the truth is most common.
    found = [fit(simulate(120, ar, ma, seed), d=0).label for seed in range(12)]
    hits = sum(one.startswith(label) for one in found)
    assert hits >= 6


@pytest.mark.parametrize("n", [150, 900])
def test_short_and_long_series_are_estimated_alike(n: int) -> None:
    # Exact likelihood and conditional least squares; standard error about sqrt((1 - 0.6^2) / n).
    found = fit(simulate(n, 0.6, 0.4), p=1, d=0, q=1).parameters
    assert found["ar"][0] == pytest.approx(0.6, abs=4 / np.sqrt(n))
    assert found["ma"][0] == pytest.approx(0.4, abs=4 / np.sqrt(n))
    assert found["sigma"] == pytest.approx(1, abs=4 / np.sqrt(2 * n))


def test_differences_are_chosen_by_tests() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(size=120)
    season = 10 * np.sin(2 * np.pi * np.arange(120) / 12)
    for y, expected in (
        (noise, (0, 0)),
        (np.cumsum(noise), (1, 0)),
        (np.cumsum(5 + np.cumsum(noise)), (2, 0)),
        (season + noise, (0, 1)),
    ):
        found = fit(y, 12).parameters
        assert (found["order"][1], found["seasonal_order"][1]) == expected


def test_kpss_by_hand() -> None:
    # 1 2 3 4 5: partial sums of deviations -2 -3 -3 -2 0, squares 26; variance 10 / 5, no lags.
    assert arima._kpss(np.arange(1.0, 6.0)) == pytest.approx(26 / (5**2 * 2))


def test_stationary_and_invertible_always() -> None:
    for seed in range(10):
        y = np.cumsum(np.random.default_rng(seed).normal(size=60))
        found = fit(y, p=2, d=0, q=2).parameters
        for polynomial in (
            np.r_[1, -np.array(found["ar"])],
            np.r_[1, np.array(found["ma"])],
        ):
            assert np.abs(np.roots(polynomial)).max() < 1


def test_the_shortest_season_is_modelled_where_there_is_enough() -> None:
    t = np.arange(200)
    rng = np.random.default_rng(0)
    y = 20 + 5 * np.sin(2 * np.pi * t / 24) + rng.normal(size=200)
    assert fit(y, 24, 168).parameters["season"] == 24
    assert fit(y, 24, 168, seasonal=False).parameters["season"] == 1
    assert fit(y[:40], 24).parameters["season"] == 1


def test_a_long_history_is_cut_and_says_so() -> None:
    y = simulate(arima.LONGEST + 500, 0.5, 0.0)
    found = fit(y, p=1, d=0, q=0)
    assert found.note and str(arima.LONGEST) in found.note
    assert fit(y[500:], p=1, d=0, q=0).parameters == found.parameters


def test_a_line_and_a_pure_season_leave_nothing_to_explain() -> None:
    line = fit(np.arange(5.0, 45.0), d=1)
    np.testing.assert_allclose(arima.forecast(line.parameters, 3, ()).mean, [45, 46, 47])
    assert line.parameters["sigma"] == 0
    assert line.note
    cycle = fit(np.tile([3.0, 1.0, 4.0, 1.0], 10), 4)
    np.testing.assert_allclose(arima.forecast(cycle.parameters, 4, ()).mean, [3, 1, 4, 1])


@pytest.mark.parametrize(
    "options",
    [
        {"p": -1}, {"p": 6}, {"p": 1.5}, {"p": True}, {"d": 3}, {"D": 2}, {"max_q": None},
        {"max_P": 9}, {"seasonal": 1}, {"seasonal": False, "Q": 1}, {"Max_p": 1},
    ],
)  # fmt: skip
def test_impossible_options(options: dict[str, Any]) -> None:
    with pytest.raises(BadOptions) as raised:
        arima.check_options(options)
    assert raised.value.hint


def test_orders_that_the_history_cannot_hold() -> None:
    y = simulate(12, 0.5, 0.0)
    for seasons, options in (((), {"p": 5, "q": 5}), ((12,), {"D": 1}), ((4,), {"P": 2, "D": 1})):
        (result,) = arima.fit([Series(y, seasons)], 6, arima.check_options(options), no_check)
        assert isinstance(result, TooFewObservations)
        assert result.hint


def test_values_that_are_not_finite() -> None:
    for bad in (np.nan, np.inf):
        y = simulate(30, 0.5, 0.0)
        y[3] = bad
        (result,) = arima.fit([Series(y)], 6, arima.check_options({}), no_check)
        assert isinstance(result, BadRow)
        found = fit(simulate(30, 0.5, 0.0)).parameters
        with pytest.raises(BadRow):
            arima.update(found, np.array([1.0, bad]))


def test_a_batch_changes_no_digit() -> None:
    # Sums are taken in one order, however many series stand beside.
    batch = [
        Series(np.cumsum(simulate(30 + 7 * i, 0.4, 0.3, i)), (12,) if i % 2 else ())
        for i in range(12)
    ]
    together = arima.fit(batch, 12, arima.check_options({}), no_check)
    for one, result in zip(batch, together, strict=True):
        assert arima.fit([one], 12, arima.check_options({}), no_check) == [result]


def test_fixed_orders_are_kept() -> None:
    y = simulate(80, 0.5, 0.4)
    found = fit(y, 4, p=4, d=1, q=0, P=1, D=0, Q=2).parameters
    assert (found["order"], found["seasonal_order"]) == ([4, 1, 0], [1, 0, 2])
    chosen = fit(y, 4, max_p=1, max_q=0, max_P=0, max_Q=0, max_d=0, max_D=0).parameters
    assert chosen["order"][0] <= 1
    assert chosen["order"][1:] + chosen["seasonal_order"] == [0, 0, 0, 0, 0]
