"""Which rows contain the rows after them: by depth where the file shows it, by sums where not.

All rows of a printed hierarchy look alike. Three signs tell a total from a leaf, the best first:

1. depth: an outline level, an indent or leading spaces, if they differ between rows; a row contains
   the deeper rows that follow it;
2. movement: in a statement a leaf that moved has documents under it, so a row with movement and
   without documents is a total;
3. sums: a total equals the sum of the rows it contains, in every number.

What remains open is a row without movement followed by exactly one row with the same figures: it
is taken for a group of one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Depth = tuple[int, ...]

# One row is rounded to grams at worst to half of one; sums may drift by that for each row.
ROUNDING = 0.0006
# Totals of very long lists are not searched for by adding up.
MOST_CHILDREN = 20_000


@dataclass(slots=True)
class Node:
    """One row that may be a total: its figures, its depth and what is known of it.

    Attributes
    ----------
    line : int
    label : str
    figures : tuple of float
        The numbers of the row; an empty cell is 0, an unreadable one NaN.
    depth : tuple of int
    leaf : bool or None
        True or False where the content proves it, None where it is open.
    parent : int or None
        Index of the row that contains this one; filled by `arrange`.
    outermost : bool
        Known by name to be contained in nothing.
    """

    line: int
    label: str
    figures: tuple[float, ...]
    depth: Depth = ()
    leaf: bool | None = None
    parent: int | None = None
    outermost: bool = False


def figure(text: str) -> float:
    """Read a printed number well enough to add it up; NaN if it is none, 0 if it is empty."""
    bare = re.sub(r"[\s'’]", "", text).replace("−", "-")
    if bare in ("", "-", "–", "—"):
        return 0.0
    negative = bare.startswith("(") and bare.endswith(")")
    if negative:
        bare = bare[1:-1]
    if bare.endswith("-"):
        negative, bare = not negative, bare[:-1]
    if bare.rfind(",") > bare.rfind("."):
        bare = bare.replace(".", "").replace(",", ".")
    elif "," in bare:
        bare = bare.replace(",", "")
    try:
        value = float(bare)
    except ValueError:
        return math.nan
    return -value if negative else value


def depth_tells(nodes: Sequence[Node]) -> bool:
    """Whether depth differs between the rows and agrees with the leaves that are known."""
    if len({node.depth for node in nodes}) < 2:
        return False
    return not any(node.leaf and after.depth > node.depth for node, after in pairwise(nodes))


def _adds_up(total: Sequence[float], parts: Sequence[float], count: int) -> bool:
    slack = ROUNDING * (count + 1)
    return all(abs(a - b) <= slack for a, b in zip(total, parts, strict=True))


def by_depth(nodes: Sequence[Node]) -> None:
    """Set leaf and parent of each row from its depth."""
    open_rows: list[int] = []
    for index, node in enumerate(nodes):
        while open_rows and nodes[open_rows[-1]].depth >= node.depth:
            open_rows.pop()
        node.parent = open_rows[-1] if open_rows else None
        deeper = index + 1 < len(nodes) and nodes[index + 1].depth > node.depth
        if node.leaf is None:
            node.leaf = not deeper
        open_rows.append(index)


def children_by_sum(nodes: Sequence[Node], index: int, tops: Sequence[int]) -> int:
    """Count the topmost rows after `index` that add up to it; 0 when none do.

    Parameters
    ----------
    nodes : sequence of Node
    index : int
    tops : sequence of int
        Indices of the topmost rows after `index`, the nearest last.
    """
    total = nodes[index].figures
    if any(map(math.isnan, total)) or not any(total):
        return 0
    sums = [0.0] * len(total)
    nonnegative = min(total) >= 0
    for taken, top in enumerate(reversed(tops), 1):
        if taken > MOST_CHILDREN or nodes[top].outermost:
            return 0
        figures = nodes[top].figures
        sums = [a + b for a, b in zip(sums, figures, strict=True)]
        if _adds_up(total, sums, taken):
            return taken
        if nonnegative and min(figures) >= 0:
            slack = ROUNDING * (taken + 1)
            if any(s > t + slack for s, t in zip(sums, total, strict=True)):
                return 0
    return 0


def arrange(nodes: Sequence[Node], *, first_holds_all: bool) -> list[int]:
    """Set leaf and parent of the rows of a statement.

    Parameters
    ----------
    nodes : sequence of Node
        `leaf` is True for a row with documents under it, False for one that moved without any.
    first_holds_all : bool
        The first row is a warehouse, which contains what follows even if the sums disagree.

    Returns
    -------
    list of int
        Lines of totals whose sums do not add up; their contents were taken by position.
    """
    if depth_tells(nodes):
        by_depth(nodes)
        return []
    doubtful: list[int] = []
    tops: list[int] = []
    for index in range(len(nodes) - 1, -1, -1):
        node = nodes[index]
        taken = 0
        if node.leaf is not True:
            taken = children_by_sum(nodes, index, tops)
            if taken:
                node.leaf = False
            elif node.leaf is None:
                node.leaf = True
            else:
                doubtful.append(node.line)
                # Up to the next total: the leaves directly below belong to this row.
                holds_all = first_holds_all and index == 0
                for top in reversed(tops):
                    if nodes[top].outermost:
                        break
                    if not nodes[top].leaf and not holds_all and taken:
                        break
                    taken += 1
                    if not nodes[top].leaf and not holds_all:
                        break
        for _ in range(taken):
            nodes[tops.pop()].parent = index
        tops.append(index)
    return doubtful[::-1]
