"""Options of kinds: their defaults and what each may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weighhouse.errors import BadOptions

__all__ = ["Flag", "Number", "Option", "Whole", "complete"]


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds; None may stand for no bound where the default is None."""

    default: int | None
    least: int
    most: int

    def accepts(self, value: Any) -> bool:
        """Whether a value may stand."""
        if value is None:
            return self.default is None
        return type(value) is int and self.least <= value <= self.most

    def describe(self) -> str:
        """Say what may stand."""
        none = " or null" if self.default is None else ""
        return f"a whole number from {self.least} to {self.most}{none}"


@dataclass(frozen=True, slots=True)
class Number:
    """A number within bounds."""

    default: float
    least: float
    most: float

    def accepts(self, value: Any) -> bool:
        """Whether a value may stand."""
        return type(value) in (int, float) and self.least <= value <= self.most

    def describe(self) -> str:
        """Say what may stand."""
        return f"a number from {self.least:g} to {self.most:g}"


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    default: bool

    def accepts(self, value: Any) -> bool:
        """Whether a value may stand."""
        return isinstance(value, bool)

    def describe(self) -> str:
        """Say what may stand."""
        return "true or false"


Option = Whole | Number | Flag


def complete(kind: str, options: Mapping[str, Any], known: Mapping[str, Option]) -> dict[str, Any]:
    """Complete the options of a kind with their defaults.

    Raises
    ------
    BadOptions
        For an option that is not known, or cannot be what it is.
    """
    unknown = sorted(set(options) - set(known))
    if unknown:
        hint = f"Known are {', '.join(known)}." if known else f"{kind} has no options."
        raise BadOptions(f"unknown option {unknown[0]} of {kind}", hint=hint)
    given = {name: option.default for name, option in known.items()} | dict(options)
    for name, option in known.items():
        if not option.accepts(given[name]):
            raise BadOptions(
                f"option {name} of {kind} cannot be {given[name]!r}",
                hint=f"Give {option.describe()}.",
            )
    return given
