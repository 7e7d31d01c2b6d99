"""Surplus told apart from drying: worked examples E19, E34, noise, theft, windows, bad data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.unit.kernels.vedomost import account, by_type, columns, read_statements, truth
from weighhouse import pg
from weighhouse.accounting import Period
from weighhouse.curves import FAMILIES
from weighhouse.errors import BadOptions
from weighhouse.shrinkage import fit_type
from weighhouse.surplus import Surplus, fit_surplus, implied_surplus

WORKED = json.loads((ROOT / "tests/data/worked_examples.json").read_text("utf-8"))
EXAMPLE = {example["id"]: example for example in WORKED["examples"]}


def given(name: str) -> tuple[dict[str, Any], dict[str, Any], float]:
    example = EXAMPLE[name]
    return example["inputs"], example["expected"], max(example["tolerance_abs"], 1e-9)


# ------------------------------------------------------------------------------------------ E19


def test_e19_what_periods_imply() -> None:
    inputs, expected, tolerance = given("E19")
    found = implied_surplus(
        inputs["incoming"], inputs["counted_minus_book"], inputs["expected_shrinkage"],
        prior_periods=inputs["n0"], z=inputs["z"],
    )  # fmt: skip
    assert found.values == pytest.approx(expected["implied"], abs=tolerance)
    assert found.median == pytest.approx(expected["recommended"], abs=tolerance)
    assert found.mad == pytest.approx(expected["mad"], abs=tolerance)
    assert found.sigma == pytest.approx(expected["sigma"], abs=tolerance)
    assert found.confidence == pytest.approx(expected["confidence"], abs=tolerance)
    assert found.bound == pytest.approx(expected["lower_bound"], abs=tolerance)
    assert found.weighted_mean == pytest.approx(expected["weighted_mean"], abs=tolerance)
    assert (found.bound > 0 and found.n >= 3) == expected["recommend"]


def test_an_under_delivery_is_the_same_with_the_other_sign() -> None:
    inputs, _, _ = given("E19")
    came = np.array(inputs["incoming"], dtype=float)
    gained = np.array(inputs["counted_minus_book"]) + np.array(inputs["expected_shrinkage"])
    more = implied_surplus(came, gained, 0 * came)
    less = implied_surplus(came, -gained, 0 * came)
    assert less.median == pytest.approx(-more.median)
    assert less.bound == pytest.approx(more.bound)
    assert less.confidence == pytest.approx(more.confidence)


def test_periods_without_receipts_imply_nothing() -> None:
    found = implied_surplus([0.0, 10.0], [1.0, 0.5], [0.0, 0.0])
    assert np.isnan(found.values[0])
    assert (found.n, found.median) == (1, 0.05)
    none = implied_surplus([0.0], [1.0], [0.0])
    assert (none.n, none.confidence) == (0, 0.0)
    assert np.isnan(none.median)


# ------------------------------------------------------------------------------------------ E34


@pytest.fixture(scope="module")
def plain() -> dict[str, list[Period]]:
    """24 products, 12 weekly counts, two of them with a hidden 5 %, nothing specified."""
    return account(read_statements())


@pytest.fixture(scope="module")
def specified() -> dict[str, list[Period]]:
    shares = {name: row["surplus"] for name, row in truth()["skus"].items()}
    return account(read_statements(), shares)


def arguments(periods: list[list[Period]]) -> dict[str, Any]:
    closed = [p for row in periods for p in row if not p.is_open]
    fit = columns(periods)
    del fit["shortage"], fit["kg_days"]
    return fit | {
        "difference": [(p.difference_grams or 0) / 1000 for p in closed],
        "applied": [p.surplus_applied_grams / 1000 for p in closed],
        "term_is_receipt": np.concatenate([p.term_is_receipt for p in closed]),
    }


def fitted(periods: list[list[Period]], **more: Any) -> list[Surplus]:
    """Fit the curves of a type as the database does, then tell the surplus."""
    fit = fit_type(**columns(periods), n_items=len(periods))
    curve = {key: [getattr(row, key) for row in fit.items] for key in "abc"}
    return fit_surplus(
        **arguments(periods), family=fit.family, **curve,
        type_level=fit.a, level_error=fit.level_spread, **more,
    )  # fmt: skip


def test_e34_joint_fit_of_level_and_surplus(plain: dict[str, list[Period]]) -> None:
    inputs, expected, tolerance = given("E34")
    true = [truth()["skus"][name] for name in inputs["skus"]]
    found = fit_surplus(
        **arguments([plain[name] for name in inputs["skus"]]), family="exp_linear",
        **{key: [row[key] for row in true] for key in "abc"},
        b_is_given=True, c_is_given=True, cv=0.0, robust=False,
    )  # fmt: skip
    assert [row.surplus for row in found] == pytest.approx(expected["s_hat"], abs=tolerance)
    assert [row.a for row in found] == pytest.approx(expected["a_hat"], abs=tolerance)
    assert [row.rmse for row in found] == pytest.approx(expected["rmse_joint"], abs=tolerance)
    assert [row.rmse_applied for row in found] == pytest.approx(expected["rmse_s0"], abs=tolerance)
    assert [row.is_recommended for row in found] == expected["recommend"]


def test_under_the_fitted_curve_only_the_hidden_surpluses_show(
    plain: dict[str, list[Period]],
) -> None:
    for names in by_type().values():
        for row in fitted([plain[name] for name in names]):
            true = truth()["skus"][names[row.item]]["surplus"]
            assert row.method == "joint"
            assert row.is_recommended == (true != 0), names[row.item]
            assert row.surplus == pytest.approx(true, abs=0.001), names[row.item]


def test_one_product_alone_bends_its_shape_which_straightens_again(
    plain: dict[str, list[Period]],
) -> None:
    """Alone in its type the product's surplus makes b unknowable; with s free it is told."""
    name = "СКУМБРИЯ Х/К"
    assert not fit_type(**columns([plain[name]]), n_items=1).b_is_identified
    (row,) = fitted([plain[name]])
    assert row.b == pytest.approx(truth()["skus"][name]["b"], rel=0.1)
    assert row.surplus == pytest.approx(0.05, abs=0.001)
    (stuck,) = fitted([plain[name]], refine=False)
    assert stuck.rmse > 2 * row.rmse


