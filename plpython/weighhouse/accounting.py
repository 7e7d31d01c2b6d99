"""Stock accounting of one item in one warehouse: FIFO layers, inventory periods, exposure.

Masses are whole grams, times are local wall-clock seconds (a calendar day is ``seconds // 86400``),
so everything up to the exposure terms is exact.

The terms make a prediction linear algebra. With g(t) = 1 - S(t) and the initial-equivalent mass
E = sum of m_k / g(t_k) over the mass changes of a batch (its opening mass, receipts, issues as
negative mass), the batch physically weighs E g(T) at the count and the book says sum m_k. Hence

    expected shortage = sum over k of m_k (1 - g(T_k) / g(t_k)),

which is the exact accounting of a batch, written so that a fit needs only four arrays.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from weighhouse.errors import BadOptions

__all__ = ["OPERATIONS", "Balance", "Period", "account_balance", "account_stock", "infer_opening"]

DAY = 86400
_EPOCH = datetime(1970, 1, 1)

# Rank at the same moment: what comes in, then what goes out, the count last.
_INCOMING, _OUTGOING, _COUNT = 1, 2, 3
OPERATIONS = {
    "opening": 0,
    "receipt": _INCOMING,
    "return": _INCOMING,
    "transfer_in": _INCOMING,
    "production": _INCOMING,
    "sale": _OUTGOING,
    "consumption": _OUTGOING,
    "transfer_out": _OUTGOING,
    "write_off": _OUTGOING,
    "regrading": _OUTGOING,
    "stock_take": _COUNT,
}


@dataclass(slots=True)
class Period:
    """What happened to the stock from one count to the next.

    Grams are whole numbers; times are local seconds; ages are fractional days.

    Attributes
    ----------
    start, end : int
        The opening and the closing count; of an open period the last movement.
    is_open : bool
        True when no count closes it.
    has_opening_count, has_closing_count : bool
        Whether a count stands at either side.
    opening_grams, incoming_grams, outgoing_grams, closing_grams : int
        Book mass: at the start, documented in, documented out, after the count. Without a count:
        the book. Stock-take documents are in none of the two middle ones.
    unallocated_grams : int
        What no layer could cover. Always opening + incoming - outgoing + difference + unallocated
        = closing.
    difference_grams : int or None
        Count minus book as posted; None while open.
    surplus_applied_grams : int
        What receipts brought beyond their documents by specification.
    loss_grams : int or None
        True loss, signed and without tolerance: surplus_applied - difference. What a fit wants.
    shortage_grams, surplus_grams : int or None
        The two sides of the true loss; 0 within tolerance; None while open.
    storage_days : int or None
        Mass-weighted calendar age at the end, rounded half up; None with nothing in stock.
    weighted_days : float or None
        The same, not rounded.
    kg_days : float
        Integral of the book over the period.
    pre_shrinkage_days : float or None
        Mass-weighted age at the start, days; None when nothing was there or ages are not known.
    fifo_principle_applied : bool
        False when an issue could not be covered or batches are not known.
    deduction_batch : int or None
        Batch (its time) the posted shortage was taken from first.
    flags : list of str
        negative_stock, age_capped, gap_between_periods, no_batch_ages.
    batch_sequence : list of dict
        {batch, received_at, opening, in, out, closing}, kg, oldest first; `batch` is the time as
        text, `received_at` local seconds; the stock-take is inside in and out.
    opening_batch, opening_layer_grams, closing_batch, closing_layer_grams : list of int
        Book layers at both ends (after the count), oldest first.
    term_mass, term_age_from, term_age_to : list of float
        Mass changes, kg, signed, physical (receipts with their surplus); age of the batch at the
        change and at the end of the period, days.
    term_is_receipt : list of bool
        Which are documented receipts, to which a surplus applies.
    """

    start: int
    end: int
    is_open: bool
    has_opening_count: bool
    has_closing_count: bool
    opening_grams: int
    incoming_grams: int
    outgoing_grams: int
    closing_grams: int
    unallocated_grams: int
    difference_grams: int | None
    surplus_applied_grams: int
    loss_grams: int | None
    shortage_grams: int | None
    surplus_grams: int | None
    storage_days: int | None
    weighted_days: float | None
    kg_days: float
    pre_shrinkage_days: float | None
    fifo_principle_applied: bool
    deduction_batch: int | None
    flags: list[str]
    batch_sequence: list[dict[str, Any]]
    opening_batch: list[int]
    opening_layer_grams: list[int]
    closing_batch: list[int]
    closing_layer_grams: list[int]
    term_mass: list[float]
    term_age_from: list[float]
    term_age_to: list[float]
    term_is_receipt: list[bool]


@dataclass(frozen=True, slots=True)
class Balance:
    """What an aggregated row says: one period without batches.

    Attributes are those of `Period`; masses in grams, `residual_grams` is opening + incoming -
    outgoing - closing (None when a side is unknown).
    """

    residual_grams: int | None
    difference_grams: int | None
    loss_grams: int | None
    shortage_grams: int | None
    surplus_grams: int | None
    kg_days: float
    storage_days: int
    flags: list[str]
    term_mass: list[float]
    term_age_from: list[float]
    term_age_to: list[float]
    term_is_receipt: list[bool]


# A layer is a list, for speed; these are its places.
_RECEIVED, _BOOK, _OPENING, _IN, _OUT, _LABEL = range(6)


def _open_layer(layers: list[list[Any]], head: int, received: int) -> tuple[list[Any], int]:
    """Find or make the layer of a batch; return it and the new head."""
    place = bisect_left(layers, received, key=lambda layer: layer[_RECEIVED])
    if place < len(layers) and layers[place][_RECEIVED] == received:
        layer = layers[place]
    else:
        layer = [received, 0, 0, 0, 0, ""]
        layers.insert(place, layer)
    return layer, min(head, place)


def _take(layers: list[list[Any]], head: int, grams: int) -> list[tuple[list[Any], int]]:
    """Take from the oldest layers; return from which, and how much of each."""
    taken = []
    for layer in layers[head:]:
        part = min(grams, layer[_BOOK])
        if part > 0:
            layer[_BOOK] -= part
            layer[_OUT] += part
            taken.append((layer, part))
            grams -= part
        if not grams:
            break
    return taken


def _post_count(
    layers: list[list[Any]], head: int, book: int, difference: int, end: int
) -> tuple[list[list[Any]], int, int | None, int]:
    """Post a stock-take; return layers, book, the first batch short, and what nothing covered."""
    if difference < 0:
        taken = _take(layers, head, -difference)
        short = sum(grams for _, grams in taken)
        deduction = taken[0][0][_RECEIVED] if taken else None
        return layers, book - short, deduction, -difference - short
    if difference:
        if not layers:
            layers = [[end, 0, 0, 0, 0, ""]]
        layers[-1][_BOOK] += difference
        layers[-1][_IN] += difference
    return layers, book + difference, None, 0


def _record(
    start: int,
    end: int,
    counted_before: bool,
    layers: list[list[Any]],
    opening: int,
    incoming: int,
    outgoing: int,
    book: int,
    unallocated: int,
    difference: int | None,
    deduction: int | None,
    applied: float,
    area: int,
    gap: bool,
    ages_known: bool,
    mass: list[float],
    age_from: list[float],
    received: list[int],
    receipts: list[int],
    tolerance_grams: int,
    max_age_days: int,
) -> Period:
    """Make the record of a period, from its book layers after the count; None: still open."""
    cap = max_age_days * DAY
    last_day = end // DAY
    sequence: list[dict[str, Any]] = []
    opening_batch: list[int] = []
    opening_layer: list[int] = []
    closing_batch: list[int] = []
    closing_layer: list[int] = []
    weighted = aged = 0
    capped = False
    for layer in layers:
        batch, left, at_start, came, went, label = layer
        if not label:
            label = layer[_LABEL] = (_EPOCH + timedelta(seconds=batch)).isoformat(sep=" ")
        sequence.append(
            {
                "batch": label,
                "received_at": batch,
                "opening": at_start / 1000,
                "in": came / 1000,
                "out": went / 1000,
                "closing": left / 1000,
            }
        )
        if at_start:
            opening_batch.append(batch)
            opening_layer.append(at_start)
            age = start - batch
            if age > cap:
                capped = True
                age = cap
            if age > 0:
                aged += at_start * age
        if left:
            closing_batch.append(batch)
            closing_layer.append(left)
            days = last_day - batch // DAY
            if days > max_age_days:
                capped = True
                days = max_age_days
            if days > 0:
                weighted += left * days
    flags: list[str] = []
    if unallocated:
        flags.append("negative_stock")
    if capped:
        flags.append("age_capped")
    if gap:
        flags.append("gap_between_periods")
    if not ages_known:
        flags.append("no_batch_ages")

    age_to = [(end - batch) / DAY for batch in received]
    if age_to and min(age_to) < 0.0:
        age_to = [age if age > 0.0 else 0.0 for age in age_to]
    if age_to and max(age_to) > max_age_days:
        top = float(max_age_days)
        for k, age_end in enumerate(age_to):
            if age_end > top:
                age_from[k] = max(0.0, age_from[k] - (age_end - top))
                age_to[k] = top
    is_receipt = [False] * len(mass)
    for k in receipts:
        is_receipt[k] = True
    surplus_grams = round(applied)
    loss = shortage = over = None
    if difference is not None:
        loss = surplus_grams - difference
        shortage = loss if loss > tolerance_grams else 0
        over = -loss if -loss > tolerance_grams else 0
    return Period(
        start,
        end,
        difference is None,
        counted_before,
        difference is not None,
        opening,
        incoming,
        outgoing,
        book,
        unallocated,
        difference,
        surplus_grams,
        loss,
        shortage,
        over,
        (2 * weighted + book) // (2 * book) if book else None,
        weighted / book if book else None,
        area / (1000 * DAY),
        aged / (opening * DAY) if opening and ages_known else None,
        not unallocated and ages_known,
        deduction,
        flags,
        sequence,
        opening_batch,
        opening_layer,
        closing_batch,
        closing_layer,
        [grams / 1000 for grams in mass],
        age_from,
        age_to,
        is_receipt,
    )


def account_stock(
    opening_batch: Sequence[int | None],
    opening_grams: Sequence[int],
    moved_at: Sequence[int],
    operation: Sequence[str],
    batch_at: Sequence[int | None],
    in_grams: Sequence[int],
    out_grams: Sequence[int],
    surplus: Sequence[float | None] | None = None,
    *,
    opened_at: int | None = None,
    opening_is_count: bool = True,
    tolerance_grams: int = 5,
    max_age_days: int = 365,
) -> list[Period]:
    """Split the movements of one item into inventory periods with FIFO layers and exposure.

    Receipts append a layer, a transfer in keeps its batch time, a return re-opens its batch, a
    stock-take surplus goes to the newest layer; all that goes out takes from the oldest. Counts of
    one calendar day are one count, at the time of the last.

    Parameters
    ----------
    opening_batch : sequence of int or None, shape (k,)
        When each opening layer was received, local seconds; None: not known.
    opening_grams : sequence of int, shape (k,)
        Its book mass, grams.
    moved_at : sequence of int, shape (n,)
        Local seconds of each movement; sorted here, stably, by time and by rank within a moment.
    operation : sequence of str, shape (n,)
        A key of `OPERATIONS`.
    batch_at : sequence of int or None, shape (n,)
        The batch that came in; None: received at `moved_at`. Not used for what goes out.
    in_grams, out_grams : sequence of int, shape (n,)
        A negative mass is a movement the other way (negative out: a return).
    surplus : sequence of float or None, shape (n,), optional
        Fraction that each receipt brings beyond its document (0.05 = 5 % more); None is 0.
    opened_at : int, optional
        Start of the first period; default the first movement.
    opening_is_count : bool
        Whether a count stands at the start of the first period.
    tolerance_grams : int
        A difference up to this counts as none.
    max_age_days : int
        Shelf life or the general cap. Ages beyond it are held there (the time that passes within
        the period is kept) and flagged age_capped.

    Returns
    -------
    list of Period
        Oldest first. What follows the last count is one open period, present when anything moved or
        is in stock.

    Raises
    ------
    BadOptions
        Lists of different length, or an unknown operation.

    References
    ----------
    Domain model 5.2-5.5; worked examples E04-E07, E10, E18.
    """
    n = len(moved_at)
    shares: Sequence[float | None] = [None] * n if surplus is None else surplus
    if len(opening_batch) != len(opening_grams) or any(
        len(column) != n for column in (operation, batch_at, in_grams, out_grams, shares)
    ):
        raise BadOptions(
            "movements come in columns of different length",
            hint="Aggregate all columns over the same rows.",
        )
    if n == 0 and not any(opening_grams):
        return []
    try:
        ranks = [OPERATIONS[op] for op in operation]
    except KeyError as exc:
        raise BadOptions(
            f"unknown operation {exc.args[0]!r}", hint=f"Use one of {', '.join(OPERATIONS)}."
        ) from None
    if n and ("regrading" in operation or min(in_grams) < 0 or min(out_grams) < 0):
        # A regrading can go either way, and a negative mass turns around.
        for place, (rank, came, went) in enumerate(zip(ranks, in_grams, out_grams, strict=True)):
            if rank == _OUTGOING and (came > 0 or went < 0):
                ranks[place] = _INCOMING
            elif rank == _INCOMING and came < 0:
                ranks[place] = _OUTGOING
    keys = [time * 4 + rank for time, rank in zip(moved_at, ranks, strict=True)]
    rows: Iterable[tuple[int, int, str, int | None, int, int, float | None]]
    rows = zip(moved_at, ranks, operation, batch_at, in_grams, out_grams, shares, strict=True)
    if sorted(keys) != keys:
        order = sorted(range(n), key=keys.__getitem__)
        keys.sort()
        unordered = list(rows)
        rows = [unordered[i] for i in order]

    # The last count of each calendar day closes a period.
    closing_days = [key // (4 * DAY) for key in keys if key & 3 == _COUNT]
    closing_days.append(-1)
    next_count = 0

    first = keys[0] // 4 if keys else opened_at or 0
    start = first if opened_at is None else min(opened_at, first)
    layers: list[list[Any]] = []
    head = 0
    ages_known = True
    for batch, grams in zip(opening_batch, opening_grams, strict=True):
        if batch is None:
            ages_known = False
            batch = start
        if grams > 0:
            layer, head = _open_layer(layers, head, batch)
            layer[_BOOK] += grams
            layer[_OPENING] += grams
    book = sum(layer[_BOOK] for layer in layers)

    periods: list[Period] = []
    counted_before = opening_is_count
    opening = book
    incoming = outgoing = unallocated = pending = 0
    applied = 0.0
    area = 0
    now = start
    gap = moved = False
    mass: list[float] = [layer[_BOOK] for layer in layers]
    age_from: list[float] = [max(0.0, (start - layer[_RECEIVED]) / DAY) for layer in layers]
    received: list[int] = [layer[_RECEIVED] for layer in layers]
    receipts: list[int] = []
    # The last term, while another of the same batch and moment can join it.
    last_layer: list[Any] | None = None
    last_time = start
    # Book that an opening balance in mid-stream has not confirmed yet.
    unconfirmed = 0
    stated_at: int | None = None

    for time, rank, op, batch, came, went, share in rows:
        if time != now:
            area += book * (time - now)
            now = time
        moved = True
        if stated_at is not None and (rank or time != stated_at):
            for layer, part in _take(layers, head, unconfirmed):
                gap = gap or unconfirmed > tolerance_grams
                book -= part
                outgoing += part
                mass.append(-part)
                age_from.append(max(0.0, (stated_at - layer[_RECEIVED]) / DAY))
                received.append(layer[_RECEIVED])
            stated_at = last_layer = None
        if rank == _COUNT:
            pending += came - went
            next_count += 1
            if closing_days[next_count] == time // DAY:
                continue
            layers, book, deduction, missing = _post_count(layers, head, book, pending, time)
            unallocated += missing
            periods.append(
                _record(
                    start, time, counted_before, layers, opening, incoming, outgoing, book,
                    unallocated, pending, deduction, applied, area, gap, ages_known,
                    mass, age_from, received, receipts, tolerance_grams, max_age_days,
                )
            )  # fmt: skip
            # The next period starts from what the count left.
            layers = [layer for layer in layers if layer[_BOOK]]
            for layer in layers:
                layer[_OPENING] = layer[_BOOK]
                layer[_IN] = layer[_OUT] = 0
            head = 0
            start = time
            opening = book
            incoming = outgoing = unallocated = pending = area = 0
            applied = 0.0
            gap = moved = False
            counted_before = True
            received = [layer[_RECEIVED] for layer in layers]
            mass = [layer[_BOOK] for layer in layers]
            age_from = [(start - batch) / DAY if start > batch else 0.0 for batch in received]
            receipts = []
            last_layer = None
            ages_known = ages_known or not layers
            continue
        if went < 0:
            came -= went
            went = 0
            op = "return"
        if came < 0:
            went -= came
            came = 0
        if came:
            if op == "opening" and (periods or incoming or outgoing or opening_grams):
                # A balance stated in mid-stream: only what differs from the book is a change.
                if stated_at is None:
                    stated_at, unconfirmed = time, book
                known = min(came, unconfirmed)
                unconfirmed -= known
                came -= known
                if not came:
                    continue
                gap = gap or came > tolerance_grams
            if batch is None:
                batch = layers[-1][_RECEIVED] if op == "return" and layers else time
            if layers and layers[-1][_RECEIVED] < batch:
                layer = [batch, 0, 0, 0, 0, ""]
                layers.append(layer)
            else:
                layer, head = _open_layer(layers, head, batch)
            layer[_BOOK] += came
            book += came
            physical: float = came
            if op == "opening" and stated_at is None:
                layer[_OPENING] += came
                opening += came
            else:
                layer[_IN] += came
                incoming += came
            if op == "receipt":
                if share:
                    physical = came * (1.0 + share)
                    applied += came * share
                receipts.append(len(mass))
            mass.append(physical)
            age_from.append((time - batch) / DAY if time > batch else 0.0)
            received.append(batch)
            last_layer = None
        if went:
            outgoing += went
            while True:
                if head == len(layers):
                    unallocated += went
                    break
                layer = layers[head]
                left = layer[_BOOK]
                take = went if went < left else left
                if take:
                    layer[_BOOK] = left - take
                    layer[_OUT] += take
                    book -= take
                    if layer is last_layer and time == last_time:
                        mass[-1] -= take
                    else:
                        received_at = layer[_RECEIVED]
                        mass.append(-take)
                        age_from.append((time - received_at) / DAY if time > received_at else 0.0)
                        received.append(received_at)
                        last_layer = layer
                        last_time = time
                if take == left:
                    head += 1
                went -= take
                if not went:
                    break
    if moved or book:
        periods.append(
            _record(
                start, now, counted_before, layers, opening, incoming, outgoing, book,
                unallocated, None, None, applied, area, gap, ages_known,
                mass, age_from, received, receipts, tolerance_grams, max_age_days,
            )
        )  # fmt: skip
    return periods


def infer_opening(
    moved_at: Sequence[int],
    operation: Sequence[str],
    batch_at: Sequence[int | None],
    in_grams: Sequence[int],
    out_grams: Sequence[int],
) -> tuple[list[int | None], list[int]]:
    """Tell the least opening stock that explains what was issued.

    For files that hold movements but no balances. Where rows that go out name their batch, each
    batch must have held what left it before anything came in; the rest has no known batch. Where
    the rows state an opening themselves there is nothing to infer.

    Parameters
    ----------
    moved_at, operation, batch_at, in_grams, out_grams : sequences of shape (n,)
        As for `account_stock`, with `batch_at` of outgoing rows meant too.

    Returns
    -------
    batch : list of int or None
        When each opening layer was received, oldest first; None (last): not known.
    grams : list of int
        Its mass, grams.

    Raises
    ------
    BadOptions
        An unknown operation.
    """
    try:
        order = sorted(
            range(len(moved_at)), key=lambda i: moved_at[i] * 4 + OPERATIONS[operation[i]]
        )
    except KeyError as exc:
        raise BadOptions(
            f"unknown operation {exc.args[0]!r}", hint=f"Use one of {', '.join(OPERATIONS)}."
        ) from None
    if "opening" in operation:
        return [], []
    running: dict[int | None, int] = {}
    deficit: dict[int | None, int] = {}
    for i in order:
        net = in_grams[i] - out_grams[i]
        batch = batch_at[i]
        if batch is None and net > 0 and operation[i] != "stock_take":
            batch = moved_at[i]
        running[batch] = running.get(batch, 0) + net
        deficit[batch] = min(deficit.get(batch, 0), running[batch])
    if None in deficit:
        # A row without a batch may take from any: only what all together lack is unknown.
        total = lowest = 0
        known = sum(-grams for batch, grams in deficit.items() if batch is not None)
        for i in order:
            total += in_grams[i] - out_grams[i]
            lowest = min(lowest, total)
        deficit[None] = min(0, lowest + known)
    layers = sorted(
        ((batch, -grams) for batch, grams in deficit.items() if grams < 0),
        key=lambda layer: (layer[0] is None, layer[0] or 0),
    )
    return [batch for batch, _ in layers], [grams for _, grams in layers]


def account_balance(
    opening_grams: int | None,
    incoming_grams: int,
    outgoing_grams: int,
    closing_grams: int | None,
    days: float,
    *,
    tolerance_grams: int = 5,
    surplus: float = 0.0,
) -> Balance:
    """Account for one aggregated row whose closing balance is the count.

    No batch is known: the opening mass is taken at age 0 to `days`, what came in at mid-period (age
    0 to days / 2), what went out at mid-period too (age days / 2 to days).

    Parameters
    ----------
    opening_grams, closing_grams : int or None
        None: the file did not say; then there is no difference (and an opening counts as 0).
    incoming_grams, outgoing_grams : int
        A negative outgoing is a return, thus incoming.
    days : float
        Length of the period, days.
    tolerance_grams : int
        A difference up to this counts as none.
    surplus : float
        Fraction that receipts bring beyond their documents.

    Returns
    -------
    Balance
        With flag no_batch_ages.

    Raises
    ------
    BadOptions
        A negative or non-finite length.

    References
    ----------
    Domain model 5.2, 5.4 (last line); worked examples E01, E03, E18.
    """
    if not 0 <= days < float("inf"):
        raise BadOptions(f"a period cannot last {days} days", hint="Give its length in days.")
    if outgoing_grams < 0:
        incoming_grams -= outgoing_grams
        outgoing_grams = 0
    opening = opening_grams or 0
    applied = round(incoming_grams * surplus)
    book = opening + incoming_grams - outgoing_grams
    known = opening_grams is not None and closing_grams is not None
    residual = book - closing_grams if known and closing_grams is not None else None
    loss = residual + applied if residual is not None else None
    missing = 0 if loss is None or abs(loss) <= tolerance_grams else loss
    half = days / 2
    terms = [
        (opening / 1000, 0.0, days, False),
        (incoming_grams * (1.0 + surplus) / 1000, 0.0, half, True),
        (-outgoing_grams / 1000, half, days, False),
    ]
    terms = [term for term in terms if term[0]]
    end = closing_grams if closing_grams is not None else book
    return Balance(
        residual_grams=residual,
        difference_grams=None if residual is None else -residual,
        loss_grams=loss,
        shortage_grams=None if loss is None else max(0, missing),
        surplus_grams=None if loss is None else max(0, -missing),
        kg_days=max(0.0, (opening + max(book, end)) / 2000 * days),
        storage_days=int(days + 0.5),
        flags=["no_batch_ages"],
        term_mass=[term[0] for term in terms],
        term_age_from=[term[1] for term in terms],
        term_age_to=[term[2] for term in terms],
        term_is_receipt=[term[3] for term in terms],
    )
