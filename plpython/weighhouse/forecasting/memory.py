"""Fitted parameters in the memory of a session: verified and parsed once, least recently used out.

The key is the identity of stored content, which never changes: what is here is never stale.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from weighhouse import signing
from weighhouse.errors import WeighhouseError
from weighhouse.forecasting import bridge, kind
from weighhouse.forecasting.contract import Parameters

__all__ = ["MEMORY", "Memory", "Stored", "content", "forecast"]


class FromNewerVersion(WeighhouseError):
    """Stored in a form this code does not know yet."""

    sqlstate = "ML203"


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


@dataclass
class Memory:
    """A least-recently-used store, bounded by entries and by bytes of JSON."""

    most_entries: int = 4096
    most_bytes: int = 8_000_000
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    bytes: int = 0
    entries: OrderedDict[str, tuple[str, Parameters, int]] = field(default_factory=OrderedDict)

    def missing(self, ids: Sequence[str]) -> list[str]:
        """List those that must be fetched."""
        return [id for id in ids if id not in self.entries]

    def get(self, id: str) -> tuple[str, Parameters] | None:
        """Give kind and parameters, and count."""
        found = self.entries.get(id)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self.entries.move_to_end(id)
        return found[:2]

    def put(self, id: str, kind_name: str, parameters: Parameters, size: int) -> None:
        """Keep one, and drop the least recently used beyond the bounds."""
        if id in self.entries:
            self.bytes -= self.entries.pop(id)[2]
        self.entries[id] = (kind_name, parameters, size)
        self.bytes += size
        while self.entries and (
            len(self.entries) > self.most_entries or self.bytes > self.most_bytes
        ):
            _, (_, _, dropped) = self.entries.popitem(last=False)
            self.bytes -= dropped
            self.evictions += 1

    def clear(self) -> None:
        """Forget everything but the counts."""
        self.entries.clear()
        self.bytes = 0

    def figures(self) -> dict[str, int]:
        """Counts of this session."""
        return {
            "entries": len(self.entries),
            "bytes": self.bytes,
            "hits": self.hits,
            "misses": self.misses,
            "evictions": self.evictions,
        }


MEMORY = Memory()


def forecast(
    ids: Sequence[str],
    fetched: Sequence[Stored],
    horizon: int,
    levels: Sequence[float],
    check: Callable[[], None],
    memory: Memory = MEMORY,
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
            memory.put(id, *known, len(row.parameters))
        for row_of_step in bridge.forecast_rows(*known, horizon, levels):
            yield (place, *row_of_step)