def test_what_is_applied_already_is_part_of_the_surplus(
    specified: dict[str, list[Period]],
) -> None:
    for names in by_type().values():
        for row in fitted([specified[name] for name in names]):
            true = truth()["skus"][names[row.item]]["surplus"]
            assert row.surplus == pytest.approx(true, abs=0.001)
            assert row.applied == pytest.approx(true, abs=1e-4)
            assert not row.is_recommended, names[row.item]


def test_a_wrong_specification_is_corrected() -> None:
    periods = account(read_statements(), {"ЛЕЩ ВЯЛЕНАЯ": 0.08, "ПЛОТВА ВЯЛЕНАЯ": 0.03})
    names = by_type()["dried"]
    found = {names[row.item]: row for row in fitted([periods[name] for name in names])}
    for name, true, applied in (("ЛЕЩ ВЯЛЕНАЯ", 0.05, 0.08), ("ПЛОТВА ВЯЛЕНАЯ", 0.0, 0.03)):
        row = found[name]
        assert row.is_recommended
        assert row.surplus == pytest.approx(true, abs=0.001)
        assert row.applied == pytest.approx(applied, abs=1e-4)
    assert sum(row.is_recommended for row in found.values()) == 2


# ------------------------------------------------------------------- made-up products of one type


def simulate(
    seed: int,
    items: int,
    weeks: int,
    shares: dict[int, float],
    *,
    cv: float = 0.0,
    thefts: int = 0,
    steady: bool = False,
    loss: Callable[[Any], Any] | None = None,
) -> dict[str, Any]:
    """Weekly counts of products that dry by 0.1 (1 - exp(-0.08 t)) or `loss`, give or take 20 %:
    receipts on two days a week, stock of the week before; `shares` is the surplus of some."""
    curve = loss or (lambda t: -0.1 * np.expm1(-0.08 * np.asarray(t)))
    rng = np.random.default_rng(seed)
    rows: dict[str, list[Any]] = {key: [] for key in ("item", "difference", "documented")}
    mass, young, old, receipt, counts = [], [], [], [], []
    for item in range(items):
        level = float(np.exp(rng.normal(0, 0.2)))

        def g(t: Any, level: float = level) -> Any:
            return 1 - level * curve(t)

        for _ in range(weeks):
            came = np.full(2, 20.0) if steady else rng.uniform(2, 40, 2)
            kg = np.array([rng.uniform(5, 15), *came])
            ages = np.array([rng.uniform(3, 20), 0.0, 0.0])
            days = np.array([7.0, 6.0, rng.uniform(1, 4)])
            true = kg * np.array([1, 1 + shares.get(item, 0.0), 1 + shares.get(item, 0.0)])
            lost = float(np.sum(true * (1 - g(ages + days) / g(ages)))) * (1 + cv * rng.normal())
            rows["item"].append(item)
            rows["difference"].append(round(shares.get(item, 0.0) * came.sum() - lost, 3))
            mass += list(kg)
            young += list(ages)
            old += list(ages + days)
            receipt += [False, True, True]
            counts.append(3)
    difference = np.array(rows["difference"])
    if thefts:
        difference[rng.choice(difference.size, thefts, replace=False)] -= rng.uniform(3, 8, thefts)
    n = len(counts)
    return {
        "item": rows["item"], "difference": difference, "applied": np.zeros(n),
        "weight": np.ones(n), "sigma_count": np.full(n, 0.0008),
        "term_offset": np.append(0, np.cumsum(counts)), "term_mass": mass, "term_age_from": young,
        "term_age_to": old, "term_is_receipt": receipt, "family": "exp",
        "a": np.full(items, 0.1), "b": np.full(items, 0.08), "c": np.zeros(items),
    }  # fmt: skip


