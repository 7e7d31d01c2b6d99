"""Networks that turn windows into forecasts: N-HiTS, LSTM and GRU.

Each is written once, for the arrays of torch, which learns, and for those of numpy, which is all
that forecasting needs; `run` is handed the library it works with. Several nets of one architecture,
each with its own weights, are one array with the net as first axis.

A linear map from window to forecast stands beside each network. Beside the recurrent ones it starts
as the last season repeated: what they learn is how to do better. N-HiTS starts from nothing, but
where seasons are within a longer one (hours of a day, of a week) from the mean of its last ones.

References
----------
Challu, Olivares, Oreshkin, Garza Ramirez, Mergenthaler Canseco, Dubrawski (2023), N-HiTS: Neural
Hierarchical Interpolation for Time Series Forecasting, AAAI 37.
Hochreiter, Schmidhuber (1997), Long Short-Term Memory, Neural Computation 9.
Cho et al. (2014), Learning Phrase Representations using RNN Encoder-Decoder, EMNLP.
Lai, Chang, Yang, Liu (2018), Modeling Long- and Short-Term Temporal Patterns, SIGIR: the linear
part beside the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weighhouse.forecasting.contract import Floats
from weighhouse.forecasting.windows import Shape

__all__ = ["GRU", "LSTM", "NHITS", "Network", "Numpy"]

# Arrays of either library.
Array = Any
Weights = Mapping[str, Array]


class Numpy:
    """The functions of torch that a network uses, on arrays of numpy."""

    @staticmethod
    def relu(x: Floats) -> Floats:
        """Cut off what is negative."""
        return np.maximum(x, 0.0)

    @staticmethod
    def sigmoid(x: Floats) -> Floats:
        """Squeeze into (0, 1)."""
        return 0.5 + 0.5 * np.tanh(0.5 * x)

    tanh = staticmethod(np.tanh)


@dataclass(frozen=True, slots=True)
class Network:
    """An architecture.

    Attributes
    ----------
    start : callable
        (shape, nets, rng) -> weights before anything is learnt, each of shape (nets, ...).
    fixed : callable
        shape -> matrices that are not learnt.
    run : callable
        (library, weights, fixed, windows) -> forecasts; windows of shape (nets or 1, n, window),
        forecasts of shape (nets, n, horizon).
    steps : int
        Steps of learning that are usually enough.
    rate : float
        Of learning.
    size : int
        Units of a layer.
    cycles : int
        Longest seasons a window has, where there are shorter ones in them.
    """

    start: Callable[[Shape, int, np.random.Generator], dict[str, Floats]]
    fixed: Callable[[Shape], dict[str, Floats]]
    run: Callable[[Any, Weights, Weights, Array], Array]
    steps: int
    rate: float
    size: int
    cycles: int = 2


def _uniform(rng: np.random.Generator, nets: int, rows: int, columns: int, fan: int) -> Floats:
    bound = 1.0 / np.sqrt(fan)
    return rng.uniform(-bound, bound, (nets, rows, columns))


def _last_season(shape: Shape, nets: int, most: int = 1) -> Floats:
    """Repeat the last season, or the last value: shape (nets, window, horizon).

    most: the mean of so many last ones, of as many as the window has.
    """
    lag = shape.cycle if shape.cycle <= shape.window else shape.season
    count = max(min(shape.window // lag, most), 1)
    steps = np.arange(shape.horizon)
    matrix = np.zeros((nets, shape.window, shape.horizon))
    for back in range(1, count + 1):
        matrix[:, shape.window - back * lag + steps % lag, steps] = 1.0 / count
    return matrix


# ----------------------------------------------------------------------------------------- N-HiTS

# From the coarse to the fine: steps that are pooled, and steps between interpolated ones.
COARSENESS = (8, 4, 1)
HITS_UNITS = 96
# Longest seasons of a window, whose mean it starts from, where there are shorter ones in them.
HITS_CYCLES = 3


def _pool(window: int, width: int) -> Floats:
    """Average groups of steps, the last group ending with the window: (window, groups)."""
    groups = -(-window // width)
    matrix = np.zeros((window, groups))
    steps = np.arange(window)
    matrix[window - 1 - steps, groups - 1 - steps // width] = 1.0
    return np.asarray(matrix / matrix.sum(axis=0))


def _interpolate(knots: int, steps: int) -> Floats:
    """Draw straight lines between knots: (knots, steps)."""
    if knots == 1:
        return np.ones((1, steps))
    places = np.linspace(0.0, knots - 1.0, steps)
    return np.maximum(0.0, 1.0 - np.abs(places - np.arange(knots)[:, None]))


def _hits_sizes(shape: Shape) -> list[tuple[int, int, int]]:
    """Give of each stack: steps pooled, knots of the past, knots of the forecast."""
    sizes = []
    for coarse in COARSENESS:
        width = min(coarse, max(shape.window // 4, 1))
        sizes.append((width, max(shape.window // width, 2), max(-(-shape.horizon // coarse), 1)))
    return sizes


def _hits_fixed(shape: Shape) -> dict[str, Floats]:
    fixed = {}
    for i, (width, back, ahead) in enumerate(_hits_sizes(shape)):
        fixed[f"pool{i}"] = _pool(shape.window, width)
        fixed[f"back{i}"] = _interpolate(back, shape.window)
        fixed[f"ahead{i}"] = _interpolate(ahead, shape.horizon)
    return fixed


def _hits_start(shape: Shape, nets: int, rng: np.random.Generator) -> dict[str, Floats]:
    direct = np.zeros((nets, shape.window, shape.horizon))
    if shape.cycle > shape.season:
        direct = _last_season(shape, nets, HITS_CYCLES)
    weights = {"direct": direct}
    units = HITS_UNITS
    for i, (width, back, ahead) in enumerate(_hits_sizes(shape)):
        inputs = -(-shape.window // width)
        weights[f"first{i}"] = _uniform(rng, nets, inputs, units, inputs)
        weights[f"first_bias{i}"] = _uniform(rng, nets, 1, units, inputs)
        weights[f"second{i}"] = _uniform(rng, nets, units, units, units)
        weights[f"second_bias{i}"] = _uniform(rng, nets, 1, units, units)
        weights[f"past{i}"] = _uniform(rng, nets, units, back, units)
        weights[f"future{i}"] = _uniform(rng, nets, units, ahead, units)
        weights[f"future_bias{i}"] = np.zeros((nets, 1, ahead))
    return weights


def _hits_run(library: Any, weights: Weights, fixed: Weights, windows: Array) -> Array:
    rest, total = windows, windows @ weights["direct"]
    for i in range(len(COARSENESS)):
        x = rest @ fixed[f"pool{i}"]
        x = library.relu(x @ weights[f"first{i}"] + weights[f"first_bias{i}"])
        x = library.relu(x @ weights[f"second{i}"] + weights[f"second_bias{i}"])
        # What a stack explains, the next ones need not look at.
        rest = rest - (x @ weights[f"past{i}"]) @ fixed[f"back{i}"]
        ahead = x @ weights[f"future{i}"] + weights[f"future_bias{i}"]
        total = total + ahead @ fixed[f"ahead{i}"]
    return total


# -------------------------------------------------------------------------------------- recurrent

# A longer window is read in chunks.
MOST_TURNS = 24
CELL_UNITS = 32


def _chunk(shape: Shape) -> int:
    return -(-shape.window // MOST_TURNS)


def _cell_fixed(shape: Shape) -> dict[str, Floats]:
    """Cut the window into chunks, oldest first: (turns, window, chunk)."""
    width = _chunk(shape)
    turns = -(-shape.window // width)
    places = np.arange(turns * width).reshape(turns, width) - (turns * width - shape.window)
    return {"chunks": (places[:, None, :] == np.arange(shape.window)[None, :, None]).astype(float)}


def _cell_start(gates: int) -> Callable[[Shape, int, np.random.Generator], dict[str, Floats]]:
    def start(shape: Shape, nets: int, rng: np.random.Generator) -> dict[str, Floats]:
        units, width = CELL_UNITS, _chunk(shape)
        return {
            "direct": _last_season(shape, nets),
            "input": _uniform(rng, nets, width, gates * units, units),
            "bias": _uniform(rng, nets, 1, gates * units, units),
            "state": _uniform(rng, nets, units, gates * units, units),
            "state_bias": _uniform(rng, nets, 1, gates * units, units),
            "head": _uniform(rng, nets, units, shape.horizon, units),
            "head_bias": np.zeros((nets, 1, shape.horizon)),
        }

    return start


def _lstm_run(library: Any, weights: Weights, fixed: Weights, windows: Array) -> Array:
    units = CELL_UNITS
    state: Array = None
    cell: Array = None
    for chunk in fixed["chunks"]:
        gates = windows @ chunk @ weights["input"] + weights["bias"] + weights["state_bias"]
        if state is not None:
            gates = gates + state @ weights["state"]
        new = library.sigmoid(gates[..., :units]) * library.tanh(gates[..., units : 2 * units])
        if cell is not None:
            new = new + library.sigmoid(gates[..., 2 * units : 3 * units]) * cell
        cell = new
        state = library.sigmoid(gates[..., 3 * units :]) * library.tanh(cell)
    return windows @ weights["direct"] + state @ weights["head"] + weights["head_bias"]


def _gru_run(library: Any, weights: Weights, fixed: Weights, windows: Array) -> Array:
    units = CELL_UNITS
    state: Array = None
    for chunk in fixed["chunks"]:
        given = windows @ chunk @ weights["input"] + weights["bias"]
        held = weights["state_bias"]
        if state is not None:
            held = state @ weights["state"] + held
        both = library.sigmoid(given[..., : 2 * units] + held[..., : 2 * units])
        reset, keep = both[..., :units], both[..., units:]
        new = library.tanh(given[..., 2 * units :] + reset * held[..., 2 * units :])
        state = (1.0 - keep) * new if state is None else new + keep * (state - new)
    return windows @ weights["direct"] + state @ weights["head"] + weights["head_bias"]


NHITS = Network(
    _hits_start, _hits_fixed, _hits_run, steps=600, rate=2e-3, size=HITS_UNITS, cycles=HITS_CYCLES
)
LSTM = Network(_cell_start(4), _cell_fixed, _lstm_run, steps=300, rate=4e-3, size=CELL_UNITS)
GRU = Network(_cell_start(3), _cell_fixed, _gru_run, steps=300, rate=4e-3, size=CELL_UNITS)
