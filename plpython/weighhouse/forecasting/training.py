"""Learning the weights of networks with torch, which is imported here and nowhere else."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weighhouse.errors import MissingLibrary
from weighhouse.forecasting.contract import Floats
from weighhouse.forecasting.networks import Network
from weighhouse.forecasting.windows import Collection, Indexes

__all__ = ["Learner", "torch_library"]

# Windows of a step, for each net.
BATCH = 128
WARM_UP = 20
DECAY = 1e-3
LONGEST_GRADIENT = 1.0
# Windows of one pass where nothing is learnt.
PASS = 512
# A judgement that much worse than the best is no chance.
CLEARLY = 1.05
# Targets further away than this teach how far away they are no better.
FARTHEST = 40.0


def torch_library() -> Any:
    """Import torch.

    Raises
    ------
    MissingLibrary
        The server has none.
    """
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise MissingLibrary(
            "torch is missing on the server",
            detail=str(error),
            hint="Embedded server: loader server stop, then loader server start --with neural;"
            " elsewhere install torch for the server's Python (Debian, Ubuntu: python3-torch,"
            " libopenblas0-pthread). What was learnt before is forecast without it.",
        ) from error
    # A session is the unit of parallelism.
    torch.set_num_threads(1)
    return torch


@dataclass
class Learner:
    """The weights of nets while they are learnt.

    Neither this nor the order of the steps depends on a global random state: the same data, seed
    and version of torch give the same weights.
    """

    torch: Any
    network: Network
    collection: Collection
    fixed: dict[str, Any]
    weights: dict[str, Any]
    rng: np.random.Generator
    check: Callable[[], None]

    @classmethod
    def begin(
        cls,
        network: Network,
        collection: Collection,
        weights: Mapping[str, Floats],
        rng: np.random.Generator,
        check: Callable[[], None],
    ) -> Learner:
        """Hand weights to torch."""
        torch = torch_library()

        def tensor(array: Floats) -> Any:
            return torch.from_numpy(np.array(array, dtype=np.float32))

        fixed = {name: tensor(x) for name, x in network.fixed(collection.shape).items()}
        own = {name: tensor(x).requires_grad_(True) for name, x in weights.items()}
        return cls(torch, network, collection, fixed, own, rng, check)

    def dump(self) -> dict[str, Floats]:
        """Give the weights as arrays of their own."""
        return {name: x.detach().numpy().copy() for name, x in self.weights.items()}

    def load(self, weights: Mapping[str, Floats]) -> None:
        """Take weights of the same shapes."""
        with self.torch.no_grad():
            for name, x in self.weights.items():
                x.copy_(self.torch.from_numpy(weights[name]))

    def learn(
        self,
        ends: Indexes,
        steps: int,
        rate: float,
        every: int = 0,
        judge: Callable[[], float] | None = None,
        patience: int = 0,
    ) -> int:
        """Go on learning, from windows drawn from all series alike.

        Parameters
        ----------
        ends : ndarray of int
            How many values of each series may be looked at.
        steps : int
        rate : float
            Of the first steps; it falls to nothing along a cosine.
        every, judge, patience
            Every so many steps the weights are judged (less is better); where so many judgements in
            turn, or the last, are clearly worse than the best, the best weights are kept. Else, and
            without a judge, the last are: a rate that has fallen to nothing is worth more than
            what few withheld windows say.

        Returns
        -------
        int
            Steps after which the weights are those kept.
        """
        torch, collection = self.torch, self.collection
        optimiser = torch.optim.AdamW(
            list(self.weights.values()), lr=rate, weight_decay=DECAY, betas=(0.9, 0.98)
        )
        nets = len(self.weights["direct"])
        series = np.arange(len(ends))
        least = collection.least(ends)
        best, at, kept, worse = math.inf, steps, None, 0
        for step in range(steps):
            self.check()
            now = rate * min(1.0, (step + 1) / WARM_UP)
            now *= 0.02 + 0.49 * (1.0 + math.cos(math.pi * step / steps))
            for group in optimiser.param_groups:
                group["lr"] = now
            drawn = self.rng.choice(series, size=(nets, BATCH))
            origins = least[drawn] + (self.rng.random(drawn.shape) * (ends - least)[drawn]).astype(
                np.int64
            )
            scaled, came = collection.take(drawn, origins, ends[drawn])
            worth = np.where(np.isnan(came), 0.0, collection.weights(drawn, scaled.spread))
            came = np.clip(np.nan_to_num(came), -FARTHEST, FARTHEST)
            ahead = self._run(scaled.values)
            error = torch.abs(ahead - self._tensor(came)) * self._tensor(worth)
            loss = error.sum() / max(int(np.count_nonzero(worth)), 1)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(list(self.weights.values()), LONGEST_GRADIENT)
            optimiser.step()
            if judge is not None and ((step + 1) % every == 0 or step == steps - 1):
                found = judge()
                if found < best:
                    best, at, kept = found, step + 1, self.dump()
                worse = worse + 1 if found > CLEARLY * best else 0
                if worse >= patience:
                    break
        if kept is None or not worse:
            return steps
        self.load(kept)
        return at

    def forecast(self, windows: Floats) -> Floats:
        """Forecast scaled windows, shape (n, window): the median of the nets, (n, horizon)."""
        parts = []
        with self.torch.no_grad():
            for start in range(0, len(windows), PASS):
                self.check()
                parts.append(self._run(windows[None, start : start + PASS]).numpy())
        median: Floats = np.median(np.concatenate(parts, axis=1), axis=0).astype(float)
        return median

    def _tensor(self, array: Floats) -> Any:
        return self.torch.from_numpy(array.astype(np.float32))

    def _run(self, windows: Floats) -> Any:
        return self.network.run(self.torch, self.weights, self.fixed, self._tensor(windows))