def test_noise_seldom_makes_a_surplus_and_does_not_hide_one() -> None:
    shares = {item: 0.05 for item in range(0, 200, 10)}
    found = fit_surplus(**simulate(1, 200, 12, shares, cv=0.1))
    told = {row.item for row in found if row.is_recommended}
    assert len(told & shares.keys()) >= 18
    # Two standard errors alone would let nine in twenty recommendations be chance.
    assert len(told - shares.keys()) <= 0.2 * len(told)
    errors = [abs(row.surplus - 0.05) for row in found if row.item in shares]
    assert np.median(errors) < 0.005


def test_standard_errors_are_those_of_repetition() -> None:
    found = fit_surplus(**simulate(2, 300, 16, {}, cv=0.2))
    ratio = np.array([row.surplus / row.se for row in found])
    assert 0.8 < np.std(ratio) < 1.3


def test_theft_is_no_under_delivery() -> None:
    data = simulate(3, 40, 20, {}, cv=0.1, thefts=40)
    assert not [row for row in fit_surplus(**data) if row.is_recommended]
    # Least squares would be taken in.
    assert [row for row in fit_surplus(**data, robust=False) if abs(row.surplus) > 0.02]


def test_under_delivery_is_found() -> None:
    found = fit_surplus(**simulate(4, 20, 12, {3: -0.06}, cv=0.1))
    assert [row.item for row in found if row.is_recommended] == [3]
    assert found[3].surplus == pytest.approx(-0.06, abs=0.01)


def test_receipts_that_never_vary_are_judged_under_the_curve_of_the_type() -> None:
    data = simulate(5, 12, 8, {2: 0.1}, cv=0.05, steady=True)
    found = fit_surplus(**data, type_level=0.1, level_error=0.2)
    assert {row.method for row in found} == {"implied"}
    assert [row.item for row in found if row.is_recommended] == [2]
    assert found[2].surplus == pytest.approx(0.1, abs=0.02)


def test_what_is_counted_at_one_age_is_judged_under_the_curve_of_the_type() -> None:
    """A batch a week, counted and sold after six days: the loss too goes with what came in."""
    data = simulate(5, 12, 12, {2: 0.1}, cv=0.05)
    # Of three terms a week the first receipt alone.
    alone = np.arange(12 * 12) * 3 + 1
    lost = 0.1 * -np.expm1(-0.08 * 6.0)
    mass = np.array(data["term_mass"])[alone]
    rng = np.random.default_rng(5)
    share = np.where(np.array(data["item"]) == 2, 0.1, 0.0)
    found = mass * (1 + share) * (1 - lost * (1 + 0.05 * rng.normal(size=mass.size))) - mass
    for key in ("term_mass", "term_age_from", "term_age_to", "term_is_receipt"):
        data[key] = np.array(data[key])[alone]
    data |= {"difference": np.round(found, 3), "term_offset": np.arange(12 * 12 + 1)}
    rows = fit_surplus(**data, type_level=0.1, level_error=0.2)
    assert {row.method for row in rows} == {"implied"}
    assert [row.item for row in rows if row.is_recommended] == [2]
    assert rows[2].surplus == pytest.approx(0.1, abs=0.01)


def test_few_periods_are_judged_under_the_curve_of_the_type() -> None:
    data = simulate(6, 12, 4, {2: 0.1}, cv=0.05)
    found = fit_surplus(**data, type_level=0.1, level_error=0.2)
    assert {row.method for row in found} == {"implied"}
    assert [row.item for row in found if row.is_recommended] == [2]
    few = fit_surplus(**simulate(6, 12, 2, {2: 0.1}), type_level=0.1, level_error=0.2)
    assert {row.reason for row in few} == {"fewer than 3 periods with receipts"}


