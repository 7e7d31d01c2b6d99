"""Groups of products: the worked example, exhaustive search, and published definitions."""

from __future__ import annotations

import itertools
import json
import struct

import numpy as np
import pytest

from tests.conftest import ROOT
from weighhouse import clusters
from weighhouse.errors import BadOptions, TooFewObservations

EXAMPLES = json.loads((ROOT / "tests/data/worked_examples.json").read_text("utf-8"))["examples"]
E27 = next(example for example in EXAMPLES if example["id"] == "E27")


def test_e27_two_clusters_of_six_products() -> None:
    rates = np.array(E27["inputs"]["rates_pct_per_day"])
    found = clusters.cluster(np.log(rates)[:, None], E27["inputs"]["k"])
    expected = E27["expected"]
    assert found.label.tolist() == expected["labels"]
    assert np.exp(found.centre[:, 0]) == pytest.approx(expected["centroids_rate"], rel=1e-6)
    assert found.wcss == pytest.approx(expected["wcss"], abs=E27["tolerance_abs"])
    # Nearest to 0.0646 and to 0.912 in ln.
    assert rates[found.medoid].tolist() == [0.06, 0.9]
    assert clusters.cluster(np.log(rates)[:, None]).label.tolist() == expected["labels"]


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_cut_is_the_best_of_all(k: int) -> None:
    x = np.random.default_rng(k).normal(size=9)
    ordered = np.sort(x)

    def wcss(parts: list[np.ndarray]) -> float:
        return sum(float(np.sum((part - part.mean()) ** 2)) for part in parts)

    best = min(
        wcss(np.split(ordered, list(places)))
        for places in itertools.combinations(range(1, 9), k - 1)
    )
    label = clusters.cut(x, k)
    assert wcss([x[label == group] for group in range(k)]) == pytest.approx(best)
    assert [x[label == group].mean() for group in range(k)] == sorted(
        x[label == group].mean() for group in range(k)
    )


def test_silhouette_by_hand() -> None:
    """Points 0, 1 and 5: a = 1, b = 5 and 4; alone counts 0: (0.8 + 0.75 + 0) / 3."""
    assert clusters.silhouette([[0.0], [1], [5]], [0, 0, 1]) == pytest.approx((0.8 + 0.75) / 3)
    assert np.isnan(clusters.silhouette([[0.0], [1]], [0, 0]))


def blobs(sizes: list[int], d: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(12)
    of = np.repeat(np.arange(len(sizes)), sizes)
    centres = 8.0 * np.arange(len(sizes))[:, None] * np.array([1.0, *[-1.0] * (d - 1)])
    return centres[of] + rng.normal(size=(of.size, d)), of


def test_as_many_clusters_as_there_are_are_found_and_numbered_by_rate() -> None:
    points, of = blobs([40, 60, 25])
    mixed = np.random.default_rng(0).permutation(of.size)
    found = clusters.cluster(points[mixed])
    assert found.label.tolist() == of[mixed].tolist()
    assert found.silhouette > 0.6
    again = clusters.cluster(points[mixed])
    assert (again.label == found.label).all() and (again.medoid == found.medoid).all()
    for group, medoid in enumerate(found.medoid):
        assert found.label[medoid] == group
        members = np.flatnonzero(found.label == group)
        scaled = (points - points.mean(axis=0)) / points.std(axis=0)
        mine = scaled[mixed][members]
        total = ((mine[:, None] - mine[None]) ** 2).sum(axis=(1, 2))
        assert members[total.argmin()] == medoid


def test_a_sample_decides_among_many_products() -> None:
    points, of = blobs([3000, 2500])
    assert clusters.cluster(points).label.tolist() == of.tolist()


def test_only_who_may_stands_for_a_cluster() -> None:
    points, of = blobs([10, 10])
    free = clusters.cluster(points, 2)
    usable = np.ones(20, dtype=bool)
    usable[free.medoid[0]] = False
    found = clusters.cluster(points, 2, usable)
    assert found.medoid[0] != free.medoid[0] and found.medoid[1] == free.medoid[1]
    # Where none may, the nearest does.
    assert clusters.cluster(points, 2, of == 1).medoid[0] == free.medoid[0]


def test_gaps_and_constant_features_do_no_harm() -> None:
    points, of = blobs([12, 12])
    points[3, 1] = np.nan
    points[:, 2] = 5.0
    points[:, 3] = np.nan
    assert clusters.cluster(points, 2).label.tolist() == of.tolist()
    same = clusters.cluster(np.ones((15, 4)))
    assert same.label.tolist() == [0] * 15 and np.isnan(same.silhouette)


def test_impossible_numbers_of_clusters_are_refused() -> None:
    for k in (0, -1, 4):
        with pytest.raises(BadOptions) as refused:
            clusters.cluster([[1.0], [2.0], [2.0], [3.0]], k)
        assert refused.value.hint
    with pytest.raises(TooFewObservations):
        clusters.cluster(np.empty((0, 4)))
    assert clusters.cluster([[1.0]]).label.tolist() == [0]


def test_features_of_a_product_by_hand() -> None:
    """0.3 kg over 30 kg-days at age 4, 0.2 over 10 at age 8, 8 kg sold; another: nothing."""
    found = clusters.features(
        np.array([0.3, 0.2, -0.1]), np.array([30.0, 10, 5]), np.array([4.0, 8, np.nan]),
        np.array([5.0, 3, 0]), np.array([0, 0, 1]), tolerance=0.005,
    )  # fmt: skip
    rate = 0.5 / 40
    scatter = np.sqrt((30 * (0.01 - rate) ** 2 + 10 * (0.02 - rate) ** 2) / 40)
    assert found[0] == pytest.approx([np.log(rate), 5.0, scatter / rate, np.log(5.0)])
    assert found[1, [0, 3]] == pytest.approx([np.log(0.001), np.log(365)])
    assert np.isnan(found[1, 1:3]).all()


def test_columns_come_as_bytes_and_leave_as_json() -> None:
    rates = E27["inputs"]["rates_pct_per_day"]
    n = len(rates)
    floats = [
        struct.pack(f">{n}d", *values) for values in (rates, [100.0] * n, [5.0] * n, [1.0] * n)
    ]
    text = clusters.find(
        struct.pack(f">{n}i", *range(n)), *floats, struct.pack(f">{n}i", *[1] * n), 2, 0.005,
        lambda: None,
    )  # fmt: skip
    answer = json.loads(text)
    assert [item["label"] for item in answer["items"]] == E27["expected"]["labels"]
    assert [item["rate"] for item in answer["items"]] == pytest.approx([r / 100 for r in rates])
    assert sum(item["is_medoid"] for item in answer["items"]) == answer["k"] == 2
