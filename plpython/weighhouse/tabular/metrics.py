"""Measures of what a model of a table says of rows it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClassFigures", "by_class", "classification", "confusion", "regression"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def regression(actual: Floats, predicted: Floats) -> dict[str, float | None]:
    """Measure numbers.

    Returns
    -------
    dict
        r2 (None: the actual values are all the same), mse, rmse, mae in the unit of the target (its
        square), mape in percent over actual values that are not 0 (None: there are none).
    """
    error = predicted - actual
    mse = float(np.mean(error**2))
    spread = float(np.sum((actual - actual.mean()) ** 2))
    some = actual != 0
    return {
        "r2": 1 - float(np.sum(error**2)) / spread if spread > 0 else None,
        "mse": mse,
        "rmse": float(np.sqrt(mse)),
        "mae": float(np.mean(np.abs(error))),
        "mape": float(100 * np.mean(np.abs(error[some] / actual[some]))) if some.any() else None,
    }


def confusion(actual: Integers, predicted: Integers, class_count: int) -> Integers:
    """Count rows by class and predicted class, shape (classes, classes)."""
    pairs = actual * class_count + predicted
    counts = np.bincount(pairs, minlength=class_count**2)
    return counts.reshape(class_count, class_count).astype(np.int64)


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Figures of each class, shape (classes,); 0 where nothing can be divided by, as is usual."""

    precision: Floats
    recall: Floats
    f1: Floats
    rows: Integers


def by_class(matrix: Integers) -> ClassFigures:
    """Give the figures of each class from a confusion matrix."""
    right = np.diag(matrix).astype(float)
    said, were = matrix.sum(axis=0), matrix.sum(axis=1)

    def share(part: Floats, whole: NDArray[np.int64]) -> Floats:
        return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)

    return ClassFigures(share(right, said), share(right, were), share(2 * right, said + were), were)


def classification(actual: Integers, shares: Floats) -> dict[str, float | None]:
    """Measure probabilities.

    Parameters
    ----------
    actual : ndarray of int64, shape (n,)
        Number of the class.
    shares : ndarray of float64, shape (n, classes)

    Returns
    -------
    dict
        accuracy; precision, recall, f1: means over the classes that are there, or were said;
        log_loss in nats, probabilities held within the precision of a number.
    """
    predicted = shares.argmax(axis=1)
    matrix = confusion(actual, predicted, shares.shape[1])
    figures = by_class(matrix)
    there = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
    own = shares[np.arange(len(actual)), actual] / shares.sum(axis=1)
    tiny = np.finfo(float).eps
    return {
        "accuracy": float(np.mean(predicted == actual)),
        "precision": float(figures.precision[there].mean()),
        "recall": float(figures.recall[there].mean()),
        "f1": float(figures.f1[there].mean()),
        "log_loss": float(-np.mean(np.log(np.clip(own, tiny, 1 - tiny)))),
    }