def test_only_periods_since_the_applied_share_changed_count() -> None:
    data = simulate(7, 3, 16, {1: 0.05})
    mass = np.array(data["term_mass"])
    receipt = np.array(data["term_is_receipt"])
    weekly = np.repeat(np.arange(16), 3)
    # Of product 1 a share of 0.05 is applied from week 8 on: rightly, and nothing is left to say.
    later = np.zeros(mass.size, dtype=bool)
    later[48:96] = weekly >= 8
    applied = np.add.reduceat(np.where(receipt & later, 0.05 * mass, 0.0), data["term_offset"][:-1])
    mass[receipt & later] *= 1.05
    data |= {"term_mass": mass, "applied": np.round(applied, 3)}
    row = fit_surplus(**data)[1]
    assert (row.n_periods, row.places.tolist()) == (8, list(range(8, 16)))
    assert row.surplus == pytest.approx(0.05, abs=0.001)
    assert not row.is_recommended


CURVES = {
    "linear": (0.008,),
    "exp_linear": (0.06, 0.2, 0.002),
    "power": (0.03, 0.5),
    "peleg": (60.0, 6.0),
    "weibull": (0.15, 0.08, 0.7),
}


@pytest.mark.parametrize("family", CURVES)
def test_every_family_has_a_surplus(family: str) -> None:
    def loss(t: Any) -> Any:
        return FAMILIES[family].loss(np.asarray(t, dtype=float), *CURVES[family])

    data = simulate(8, 6, 16, {4: 0.05}, cv=0.02, loss=loss)
    count = data["term_offset"].size - 1
    fit = fit_type(
        np.array(data["item"]), -data["difference"], np.full(count, 100.0), data["weight"],
        data["sigma_count"], data["term_offset"], data["term_mass"], data["term_age_from"],
        data["term_age_to"], family=family,
    )  # fmt: skip
    data |= {key: [getattr(row, key) for row in fit.items] for key in "abc"}
    found = fit_surplus(**(data | {"family": fit.family}))
    assert [row.item for row in found if row.is_recommended] == [4]
    assert found[4].surplus == pytest.approx(0.05, abs=0.005)


def test_bad_data_of_one_product_do_not_stop_the_others() -> None:
    data = simulate(9, 6, 12, {4: 0.05}, cv=0.02)
    good = fit_surplus(**data)
    mass = np.array(data["term_mass"])
    mass[:36] = np.nan
    found = fit_surplus(**(data | {"term_mass": mass, "a": np.array([0.1] * 5 + [np.nan])}))
    assert (found[0].method, found[5].method) == ("none", "none")
    assert found[4].is_recommended
    assert found[4].surplus == pytest.approx(good[4].surplus, abs=0.002)


def test_nothing_to_judge_is_no_error() -> None:
    columns_of = simulate(1, 1, 0, {})
    (row,) = fit_surplus(**columns_of)
    assert (row.method, row.is_recommended) == ("none", False)
    assert row.reason
    flat = fit_surplus(**(simulate(1, 2, 8, {}) | {"difference": np.zeros(16)}))
    assert not any(row.is_recommended for row in flat)


@pytest.mark.parametrize(
    "wrong", [{"family": "spline"}, {"term_is_receipt": [True]}, {"item": [1, 0] * 8}, {"a": [0.1]}]
)
def test_columns_that_do_not_fit_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadOptions):
        fit_surplus(**(simulate(1, 2, 8, {}) | wrong))


def test_interrupts_are_looked_for() -> None:
    looks = []
    fit_surplus(**simulate(1, 2, 8, {}), tick=lambda: looks.append(1))
    assert len(looks) > 10


# ------------------------------------------------------------------------------------ as bytes


def sent(values: list[bool]) -> bytes:
    """boolean[] as array_send writes it: dimensions, flags, type, length, bound; size, value."""
    words = [1, 0, 16, len(values), 1] if values else [0, 0, 16]
    head = b"".join(word.to_bytes(4, "big") for word in words)
    return head + b"".join((1).to_bytes(4, "big") + bytes([value]) for value in values)


def test_boolean_arrays_are_read() -> None:
    arrays: list[list[bool]] = [[True, False, True], [], [False]]
    counts = np.array([3, 0, 1])
    data = b"".join(map(sent, arrays))
    assert pg.boolean_arrays(data, counts).tolist() == [True, False, True, False]
    assert pg.boolean_arrays(None, np.empty(0, dtype=np.int64)).size == 0
    with pytest.raises(BadOptions):
        pg.boolean_arrays(data, np.array([3, 1, 1]))
