"""From an uploaded file to predictions: real tables, and scikit-learn outside on the same folds."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from loader import datasets
from loader.reading import ReadOptions

CASES: dict[str, tuple[Callable[..., Any], str, dict[str, Any], Callable[[], Any]]] = {
    "diabetes": (load_diabetes, "linear", {}, LinearRegression),
    "cancer": (
        load_breast_cancer,
        "logistic",
        {},
        lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    ),
    "wine": (
        load_wine,
        "forest",
        {"trees": 20},
        lambda: RandomForestClassifier(n_estimators=20, random_state=0),
    ),
    "digits": (
        load_digits,
        "forest",
        {"trees": 10},
        # Columns with one value (the corners of a digit are never inked) are left out.
        lambda: make_pipeline(
            VarianceThreshold(), RandomForestClassifier(n_estimators=10, random_state=0)
        ),
    ),
}
MEASURES = {
    "linear": {"r2": "r2", "mae": "neg_mean_absolute_error", "rmse": "neg_root_mean_squared_error"},
    "logistic": {"accuracy": "accuracy", "f1": "f1_macro", "log_loss": "neg_log_loss"},
    "forest": {"accuracy": "accuracy", "f1": "f1_macro", "recall": "recall_macro"},
}


def write(path: Path, x: Any, y: Any) -> None:
    """Write a table as a program would: numbers to their last digit, classes by name."""
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", *(f"x{i}" for i in range(x.shape[1])), "target"])
        for number, (row, target) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
            out.writerow([number, *row, target])


@pytest.mark.parametrize("name", CASES)
def test_an_uploaded_file_is_learnt_and_predicted(
    fresh_url: str, tmp_path: Path, name: str
) -> None:
    read, kind, options, library = CASES[name]
    x, y = read(return_X_y=True)
    if name == "digits":
        x, y = x[:600], y[:600]
    path = tmp_path / f"{name}.csv"
    write(path, x, y)
    result = datasets.upload(
        fresh_url, str(path), name, ReadOptions(), datasets.UploadOptions(archive=None)
    )
    with psycopg.connect(fresh_url) as db:
        db.execute(
            "select api.create_model(%s, %s, value_column => 'target', key_columns => '{id}', kind => %s, options => %s)",
            (
                name,
                f"dataset.{name}",
                kind,
                json.dumps({"order_by": "id", "kind_options": options}),
            ),
        )
        db.execute("select api.fit_model(%s)", (name,))
        found = dict(
            db.execute(
                "select metric, value from api.evaluate_model(%s, 4, seed => 5, repeats => 0) where method = 'model'",
                (name,),
            ).fetchall()
        )
        classes = kind != "linear"
        folds = (StratifiedKFold if classes else KFold)(4, shuffle=True, random_state=5)
        measures = MEASURES[kind]
        outside = cross_validate(library(), x, y, cv=folds, scoring=measures)
        for metric, scoring in measures.items():
            expected = float(outside[f"test_{metric}"].mean())
            expected = -expected if scoring.startswith("neg") else expected
            assert found[metric] == pytest.approx(expected, rel=1e-6), metric

        # The whole file in one statement, and one row by name, as the library predicts them.
        model = library().fit(x, y)
        asked = db.execute(
            "select key[1]::int, prediction, value from api.predict_rows(%s, %s) order by 1",
            (name, f"dataset.{name}"),
        ).fetchall()
        assert [row[0] for row in asked] == list(range(len(x)))
        if classes:
            assert [row[1] for row in asked] == [str(c) for c in model.predict(x)]
        else:
            np.testing.assert_allclose([row[2] for row in asked], model.predict(x), rtol=1e-6)
        features = {f"x{i}": value for i, value in enumerate(x[7].tolist())}
        single = db.execute(
            "select prediction from api.predict(%s, %s)", (name, json.dumps(features))
        ).fetchone()
        assert single == (asked[7][1],)

        # What it was learnt from is known, and goes with it.
        uploads = db.execute(
            "select upload_id from core.training_run where model = %s union select upload_id from cache.model_artifact",
            (name,),
        ).fetchall()
        assert uploads == [(result.dataset_id,)]
