"""A kind together with what it learnt: one way to call those that learn and those that do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from weighhouse import artifacts
from weighhouse.errors import WeighhouseError
from weighhouse.forecasting import kind
from weighhouse.forecasting.contract import (
    Fit,
    Floats,
    Forecast,
    Kind,
    LearningKind,
    Parameters,
    Regressors,
    Result,
    Series,
)
from weighhouse.learnt import Learnt

__all__ = ["Applied", "learn", "learns"]


def learns(name: str) -> bool:
    """Whether a kind learns from all series of a model."""
    return bool(getattr(kind(name), "LEARNS", False))


def learn(
    name: str,
    collection: Sequence[Series],
    horizon: int,
    options: Mapping[str, Any],
    check: Callable[[], None],
    known: Learnt | None = None,
) -> Learnt | None:
    """Learn from all series; None for a kind that does not."""
    if not learns(name):
        return None
    return cast(LearningKind, kind(name)).learn(collection, horizon, options, check, known)


@dataclass(frozen=True, slots=True)
class Applied:
    """A kind with what it learnt.

    Attributes
    ----------
    name : str
        Of the kind.
    learnt : Learnt or None
        None for a kind that does not learn.
    artifact : str or None
        Under which id it is stored; None: it is not.
    """

    name: str
    learnt: Learnt | None = None
    artifact: str | None = None

    @classmethod
    def of(cls, name: str, parameters: Parameters) -> Applied:
        """Take what the parameters of a series were fitted with; it must be in memory.

        A kind that began to learn in a later release still knows its older parameters.
        """
        if not learns(name) or "artifact" not in parameters:
            return cls(name)
        return cls(name, artifacts.find(parameters["artifact"]), parameters["artifact"])

    def fit(
        self,
        batch: Sequence[Series],
        horizon: int,
        options: Mapping[str, Any],
        check: Callable[[], None],
    ) -> list[Result]:
        """See `Kind.fit`. A series with regressors is no series for a kind that has no use for
        them: it is fitted without."""
        if self.learnt is None:
            return kind(self.name).fit(batch, horizon, options, check)
        module = cast(LearningKind, kind(self.name))
        fits = module.fit(batch, horizon, options, check, self.learnt)
        return [self._signed(fit) for fit in fits]

    def _signed(self, fit: Result) -> Result:
        # Which artifact belongs to the parameters is signed with them.
        if isinstance(fit, WeighhouseError) or self.artifact is None:
            return fit
        return Fit(fit.parameters | {"artifact": self.artifact}, fit.label, fit.note)

    def forecast(self, parameters: Parameters, horizon: int, levels: Sequence[float]) -> Forecast:
        """See `Kind.forecast`."""
        if self.learnt is None:
            return kind(self.name).forecast(parameters, horizon, levels)
        module = cast(LearningKind, kind(self.name))
        return module.forecast(parameters, horizon, levels, self.learnt)

    def update(
        self, parameters: Parameters, values: Floats, regressors: Regressors | None = None
    ) -> Parameters:
        """See `Kind.update`."""
        module = kind(self.name)
        if not getattr(module, "USES_REGRESSORS", False):
            updated = module.update(parameters, values)
        else:
            updated = cast(LearningKind, module).update(parameters, values, regressors)
        return updated if self.artifact is None else updated | {"artifact": self.artifact}

    @property
    def module(self) -> Kind:
        """The kind itself."""
        return kind(self.name)
