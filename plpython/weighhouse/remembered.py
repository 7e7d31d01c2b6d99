"""What a session keeps in its memory: least recently used out.

Keys are identities of stored content, which never changes: what is here is never stale.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Remembered"]

T = TypeVar("T")


@dataclass
class Remembered(Generic[T]):
    """A least-recently-used store, bounded by entries and by bytes of what was read.

    The newest entry stays whatever its size: who put it there is about to use it.
    """

    most_entries: int
    most_bytes: int
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    bytes: int = 0
    entries: OrderedDict[str, tuple[T, int]] = field(default_factory=OrderedDict)

    def missing(self, ids: Sequence[str]) -> list[str]:
        """List those that must be fetched."""
        return [id for id in ids if id not in self.entries]

    def get(self, id: str) -> T | None:
        """Give an entry, and count."""
        found = self.entries.get(id)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self.entries.move_to_end(id)
        return found[0]

    def put(self, id: str, entry: T, size: int) -> None:
        """Keep an entry, and drop the least recently used beyond the bounds."""
        if id in self.entries:
            self.bytes -= self.entries.pop(id)[1]
        self.entries[id] = entry, size
        self.bytes += size
        while len(self.entries) > 1 and (
            len(self.entries) > self.most_entries or self.bytes > self.most_bytes
        ):
            _, (_, dropped) = self.entries.popitem(last=False)
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
