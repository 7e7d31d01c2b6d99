"""Patterns as the database asks for them: periods as bytes in, findings as one JSON text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighhouse import patterns, pg
from weighhouse.distributions import false_discovery_rates
from weighhouse.errors import BadOptions
from weighhouse.shrinkage import predict_shortage

__all__ = ["Climate", "Periods", "climate_means", "find", "search"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SHOWN = 60  # inputs kept with a finding
_DAYS = 30.4375  # in a month, on average


@dataclass(frozen=True)
class Periods:
    """Inventory periods, one a place; those of a series next to each other, oldest first.

    Attributes
    ----------
    series : ndarray of int, shape (n,)
        Product and warehouse, numbered from 0 without gaps.
    kind, warehouse : ndarray of int, shape (n,)
        Product type and warehouse.
    start, end : ndarray of float, shape (n,)
        The counts, seconds since 1970.
    day : ndarray of int, shape (n,)
        Local day the last count belongs to, days since 1970.
    loss, counted, kg_days, sigma, expected : ndarray of float, shape (n,)
        kg (a surplus is negative), kg, kg x days, kg, kg. expected is NaN where no curve is known.
    """

    series: Ints
    kind: Ints
    warehouse: Ints
    start: Floats
    end: Floats
    day: Ints
    loss: Floats
    counted: Floats
    kg_days: Floats
    sigma: Floats
    expected: Floats

    @property
    def rate(self) -> Floats:
        """Loss per kg-day."""
        return self.loss / self.kg_days


@dataclass(frozen=True)
class Climate:
    """Readings of all warehouses, by warehouse and time; NaN where a sensor was silent.

    Attributes
    ----------
    warehouse : ndarray of int, shape (m,)
    time : ndarray of float, shape (m,)
        Seconds since 1970.
    temperature, humidity : ndarray of float, shape (m,)
        Degrees Celsius, percent.
    """

    warehouse: Ints
    time: Floats
    temperature: Floats
    humidity: Floats


def find(
    series: bytes | None,
    kind: bytes | None,
    warehouse: bytes | None,
    start: bytes | None,
    end: bytes | None,
    day: bytes | None,
    loss: bytes | None,
    counted: bytes | None,
    kg_days: bytes | None,
    sigma: bytes | None,
    counts: bytes | None,
    term_mass: bytes | None,
    term_age_from: bytes | None,
    term_age_to: bytes | None,
    family: Sequence[str | None] | None,
    a: Sequence[float | None] | None,
    b: Sequence[float | None] | None,
    c: Sequence[float | None] | None,
    reading_warehouse: bytes | None,
    reading_time: bytes | None,
    temperature: bytes | None,
    humidity: bytes | None,
    options: dict[str, Any],
    tick: Callable[[], None],
) -> str:
    """Find the patterns of all products, see `search`.

    Parameters
    ----------
    series ... sigma : bytes
        Columns of `Periods`: int4send, and float8send for times and masses.
    counts, term_mass, term_age_from, term_age_to : bytes
        Exposure terms, as for `coefficients.fit`.
    family, a, b, c : sequences, one a series
        The deployed curve; None where there is none.
    reading_warehouse, reading_time, temperature, humidity : bytes
        Columns of `Climate`.
    options : dict
        Thresholds; numbers may be Decimal, as jsonb brings them.

    Returns
    -------
    str
        JSON: an array of findings.
    """
    of = pg.integers(series, 4)
    numbers = pg.integers(counts, 4)
    expected = _expect(
        of,
        numbers,
        [pg.float_arrays(column, numbers) for column in (term_mass, term_age_from, term_age_to)],
        list(family or []),
        [np.array(column or [], dtype=float) for column in (a, b, c)],
    )
    tick()
    periods = Periods(
        of,
        pg.integers(kind, 4),
        pg.integers(warehouse, 4),
        pg.floats(start),
        pg.floats(end),
        pg.integers(day, 4),
        pg.floats(loss),
        pg.floats(counted),
        pg.floats(kg_days),
        pg.floats(sigma),
        expected,
    )
    climate = Climate(
        pg.integers(reading_warehouse, 4),
        pg.floats(reading_time),
        pg.floats(temperature),
        pg.floats(humidity),
    )
    thresholds = {name: float(value) for name, value in options.items()}
    return json.dumps(_rounded(list(search(periods, climate, thresholds, tick))), allow_nan=False)


def _expect(
    series: Ints,
    counts: Ints,
    terms: list[Floats],
    family: list[str | None],
    coefficients: list[Floats],
) -> Floats:
    expected = np.full(series.size, np.nan)
    if series.size and (series.min() < 0 or series.max() >= len(family)):
        raise BadOptions("a series has no curve", hint="Give one a series, NULL where none is.")
    of = np.array([name or "" for name in family])[series] if series.size else np.empty(0, "U1")
    for name in sorted({name for name in family if name}):
        mine = (of == name) & (counts > 0)
        used = np.repeat(mine, counts)
        level, speed, steady = (column[series[mine]] for column in coefficients)
        mass, age_from, age_to = (column[used] for column in terms)
        expected[mine] = predict_shortage(
            name,
            level,
            speed,
            steady,
            np.cumsum(counts[mine]) - counts[mine],
            mass,
            age_from,
            age_to,
        )
    return expected


def climate_means(
    warehouse: Ints, start: Floats, end: Floats, climate: Climate, values: Floats
) -> Floats:
    """Mean of the readings of a warehouse after `start`, up to `end`; NaN without any.

    Parameters
    ----------
    warehouse, start, end : ndarray, shape (n,)
        Of each period.
    climate : Climate
    values : ndarray of float, shape (m,)
        Its temperature or humidity.

    Returns
    -------
    ndarray of float, shape (n,)
    """
    means = np.full(warehouse.size, np.nan)
    known = ~np.isnan(values)
    for place in np.unique(climate.warehouse[known]):
        mine = known & (climate.warehouse == place)
        order = np.argsort(climate.time[mine], kind="stable")
        time, total = climate.time[mine][order], np.append(0, np.cumsum(values[mine][order]))
        rows = np.flatnonzero(warehouse == place)
        low, high = np.searchsorted(time, [start[rows], end[rows]], side="right")
        some = high > low
        means[rows[some]] = (total[high[some]] - total[low[some]]) / (high - low)[some]
    return means


def search(
    periods: Periods, climate: Climate, options: dict[str, float], tick: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    """Find anomalies, trends, seasons, correlations, level shifts and mis-graded pairs.

    Parameters
    ----------
    periods : Periods
        Valid closed periods with stock; nothing critical wrong with them.
    climate : Climate
    options : dict of str to float
        z, min_group, significance, false_discovery_rate, min_periods, max_periods, min_months,
        min_climate_periods, min_shift_periods, pair_similarity, pair_confidence, tolerance_kg, cv.
    tick : callable
        Called at least every 100 ms.

    Yields
    ------
    dict
        type and subtype, confidence, `row` (the place of the period it is about) or `series`, and
        the figures behind it.
    """
    if periods.series.size == 0:
        return
    yield from _anomalies(periods, options, tick)
    yield from _trends(periods, options, tick)
    yield from _seasons(periods, options, tick)
    yield from _correlations(periods, climate, options, tick)
    yield from _shifts(periods, options, tick)
    yield from _misgradings(periods, options)


def _is_claimed(p: Floats, options: dict[str, float]) -> tuple[NDArray[np.bool_], Floats]:
    """Tell what is significant alone and among all tests of its sort."""
    q = false_discovery_rates(p)
    return (p < options["significance"]) & (q <= options["false_discovery_rate"]), q


def _combine(*codes: Ints) -> Ints:
    """Number the combinations of codes."""
    combined = np.zeros(codes[0].size, dtype=np.int64)
    for code in codes:
        values, place = np.unique(code, return_inverse=True)
        combined = np.unique(combined * values.size + place, return_inverse=True)[1]
    return combined


def _months(day: Ints) -> Ints:
    """Months since January 1970 of days since 1970."""
    return day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _anomalies(
    periods: Periods, options: dict[str, float], tick: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    rate = periods.rate
    shop = _combine(periods.kind, periods.warehouse)
    # Day 0 was a Thursday.
    week = _combine(shop, (periods.day + 3) // 7)
    month = _combine(shop, _months(periods.day))
    by_week = patterns.group_scores(rate, week)
    by_month = patterns.group_scores(rate, month)
    tick()
    is_week = by_week.size >= options["min_group"]
    scored = is_week | (by_month.size >= options["min_group"])
    z, median, spread, is_log, size = (
        np.where(is_week, one, other)
        for one, other in (
            (by_week.z, by_month.z),
            (by_week.median, by_month.median),
            (by_week.spread, by_month.spread),
            (by_week.is_log, by_month.is_log),
            (by_week.size, by_month.size),
        )
    )
    usual = np.where(is_log, np.exp(np.where(is_log, median, 0.0)), median)
    # A large score of a small deviation says that the others agree by chance, or that the scale is
    # coarse: what one count varies anyway is no anomaly.
    usual_kg = usual * periods.kg_days
    noise = np.hypot(periods.sigma, options["cv"] * usual_kg)
    # Both counts of a period may be off by the tolerance.
    least = np.maximum(1.96 * noise, 2 * options["tolerance_kg"])
    is_large = np.abs(periods.loss - usual_kg) > least
    # Nor is a product that differs from its like as it always does, or by the ages of its batches:
    # what its own curve expects.
    own_noise = np.hypot(periods.sigma, options["cv"] * periods.expected)
    is_explained = np.abs(periods.loss - periods.expected) <= 1.96 * own_noise
    # Where nothing was left to count, no more could be missing than the book still had.
    is_capped = (periods.counted <= options["tolerance_kg"]) & (periods.loss < usual_kg)
    is_odd = is_large & ~is_explained & ~is_capped
    found = np.flatnonzero(scored & is_odd & (np.abs(z) > options["z"]))
    group = np.where(is_week, 2 * week, 2 * month + 1)
    order = np.argsort(group, kind="stable")
    for code in np.unique(group[found]):
        low, high = np.searchsorted(group[order], [code, code + 1])
        # A month holds all its weeks, those of enough values too.
        members = order[low:high] if code % 2 == 0 else np.flatnonzero(month == code // 2)
        mine = found[group[found] == code]
        values = rate[members]
        scale = np.log(values) if is_log[mine[0]] else values
        shares = patterns.stability(scale, np.searchsorted(members, mine), options["z"])
        for row, share in zip(mine, shares, strict=True):
            yield {
                "type": "anomaly", "subtype": "rate", "row": row, "confidence": share,
                "rate": rate[row], "usual_rate": usual[row], "z": z[row],
                "median": median[row], "mad": spread[row], "is_log": is_log[row],
                "span": "week" if is_week[row] else "month", "group_size": size[row],
                "loss_kg": periods.loss[row], "usual_loss_kg": usual_kg[row],
                "expected_kg": periods.expected[row],
                "group_rates": values if values.size <= _SHOWN else None,
            }  # fmt: skip
        tick()


@dataclass(frozen=True)
class _Batch:
    """Series of equal length: their numbers, and where their values stand."""

    series: Ints
    place: Ints


def _batches(series: Ints, least: float, most: float = np.inf) -> Iterator[_Batch]:
    """Gather series by length; of longer ones the newest values."""
    counts = np.bincount(series)
    ends = np.cumsum(counts)
    length = np.minimum(counts, most).astype(np.int64)
    for n in np.unique(length[length >= max(least, 1)]):
        of = np.flatnonzero(length == n)
        yield _Batch(of, (ends[of] - n)[:, None] + np.arange(n))


def _stack(
    batches: Iterator[tuple[Ints, tuple[NDArray[Any], ...]]],
) -> tuple[Ints, list[NDArray[Any]]]:
    """Put series and what was found of them, batch by batch, into one column each."""
    found = list(batches)
    if not found:
        return np.empty(0, dtype=np.int64), []
    columns = zip(*(values for _, values in found), strict=True)
    return np.concatenate([of for of, _ in found]), [np.concatenate(one) for one in columns]


def _trends(
    periods: Periods, options: dict[str, float], tick: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    rate = periods.rate
    place: dict[int, Ints] = {}

    def tested() -> Iterator[tuple[Ints, tuple[NDArray[Any], ...]]]:
        for batch in _batches(periods.series, options["min_periods"], options["max_periods"]):
            place.update(zip(batch.series.tolist(), batch.place, strict=True))
            trend = patterns.find_trend(rate[batch.place], tick)
            yield batch.series, (trend.s, trend.p)

    of, columns = _stack(tested())
    if not of.size:
        return
    s, p = columns
    claimed, q = _is_claimed(p, options)
    for i in np.flatnonzero(claimed):
        rows = place[int(of[i])]
        days = (periods.end[rows] - periods.end[rows[0]]) / 86400
        slope, intercept = patterns.theil_sen(days, rate[rows])
        tick()
        yield {
            "type": "trend", "subtype": "rising" if s[i] > 0 else "falling", "series": of[i],
            "confidence": 1 - p[i], "p": p[i], "q": q[i], "s": s[i], "period_count": rows.size,
            "slope_per_month": slope * _DAYS, "rate_from": intercept,
            "rate_to": intercept + slope * days[-1], "row_from": rows[0], "row": rows[-1],
            "days": days[-_SHOWN:], "rates": rate[rows][-_SHOWN:],
        }  # fmt: skip


def _seasons(
    periods: Periods, options: dict[str, float], tick: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    # One value a month: its losses over its kg-days.
    series_month = _combine(periods.series, _months(periods.day))
    first = np.unique(series_month, return_index=True)[1]
    of, month = periods.series[first], _months(periods.day)[first]
    rate = np.bincount(series_month, periods.loss) / np.bincount(series_month, periods.kg_days)
    # Series with the same months share the model, and are tested at once.
    alike: dict[bytes, list[tuple[int, Ints]]] = {}
    for batch in _batches(of, options["min_months"]):
        for number, rows in zip(batch.series.tolist(), batch.place, strict=True):
            alike.setdefault(month[rows].tobytes(), []).append((number, rows))
    tests: list[tuple[int, Ints, float, float, Floats, tuple[int, int]]] = []
    for members in alike.values():
        rows = np.array([place for _, place in members])
        season = patterns.find_season(month[rows[0]], rate[rows])
        for i, (number, place) in enumerate(members):
            tests.append(
                (number, place, season.f[i], season.p[i], season.effect[i], season.freedom)
            )
        tick()
    if not tests:
        return
    claimed, q = _is_claimed(np.array([test[3] for test in tests]), options)
    for i in np.flatnonzero(claimed).tolist():
        number, place, f, chance, effect, freedom = tests[i]
        yield {
            "type": "seasonality", "subtype": "month", "series": number, "confidence": 1 - chance,
            "p": chance, "q": q[i], "f": f, "freedom": list(freedom), "month_count": place.size,
            "mean_rate": rate[place].mean(), "effects": effect,
            "high_month": int(np.nanargmax(effect)) + 1, "high_effect": np.nanmax(effect),
            "low_month": int(np.nanargmin(effect)) + 1, "low_effect": np.nanmin(effect),
            "months": month[place][-_SHOWN:], "rates": rate[place][-_SHOWN:],
        }  # fmt: skip


def _correlations(
    periods: Periods, climate: Climate, options: dict[str, float], tick: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    measures = {"temperature": climate.temperature, "humidity": climate.humidity}
    rate = periods.rate
    tests: list[tuple[str, int, Ints, Floats, float, float]] = []
    for name, values in measures.items():
        mean = climate_means(periods.warehouse, periods.start, periods.end, climate, values)
        known = np.flatnonzero(~np.isnan(mean))
        tick()
        for batch in _batches(
            periods.series[known], options["min_climate_periods"], options["max_periods"]
        ):
            rows = known[batch.place]
            rho, p = patterns.correlate(mean[rows], rate[rows])
            for i, number in enumerate(batch.series.tolist()):
                tests.append((name, number, rows[i], mean[rows[i]], rho[i], p[i]))
            tick()
    if not tests:
        return
    q = false_discovery_rates(np.array([test[5] for test in tests]))
    for i in np.flatnonzero(q <= options["false_discovery_rate"]).tolist():
        name, number, rows, means, correlation, chance = tests[i]
        yield {
            "type": "correlation", "subtype": name, "series": number, "confidence": 1 - chance,
            "p": chance, "q": q[i], "rho": correlation, "period_count": rows.size,
            "test_count": len(tests), "means": means[-_SHOWN:], "rates": rate[rows][-_SHOWN:],
        }  # fmt: skip


def _shifts(
    periods: Periods, options: dict[str, float], tick: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    noise = np.hypot(periods.sigma, options["cv"] * periods.expected)
    known = np.flatnonzero(~np.isnan(periods.expected) & (noise > 0))
    z = np.full(periods.series.size, np.nan)
    z[known] = (periods.loss - periods.expected)[known] / noise[known]
    place: dict[int, Ints] = {}

    def tested() -> Iterator[tuple[Ints, tuple[NDArray[Any], ...]]]:
        if known.size == 0:
            return
        for batch in _batches(
            periods.series[known], options["min_shift_periods"], options["max_periods"]
        ):
            rows = known[batch.place]
            place.update(zip(batch.series.tolist(), rows, strict=True))
            shift = patterns.find_shift(z[rows])
            tick()
            yield batch.series, (shift.at, shift.p)

    of, columns = _stack(tested())
    if not of.size:
        return
    at, p = columns
    claimed, q = _is_claimed(p, options)
    for i in np.flatnonzero(claimed):
        rows = place[int(of[i])]
        confidence = patterns.shift_confidence(z[rows])
        tick()
        if confidence < 1 - options["significance"]:
            continue
        before, after = rows[: at[i]], rows[at[i] :]
        yield {
            "type": "anomaly", "subtype": "level_shift", "series": of[i], "confidence": confidence,
            "p": p[i], "q": q[i], "row": after[0], "period_count": rows.size,
            "actual_before_kg": periods.loss[before].sum(),
            "expected_before_kg": periods.expected[before].sum(),
            "actual_after_kg": periods.loss[after].sum(),
            "expected_after_kg": periods.expected[after].sum(),
            "residuals": z[rows][-_SHOWN:],
        }  # fmt: skip


def _misgradings(periods: Periods, options: dict[str, float]) -> Iterator[dict[str, Any]]:
    shop = _combine(periods.kind, periods.warehouse)
    pairs = patterns.find_pairs(
        _combine(shop, periods.end.astype(np.int64)),
        shop,
        periods.loss,
        periods.expected,
        periods.sigma,
        tolerance=options["tolerance_kg"],
        similarity=options["pair_similarity"],
        cv=options["cv"],
        confidence=options["pair_confidence"],
    )
    for short, over, confidence in zip(pairs.short, pairs.over, pairs.confidence, strict=True):
        yield {
            "type": "anomaly", "subtype": "misgrading", "row": short, "other_row": over,
            "confidence": confidence, "shortage_kg": periods.loss[short],
            "surplus_kg": -periods.loss[over], "expected_kg": periods.expected[short],
            "other_expected_kg": periods.expected[over],
        }  # fmt: skip


def _rounded(value: Any) -> Any:
    """Turn values into what JSON holds: six digits, NaN as null."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value
