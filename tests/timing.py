"""Tests of time: other work only makes a measurement longer, so the best one counts."""

from __future__ import annotations

from collections.abc import Callable

TRIES = 5


def best(measure: Callable[[], float], limit: float) -> float:
    """Measure until it is below a limit, a few times at most; give the shortest."""
    shortest = measure()
    for _ in range(TRIES - 1):
        if shortest < limit:
            break
        shortest = min(shortest, measure())
    return shortest


def cheaper(
    quick: float,
    slow: float,
    again: Callable[[], tuple[float, float]],
    enough: Callable[[float, float], bool],
) -> bool:
    """Say whether one thing costs little beside another; measure both again where it does not."""
    for _ in range(TRIES - 1):
        if enough(quick, slow):
            return True
        more = again()
        quick, slow = min(quick, more[0]), min(slow, more[1])
    return enough(quick, slow)
