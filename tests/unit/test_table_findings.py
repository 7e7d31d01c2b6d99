"""Isolation forest and k-means of tables: against scikit-learn, and on rows that are hard."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from weighhouse import tabular
from weighhouse.errors import BadOptions, TooFewObservations
from weighhouse.learnt import Learnt, pack, unpack
from weighhouse.tabular import isolation_forest, kmeans


def nothing() -> None:
    """Look for no cancel."""


def forest(x: Any, **options: Any) -> Learnt:
    return isolation_forest.fit(x, None, "anomaly", 0, options, nothing, None)


def groups(x: Any, **options: Any) -> Learnt:
    return kmeans.fit(x, None, "clustering", 0, options, nothing, None)


def rows(seed: int = 1, n: int = 600) -> Any:
    x = np.random.default_rng(seed).normal(size=(n, 4)) * [1, 10, 1e-3, 1e6]
    x[:6] *= 9
    return x


def blobs(n: int = 300) -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    of = np.repeat([0, 1, 2], [n // 2, n // 3, n - n // 2 - n // 3])
    centre = np.array([[0.0, 0, 5], [8, 0, 5], [0, 9, 5]])
    return centre[of] + rng.normal(size=(n, 3)) * [1, 1, 0], of


# ------------------------------------------------------------------------------- isolation forest


def test_scores_are_those_of_scikit_learn() -> None:
    from sklearn.ensemble import IsolationForest

    x = rows()
    learnt = forest(x, trees=35)
    peer = IsolationForest(
        n_estimators=35, max_samples=256, random_state=isolation_forest.SEED
    ).fit(x)
    # Grown in batches, the trees are those grown at once.
    np.testing.assert_allclose(
        isolation_forest.score(learnt, x, nothing), -peer.score_samples(x), atol=1e-6
    )


def test_the_threshold_leaves_the_share_that_was_stated_and_finds_what_is_strange() -> None:
    x = rows()
    learnt = forest(x, contamination=0.01)
    found = np.flatnonzero(isolation_forest.score(learnt, x, nothing) > learnt.header["threshold"])
    assert set(found.tolist()) == set(range(6))
    assert forest(x, contamination=0.1).header["threshold"] < learnt.header["threshold"]


def test_it_is_stored_as_arrays_and_scored_with_numpy_alone() -> None:
    x = rows()
    learnt = forest(x, trees=10)
    back = Learnt(learnt.header, unpack(pack(learnt.arrays)))
    same = isolation_forest.score(back, x, nothing)
    np.testing.assert_array_equal(same, isolation_forest.score(learnt, x, nothing))
    again = forest(x, trees=10)
    assert pack(again.arrays) == pack(learnt.arrays) and again.header == learnt.header
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from weighhouse.tabular import isolation_forest, kmeans;"
            " print({'sklearn', 'scipy', 'pandas'} & set(sys.modules))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.strip() == "set()"


def test_rows_that_are_all_alike_are_no_anomalies() -> None:
    x = np.ones((50, 3))
    learnt = forest(x)
    scores = isolation_forest.score(learnt, x, nothing)
    assert np.ptp(scores) == 0 and not (scores > learnt.header["threshold"]).any()


def test_numbers_beyond_float32_are_taken_for_the_largest() -> None:
    x = rows()
    x[0, 0], x[1, 0] = 1e300, -1e300
    learnt = forest(x)
    scores = isolation_forest.score(learnt, x, nothing)
    assert np.isfinite(scores).all() and scores[0] > np.median(scores)


@pytest.mark.parametrize("x", [np.ones((1, 2)), np.empty((0, 2)), np.ones((5, 0))])
def test_too_few_rows_are_refused(x: Any) -> None:
    with pytest.raises(TooFewObservations):
        forest(x)


def test_a_cancel_stops_it_between_the_batches() -> None:
    class Cancelled(Exception):
        pass

    calls = []

    def cancel() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        isolation_forest.fit(rows(), None, "anomaly", 0, {"trees": 500}, cancel, None)


# ---------------------------------------------------------------------------------------- k-means


def test_the_silhouette_finds_the_groups_there_are() -> None:
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    x, of = blobs()
    learnt = groups(x)
    label = kmeans.score(learnt, x, nothing)
    assert learnt.header["clusters"] == 3 and learnt.header["sizes"] == [150, 100, 50]
    # Numbered by size.
    np.testing.assert_array_equal(label, of)
    varying = x[:, :2]
    scaled = (varying - varying.mean(0)) / varying.std(0)
    peer = KMeans(3, n_init=10, random_state=0).fit(scaled)
    assert learnt.header["inertia"] == pytest.approx(peer.inertia_, rel=1e-9)
    assert learnt.header["silhouette"] == pytest.approx(silhouette_score(scaled, label), abs=1e-9)


def test_a_column_that_does_not_vary_has_no_say_later_either() -> None:
    x, of = blobs()
    learnt = groups(x)
    moved = x.copy()
    moved[:, 2] = 1e9
    np.testing.assert_array_equal(kmeans.score(learnt, moved, nothing), of)


def test_groups_do_not_depend_on_the_unit_however_huge() -> None:
    x, of = blobs()
    for unit in (1e-200, 1e200):
        learnt = groups(x * unit)
        np.testing.assert_array_equal(kmeans.score(learnt, x * unit, nothing), of)


def test_of_many_rows_a_sample_decides_how_many_groups() -> None:
    x, of = blobs(6000)
    learnt = groups(x)
    assert learnt.header["silhouette_rows"] == kmeans.SAMPLE
    assert np.mean(kmeans.score(learnt, x, nothing) == of) > 0.999
    assert pack(groups(x).arrays) == pack(learnt.arrays)


def test_rows_that_are_all_alike_are_one_group() -> None:
    learnt = groups(np.ones((20, 2)))
    assert learnt.header["clusters"] == 1 and learnt.header["silhouette"] is None
    assert kmeans.score(learnt, np.array([[1.0, 1], [5, 5]]), nothing).tolist() == [0, 0]
    assert groups(np.ones((1, 2))).header["sizes"] == [1]


def test_more_groups_than_different_rows_are_refused() -> None:
    x = np.repeat([[0.0], [1.0]], 10, axis=0)
    assert groups(x, clusters=2).header["sizes"] == [10, 10]
    with pytest.raises(BadOptions, match="3 clusters of 2 different rows") as caught:
        groups(x, clusters=3)
    assert caught.value.hint
    with pytest.raises(TooFewObservations):
        groups(np.empty((0, 2)))


# ---------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("isolation_forest", {"trees": 0}),
        ("isolation_forest", {"trees": True}),
        ("isolation_forest", {"sample": 1.5}),
        ("isolation_forest", {"contamination": 0}),
        ("isolation_forest", {"contamination": 0.6}),
        ("isolation_forest", {"contamination": float("nan")}),
        ("isolation_forest", {"depth": 3}),
        ("kmeans", {"clusters": 0}),
        ("kmeans", {"clusters": "3"}),
        ("kmeans", {"most": 1}),
        ("kmeans", {"k": 3}),
    ],
)
def test_impossible_options_are_refused_with_a_hint(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(BadOptions) as caught:
        tabular.kind(kind).check_options(options)
    assert caught.value.hint


@pytest.mark.parametrize("kind", ["isolation_forest", "kmeans"])
def test_completed_options_stay_what_they_are(kind: str) -> None:
    module = tabular.kind(kind)
    complete = module.check_options({})
    assert module.check_options(complete) == complete
    assert tabular.traits(kind)["family"] == "table"
