"""Fitted parameters in the memory of a session: verified and parsed once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from weighhouse import signing
from weighhouse.errors import FromNewerVersion
from weighhouse.forecasting import bridge, kind
from weighhouse.forecasting.contract import Parameters
from weighhouse.remembered import Remembered

__all__ = ["MEMORY", "Stored", "content", "forecast"]


def content(kind_name: str, version: int, data_hash: str, parameters: str) -> str:
    """Join what is signed of a stored model."""
    return "|".join((kind_name, str(version), data_hash, parameters))


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of the table of fitted models; `parameters` is its JSON text."""

    id: str
    kind: str
    version: int
    data_hash: str
    parameters: str
    signature: bytes

    def parse(self) -> Parameters:
        """Verify, then parse.

        Raises
        ------
        Tampered
            The signature is another; nothing was parsed.
        FromNewerVersion
            The form is newer than this code.
        """
        text = content(self.kind, self.version, self.data_hash, self.parameters)
        if not signing.is_signed(text, self.signature):
            raise signing.Tampered(
                f"the stored model {self.id} is not what was signed",
                detail="Its parameters were changed, or the database was restored from another"
                " server.",
                hint="After a restore run: loader cache verify --adopt; else fit again.",
            )
        if self.version > kind(self.kind).FORMAT:
            raise FromNewerVersion(
                f"the stored model {self.id} has form {self.version} of {self.kind}",
                detail=f"This code knows forms up to {kind(self.kind).FORMAT}.",
                hint="Fit again, or run loader db upgrade with the newer release.",
            )
        parsed: Parameters = json.loads(self.parameters)
        return parsed


# Kind and parameters, by the identity of the stored model; sizes are those of their JSON.
MEMORY: Remembered[tuple[str, Parameters]] = Remembered(most_entries=4096, most_bytes=8_000_000)


def forecast(
    ids: Sequence[str],
    fetched: Sequence[Stored],
    horizon: int,
    levels: Sequence[float],
    check: Callable[[], None],
    memory: Remembered[tuple[str, Parameters]] = MEMORY,
) -> Iterator[tuple[int, int, float, list[float], list[float]]]:
    """Forecast series from their stored parameters.

    Parameters
    ----------
    ids : sequence of str
        Stored models, one a series.
    fetched : sequence of Stored
        At least those that `memory.missing` named.
    horizon, levels
        Steps, and coverage of the intervals.
    check : callable
        Raises when the caller cancels.

    Yields
    ------
    tuple of (int, int, float, list of float, list of float)
        Place in `ids` from 1, step from 1, mean, lower and upper by level.
    """
    rows = {row.id: row for row in fetched}
    for place, id in enumerate(ids, 1):
        check()
        known = memory.get(id)
        if known is None:
            row = rows[id]
            known = row.kind, row.parse()
            memory.put(id, known, len(row.parameters))
        for row_of_step in bridge.forecast_rows(*known, horizon, levels):
            yield (place, *row_of_step)
