"""Old chunks are compressed and dropped as rows say; days, weeks and months are summed once."""

from dataclasses import dataclass

from loader.schema import run

revision = "0011"
down_revision = "0010"


@dataclass(frozen=True)
class Figure:
    """One column of an aggregate: its expression over the source (s), and how days make a week."""

    name: str
    type: str
    expression: str
    comment: str
    combine: str = "sum"  # sum, first or last


@dataclass(frozen=True)
class Subject:
    """What is summed: a hypertable, the keys, the zone of its days, the figures."""

    name: str
    title: str
    table: str
    at: str  # its time column
    keys: dict[str, str]
    zone: str
    zone_join: str
    figures: tuple[Figure, ...]
    where: str = "true"
    # A count at midnight closes the day before.
    shift: str = ""
    may_be_dropped: bool = False

    @property
    def key_names(self) -> list[str]:
        return list(self.keys)

    def local(self, grain: str, zone: str, moment: str) -> str:
        return (
            f"date_trunc('{grain}', {moment} at time zone {zone}{self.shift}) at time zone {zone}"
        )

    @property
    def day(self) -> str:
        return self.local("day", self.zone, f"s.{self.at}")


def total(condition: str, expression: str) -> str:
    return f"coalesce(sum({expression}) filter (where {condition}), 0)"


DOCUMENTED = "s.operation not in ('opening', 'stock_take')"
SOUND = "s.data_quality_flag <> 'filtered' and s.inventory_shrinkage_total is not null"
ERROR = "(s.actual::numeric - s.forecast::numeric)"
WAREHOUSE = "inner join core.warehouses as z on z.id = {}.warehouse_id"
VERSION = "inner join core.model_versions as v on v.id = {}.version_id inner join core.model_definition as z on z.name = v.model"

ITEM_KEYS = {"nomenclature_id": "The product.", "warehouse_id": "The warehouse."}
SUBJECTS = (
    Subject(
        "movement", "what moved of a product in a warehouse", "stock_movements", "posted_at", ITEM_KEYS,
        "z.time_zone", WAREHOUSE,
        (
            Figure("movement_count", "bigint", "count(*)", "Movements."),
            Figure("incoming_kg", "numeric", total(DOCUMENTED, "s.in_kg"), "Came in on documents, kg (opening balances and stock-takes not included)."),
            Figure("outgoing_kg", "numeric", total(DOCUMENTED, "s.out_kg"), "Went out on documents, kg (stock-takes not included)."),
            Figure("received_kg", "numeric", total("s.operation = 'receipt'", "s.in_kg - s.out_kg"), "Of what came in: receipts, kg."),
            Figure("sold_kg", "numeric", total("s.operation in ('sale', 'return')", "s.out_kg - s.in_kg"), "Of what went out: sales less returns, kg."),
            Figure("written_off_kg", "numeric", total("s.operation = 'write_off'", "s.out_kg - s.in_kg"), "Of what went out: written off, kg."),
            Figure("transferred_in_kg", "numeric", total("s.operation = 'transfer_in'", "s.in_kg - s.out_kg"), "Of what came in: from other warehouses, kg."),
            Figure("transferred_out_kg", "numeric", total("s.operation = 'transfer_out'", "s.out_kg - s.in_kg"), "Of what went out: to other warehouses, kg."),
            Figure("opening_kg", "numeric", total("s.operation = 'opening'", "s.in_kg - s.out_kg"), "Opening balances entered, kg."),
            Figure("found_kg", "numeric", total("s.operation = 'stock_take'", "s.in_kg"), "Stock-takes found too much, kg."),
            Figure("missing_kg", "numeric", total("s.operation = 'stock_take'", "s.out_kg"), "Stock-takes found missing, kg."),
        ),
    ),
    Subject(
        "period", "the inventory periods of a product that a count closed in a warehouse", "calculation_data", "calculation_date", ITEM_KEYS,
        "z.time_zone", WAREHOUSE,
        (
            Figure("period_count", "bigint", "count(*)", "Inventory periods that a count closed."),
            Figure("opening_kg", "numeric", "(array_agg(s.initial_balance order by s.calculation_date, s.inventory_period_start, s.id))[1]",
                   "Book at the start of the first of them, kg; NULL = not known.", "first"),
            Figure("incoming_kg", "numeric", "sum(s.incoming)", "Came in on documents over these periods, kg."),
            Figure("outgoing_kg", "numeric", "sum(s.outgoing)", "Went out on documents over these periods, kg."),
            Figure("closing_kg", "numeric", "(array_agg(s.final_balance order by s.calculation_date desc, s.inventory_period_start desc, s.id desc))[1]",
                   "Mass at the last count, kg; NULL = not known.", "last"),
            Figure("difference_kg", "numeric", "coalesce(sum(s.difference_kg), 0)", "Counted less book, kg."),
            Figure("review_count", "bigint", "count(*) filter (where s.manual_review_required)", "Of these, periods a person should look at."),
            Figure("sound_count", "bigint", f"count(*) filter (where {SOUND})", "Of these, periods that nothing critical is wrong with: shrinkage is reckoned of them."),
            Figure("shortage_kg", "numeric", total(SOUND, "s.inventory_shrinkage_total"), "Missing at their counts, kg."),
            Figure("surplus_kg", "numeric", total(SOUND, "s.surplus_kg"), "Too much at their counts, kg."),
            Figure("available_kg", "numeric", total(SOUND, "s.initial_balance + s.incoming + s.surplus_applied_kg"), "Opening plus incoming of them, kg."),
            # Sums of numeric do not depend on the order of the rows, sums of float8 do.
            Figure("kg_days", "numeric", total(SOUND, "s.kg_days::numeric"), "Exposure of them, kg x days."),
        ),
        "s.mode <> 'open'",
        " - interval '1 second'",
    ),
    Subject(
        "forecast", "what a version forecast for a series", "forecast_ledger", "target_time",
        {"version_id": "The version that forecast.", "series_id": "The series."},
        "coalesce(z.grid ->> 'zone', 'UTC')", VERSION,
        (
            Figure("forecast_count", "bigint", "count(*)", "Forecasts."),
            Figure("actual_count", "bigint", "count(s.actual)", "Of these, with an actual value."),
            Figure("forecast_sum", "numeric", "sum(s.forecast::numeric)", "Sum of the forecasts, unit of the series."),
            Figure("forecast_with_actual_sum", "numeric", total("s.actual is not null", "s.forecast::numeric"), "Sum of the forecasts with an actual value."),
            Figure("actual_sum", "numeric", "coalesce(sum(s.actual::numeric), 0)", "Sum of the actual values."),
            Figure("absolute_actual_sum", "numeric", "coalesce(sum(abs(s.actual::numeric)), 0)", "Sum of |actual|."),
            Figure("error_sum", "numeric", f"coalesce(sum{ERROR}, 0)", "Sum of actual - forecast; above 0 = forecast too low."),
            Figure("absolute_error_sum", "numeric", f"coalesce(sum(abs{ERROR}), 0)", "Sum of |actual - forecast|."),
            Figure("squared_error_sum", "numeric", f"coalesce(sum({ERROR} * {ERROR}), 0)", "Sum of (actual - forecast)^2."),
            Figure("inside_80_count", "bigint", "count(*) filter (where s.actual between s.lower_80 and s.upper_80)", "Actual values inside the 80 % interval."),
            Figure("inside_95_count", "bigint", "count(*) filter (where s.actual between s.lower_95 and s.upper_95)", "Actual values inside the 95 % interval."),
        ),
        may_be_dropped=True,
    ),
)  # fmt: skip
GRAINS = ("day", "week", "month")
STORE_MOVEMENT = ("movement_count", "incoming_kg", "outgoing_kg", "received_kg", "sold_kg", "written_off_kg", "transferred_in_kg",
                  "transferred_out_kg", "opening_kg", "found_kg", "missing_kg")  # fmt: skip
STORE_PERIOD = (
    "period_count",
    "review_count",
    "sound_count",
    "shortage_kg",
    "surplus_kg",
    "available_kg",
    "kg_days",
)


def columns(names: list[str], alias: str = "") -> str:
    dot = f"{alias}." if alias else ""
    return ", ".join(f"{dot}{name}" for name in names)


def figure_names(subject: Subject) -> list[str]:
    return [f.name for f in subject.figures]


def same(names: list[str], left: str, right: str) -> str:
    return " and ".join(f"{left}.{name} = {right}.{name}" for name in names)


def combined(figure: Figure, alias: str, order: str) -> str:
    """Make one figure of several, of the days of a week or the two parts of a day."""
    name = f"{alias}.{figure.name}"
    if figure.combine == "sum":
        return f"sum({name})::{figure.type} as {figure.name}"
    direction = " desc" if figure.combine == "last" else ""
    return f"(array_agg({name} order by {alias}.{order}{direction}))[1] as {figure.name}"


def described(relation: str, what: str, subject: Subject, grain: str, kind: str = "view") -> str:
    """Comment on a relation of an aggregate and on its columns."""
    lines = [f"comment on {kind} {relation} is '{what}';"]
    texts = {"time": f"Start of the {grain} in its zone; a week starts on Monday."} | subject.keys
    texts |= {f.name: f.comment for f in subject.figures}
    lines += [f"comment on column {relation}.{name} is '{text}';" for name, text in texts.items()]
    return "\n".join(lines)


# A day, week or month that has a moment in it starts so long before it, at most, and not after it; two hours for the clock
# that was put back at its very start. No zone is asked: whoever reads sums a day too many rather than look one up.
BACK = {"day": "26 hours", "week": "172 hours", "month": "748 hours"}


def pending_view(subject: Subject) -> str:
    """Between which times the days, weeks and months start that must be summed anew."""
    name, keys = subject.name, subject.key_names
    bounds = {f"{g}_from": f"p.from_time - interval '{back}'" for g, back in BACK.items()}
    bounds |= {f"{grain}_to": "p.to_time + interval '2 hours'" for grain in GRAINS}
    source = "core.rollup_pending as p"
    if subject.may_be_dropped:
        # What was dropped cannot be summed again: such days stay as they were.
        bounds["day_from"] = f"greatest({bounds['day_from']}, y.kept_from)"
        bounds["day_to"] = f"greatest({bounds['day_to']}, y.kept_from)"
        source += f"""
left join (
    select t.dropped_before + interval '24 hours' as kept_from
    from core.storage_policy as t
    where t.table_name = 'core.{subject.table}' and t.dropped_before is not null
) as y on true"""
    for end in ("day_from", "day_to"):
        bounds[end] = f"case when p.is_stored then 'infinity' else {bounds[end]} end"
    comments = {"id": "Key in core.rollup_pending."} | subject.keys | {"must_rebuild": "As in core.rollup_pending."}  # fmt: skip
    comments |= {f"{grain}_from": f"Each {grain} concerned starts at this time or later." for grain in GRAINS}  # fmt: skip
    comments |= {f"{grain}_to": f"Each {grain} concerned starts before this time." for grain in GRAINS}  # fmt: skip
    texts = [f"p.key_1 as {keys[0]}", f"p.key_2 as {keys[1]}", "p.must_rebuild", *(f"{e} as {n}" for n, e in bounds.items())]  # fmt: skip
    return f"""
create view core.{name}_pending as
select p.id, {", ".join(texts)}
from {source}
where p.source = '{name}';
comment on view core.{name}_pending is 'Holds which days, weeks and months of each key changed in core.{subject.table} since they were last summed.';
""" + "\n".join(f"comment on column core.{name}_pending.{c} is '{text}';" for c, text in comments.items())  # fmt: skip


def ranges(subject: Subject, grain: str) -> str:
    """Pending ranges of each key without overlap, so that no row counts twice."""
    keys = subject.key_names
    return f"""(
    select {columns(keys, "q")}, lower(r.span) as from_time, upper(r.span) as to_time
    from (
        select {columns(keys, "p")}, range_agg(tstzrange(p.{grain}_from, p.{grain}_to)) as spans
        from core.{subject.name}_pending as p
        group by {columns(keys, "p")}
    ) as q
    cross join lateral unnest(q.spans) as r (span)
) as p"""


def live_view(subject: Subject, grain: str) -> str:
    """Sum the pending days of the source, or the pending weeks and months of the days."""
    name, keys = subject.name, subject.key_names
    relation = f"core.{name}_{grain}_live"
    if grain == "day":
        body = f"""
select {subject.day} as time, {columns(keys, "s")}, {", ".join(f"{f.expression} as {f.name}" for f in subject.figures)}
from {ranges(subject, grain)}
-- Wider than the days, for the index; the days themselves are cut out below.
inner join core.{subject.table} as s on {same(keys, "s", "p")}
    and s.{subject.at} >= p.from_time - interval '2 hours' and s.{subject.at} <= p.to_time + interval '28 hours'
{subject.zone_join.format("s")}
where {subject.where}
    -- What is pending in all, for the index and the chunks: a join tells them nothing of times.
    and s.{subject.at} >= (select min(a.from_time) from core.rollup_pending as a where a.source = '{name}' and not a.is_stored) - interval '28 hours'
    and s.{subject.at} <= (select max(a.to_time) from core.rollup_pending as a where a.source = '{name}' and not a.is_stored) + interval '30 hours'
    and {subject.day} >= p.from_time and {subject.day} < p.to_time
group by {subject.day}, {columns(keys, "s")}"""
    else:
        unit = (
            f"date_trunc('{grain}', s.time at time zone {subject.zone}) at time zone {subject.zone}"
        )
        body = f"""
select {unit} as time, {columns(keys, "s")}, {", ".join(combined(f, "s", "time") for f in subject.figures)}
from {ranges(subject, grain)}
cross join lateral (
    -- Kept apart from the join (offset), so that the keys get down to the index of what is stored.
    select * from core.{name}_day as d where {same(keys, "d", "p")}
        and d.time >= p.from_time - interval '2 hours' and d.time < p.to_time + interval '{BACK[grain]}' offset 0
) as s
{subject.zone_join.format("s")}
-- Whole ones alone.
where {unit} >= p.from_time and {unit} < p.to_time
group by {unit}, {columns(keys, "s")}"""
    return f"create view {relation} as{body};\n" + described(
        relation, f"Sums {subject.title} each {grain}, where that changed since it was last summed.", subject, grain
    )  # fmt: skip


def whole_view(subject: Subject, grain: str) -> str:
    """Give what is stored where nothing changed, and sums made now where something did."""
    name, keys = subject.name, subject.key_names
    relation, names = f"core.{name}_{grain}", ["time", *keys, *figure_names(subject)]
    return f"""
create view {relation} as
select {columns(names, "s")}
from {relation}_stored as s
where not exists (
    select from core.{name}_pending as p
    where {same(keys, "p", "s")} and s.time >= p.{grain}_from and s.time < p.{grain}_to
)
union all
select {columns(names, "l")} from {relation}_live as l;
""" + described(relation, f"Holds {subject.title}, each {grain}; always as the source says now.", subject, grain)  # fmt: skip


def stored_table(subject: Subject, grain: str) -> str:
    name, keys = subject.name, subject.key_names
    relation = f"core.{name}_{grain}_stored"
    figures = ", ".join(f"{f.name} {f.type}" for f in subject.figures)
    finite = ", ".join(f"abs({f.name})" for f in subject.figures if f.type == "numeric")
    return f"""
create table {relation} (
    time timestamptz not null, {", ".join(f"{key} int not null" for key in keys)}, {figures},
    primary key ({columns(keys)}, time),
    constraint figures_are_finite check (greatest({finite}) < 'infinity')
);
create index {name}_{grain}_stored_time_idx on {relation} ({keys[-1] if name != "forecast" else keys[0]}, time);
comment on index core.{name}_{grain}_stored_time_idx is 'Usage: some {grain}s of all of a {"version" if name == "forecast" else "warehouse"}.';
""" + described(relation, f"Holds {subject.title}, each {grain}, as last summed; read core.{name}_{grain}.", subject, grain, "table")  # fmt: skip


def stored_continuous(subject: Subject) -> str:
    """The same days of a continuous aggregate: UTC days by local days, added up by a view."""
    name, keys = subject.name, subject.key_names
    relation = f"core.{name}_day_stored"
    figures = ", ".join(f"{f.expression} as {f.name}" for f in subject.figures)
    inner = described(f"core.{name}_day_utc", f"Sums {subject.title}, each part of a local day that lies in one day of UTC; read core.{name}_day.", subject, "day")  # fmt: skip
    return f"""
create materialized view core.{name}_day_utc
with (timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.create_group_indexes = false) as
select public.time_bucket(interval '1 day', s.{subject.at}) as bucket, {subject.day} as time, {columns(keys, "s")}, {figures}
from core.{subject.table} as s
{subject.zone_join.format("s")}
where {subject.where}
group by 1, 2, {columns(keys, "s")}
with no data;
alter materialized view core.{name}_day_utc owner to weighhouse_owner;
create index {name}_day_utc_key_idx on core.{name}_day_utc ({columns(keys)}, time);
create index {name}_day_utc_time_idx on core.{name}_day_utc ({keys[-1] if name != "forecast" else keys[0]}, time);
{inner}
comment on column core.{name}_day_utc.bucket is 'Start of the day of UTC.';
create view {relation} as
select s.time, {columns(keys, "s")}, {", ".join(combined(f, "s", "bucket") for f in subject.figures)}
from core.{name}_day_utc as s
group by s.time, {columns(keys, "s")};
""" + described(relation, f"Holds {subject.title}, each day, as last summed; read core.{name}_day.", subject, "day")  # fmt: skip


def triggers(subject: Subject) -> str:
    """Note which keys changed and when, whatever the edition: one row a key and statement."""
    name, keys, at = subject.name, subject.key_names, subject.at
    names = ", ".join(f"s.{key}" for key in keys)
    into = "insert into core.rollup_pending (source, key_1, key_2, from_time, to_time)"
    body = f"{into}\n    select '{name}', {names}, min(s.{at}), max(s.{at})\n    from {{}} as s\n    where {subject.where}\n    group by {names};"
    used = sorted(set(_source_columns(subject)))
    listed = ", ".join(f"c.{c}" for c in used)
    changed = f"((select {listed} from was as c except all select {listed} from becomes as c) union all (select {listed} from becomes as c except all select {listed} from was as c))"
    function = f"core.note_{name}_change"
    return f"""
create function {function}()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        {body.format("becomes")}
    elsif tg_op = 'DELETE' then
        {body.format("was")}
    elsif tg_op = 'UPDATE' then
        {body.format(changed)}
    else
        {into}
        select distinct '{name}', {names}, timestamptz '-infinity', timestamptz 'infinity' from core.{name}_day_stored as s;
    end if;
    return null;
end
$$;
comment on function {function}() is 'Notes for which keys, and between which times, core.{subject.table} changed in a way its sums would tell. Trigger function.';
revoke all on function {function}() from public;
create trigger note_insert after insert on core.{subject.table} referencing new table as becomes for each statement execute function {function}();
create trigger note_update after update on core.{subject.table} referencing old table as was new table as becomes for each statement execute function {function}();
create trigger note_delete after delete on core.{subject.table} referencing old table as was for each statement execute function {function}();
create trigger note_truncate after truncate on core.{subject.table} for each statement execute function {function}();
-- TimescaleDB allows no such trigger on deletes of a table with a columnstore: there each row is noted by itself.
create function core.note_{subject.table}_row()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    {into} values ('{name}', {", ".join(f"old.{key}" for key in keys)}, old.{at}, old.{at});
    return null;
end
$$;
comment on function core.note_{subject.table}_row() is 'Notes that a row of core.{subject.table} was deleted, where it has a columnstore. Trigger function.';
revoke all on function core.note_{subject.table}_row() from public;
-- What is there already.
{body.format("core." + subject.table)}
"""


def _source_columns(subject: Subject) -> list[str]:
    """Columns of the source that the figures, keys and times are made of."""
    import re

    text = " ".join([*(f.expression for f in subject.figures), subject.where, f"s.{subject.at}"])
    text += " " + columns(subject.key_names, "s")
    return re.findall(r"\bs\.([a-z_0-9]+)", text)


def store_views() -> str:
    """Sum a warehouse and product type, of the days of its products."""
    subjects = {s.name: s for s in SUBJECTS}
    moved = [f for f in subjects["movement"].figures if f.name in STORE_MOVEMENT]
    counted = [f for f in subjects["period"].figures if f.name in STORE_PERIOD]
    both = moved + counted

    def arm(source: str, mine: list[Figure]) -> str:
        texts = [f"s.{f.name}" if f in mine else f"0::{f.type} as {f.name}" for f in both]
        return f"""select s.time, s.warehouse_id, n.product_type, {", ".join(texts)}
    from p
    cross join lateral (
        select * from core.{source}_day as d where d.warehouse_id = p.warehouse_id and d.time >= p.from_time and d.time < p.to_time offset 0
    ) as s
    inner join core.nomenclature as n on n.id = s.nomenclature_id"""

    finite = ", ".join(f"abs({f.name})" for f in both if f.type == "numeric")
    store = Subject("store", "what moved and was counted in a warehouse of a type of product", "", "",
                    {"warehouse_id": "The warehouse.", "product_type": "The type of the products, as it is now."}, "", "", tuple(both))  # fmt: skip
    names = columns(["time", "warehouse_id", "product_type", *(f.name for f in both)], "s")
    return f"""
create table core.store_day_stored (
    time timestamptz not null, warehouse_id int not null, product_type text not null, {", ".join(f"{f.name} {f.type}" for f in both)},
    primary key (warehouse_id, time, product_type),
    constraint figures_are_finite check (greatest({finite}) < 'infinity')
);
{described("core.store_day_stored", f"Holds {store.title}, each day, as last summed; read core.store_day.", store, "day", "table")}
create view core.store_pending as
-- All days that changed, also those whose own sums are stored again already.
select p.id, p.key_2 as warehouse_id, p.from_time - interval '{BACK["day"]}' as day_from, p.to_time + interval '2 hours' as day_to
from core.rollup_pending as p
where p.source in ('movement', 'period');
comment on view core.store_pending is 'Holds the days of each warehouse in which something changed since they were last summed.';
comment on column core.store_pending.id is 'Key in core.rollup_pending.';
comment on column core.store_pending.warehouse_id is 'The warehouse.';
comment on column core.store_pending.day_from is 'Each day concerned starts at this time or later.';
comment on column core.store_pending.day_to is 'Each day concerned starts before this time.';
create view core.store_day_live as
with p as (
    select q.warehouse_id, lower(r.span) as from_time, upper(r.span) as to_time
    from (
        select p.warehouse_id, range_agg(tstzrange(p.day_from, p.day_to)) as spans from core.store_pending as p group by p.warehouse_id
    ) as q
    cross join lateral unnest(q.spans) as r (span)
)
select s.time, s.warehouse_id, s.product_type, {", ".join(f"sum(s.{f.name})::{f.type} as {f.name}" for f in both)}
from (
    {arm("movement", moved)}
    union all
    {arm("period", counted)}
) as s
group by s.time, s.warehouse_id, s.product_type;
{described("core.store_day_live", f"Sums {store.title}, each day, where that changed since it was last summed.", store, "day")}
create view core.store_day as
select {names}
from core.store_day_stored as s
where not exists (
    select from core.store_pending as p where p.warehouse_id = s.warehouse_id and s.time >= p.day_from and s.time < p.day_to
)
union all
select {names} from core.store_day_live as s;
{described("core.store_day", f"Holds {store.title}, each day; always as the source says now.", store, "day")}
"""


# A table whose change moves days or types without any fact changing: when that is, and which rows of which aggregate.
DIMENSIONS = (
    ("warehouses", "time_zone", "b.time_zone is distinct from a.time_zone", "movement", "s.warehouse_id = b.id"),
    ("warehouses", "time_zone", "b.time_zone is distinct from a.time_zone", "period", "s.warehouse_id = b.id"),
    ("nomenclature", "product_type", "b.product_type is distinct from a.product_type", "movement", "s.nomenclature_id = b.id"),
    ("nomenclature", "product_type", "b.product_type is distinct from a.product_type", "period", "s.nomenclature_id = b.id"),
    ("model_definition", "grid", "b.grid ->> 'zone' is distinct from a.grid ->> 'zone'", "forecast",
     "s.version_id in (select v.id from core.model_versions as v where v.model = b.name)"),
)  # fmt: skip


def dimension_triggers() -> str:
    text = ""
    for table in dict.fromkeys(d[0] for d in DIMENSIONS):
        mine = [d for d in DIMENSIONS if d[0] == table]
        key = "name" if table == "model_definition" else "id"
        statements = "\n".join(
            f"""    insert into core.rollup_pending (source, key_1, key_2, from_time, to_time, must_rebuild)
    select distinct '{source}', {columns(next(s for s in SUBJECTS if s.name == source).key_names, "s")}, timestamptz '-infinity', timestamptz 'infinity', {str(column != "product_type").lower()}
    from becomes as b
    inner join was as a on a.{key} = b.{key}
    inner join core.{source}_day_stored as s on {condition}
    where {differs};"""
            for _, column, differs, source, condition in mine
        )
        text += f"""
create function core.note_{table}_change()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
{statements}
    return null;
end
$$;
comment on function core.note_{table}_change() is 'Notes that everything of a row of core.{table} must be summed again, since {mine[0][1]} changed. Trigger function.';
revoke all on function core.note_{table}_change() from public;
create trigger note_update after update on core.{table} referencing old table as was new table as becomes
for each statement execute function core.note_{table}_change();
"""
    return text


def upgrade() -> None:
    run(r"""
create table core.storage_policy (
    table_name text primary key,
    compress_after interval check (compress_after > '0'),
    drop_after interval check (drop_after > '0'),
    changed_at timestamptz not null default now(),
    changed_by text not null default session_user,
    dropped_before timestamptz,
    is_kept_whole boolean not null default false,
    chunk_interval_reason text not null default '',
    segment_by text not null default '',
    order_by text not null default '',
    check (drop_after is null or not is_kept_whole),
    check (drop_after > compress_after)
);
comment on table core.storage_policy is 'Holds what becomes of the old chunks of each hypertable; rows are changed by api.set_storage_policy.';
comment on column core.storage_policy.table_name is 'The hypertable, as core.name.';
comment on column core.storage_policy.compress_after is 'Age at which a chunk is compressed (columnstore); NULL = never. The Apache edition cannot.';
comment on column core.storage_policy.drop_after is 'Age at which a chunk is dropped; NULL = never.';
comment on column core.storage_policy.changed_at is 'When somebody last changed it.';
comment on column core.storage_policy.changed_by is 'Database role that did.';
comment on column core.storage_policy.dropped_before is 'Rows before this time are gone: sums of such days are kept as they were; NULL = none was ever dropped.';
comment on column core.storage_policy.is_kept_whole is 'True for facts that everything is derived of: none may be dropped.';
comment on column core.storage_policy.chunk_interval_reason is 'Why its chunks are as long as they are.';
comment on column core.storage_policy.segment_by is 'Columns whose equal values are compressed together, comma separated; empty = none.';
comment on column core.storage_policy.order_by is 'Columns by which compressed rows are sorted, comma separated.';
-- Nothing is dropped or compressed unless somebody asks: rows of any age are corrected (a file that comes late, an import taken
-- back), the accounting reads all movements every night, and to change a compressed row is to unpack a thousand.
insert into core.storage_policy (table_name, is_kept_whole, segment_by, order_by, chunk_interval_reason) values
('core.stock_movements', true, 'nomenclature_id', 'posted_at',
    'A quarter: at 10 million rows a year a chunk has 2.5 million rows, 0.5 GB with its index, and is read from memory; at a hundred thousand a year ten years are 40 chunks, few enough to plan over.'),
('core.calculation_data', true, 'warehouse_id', 'nomenclature_id, calculation_date',
    'Nearly a year: a period is a hundred movements or more, so 10 million movements leave about 100 thousand rows a year.'),
('core.forecasts', false, '', 'coefficient_id, forecast_date',
    'A quarter: a row a product and count.'),
('core.forecast_ledger', false, 'version_id', 'series_id, target_time',
    'Half a year: a thousand series of daily forecasts over two weeks, issued daily, are 2.5 million rows in it.'),
('core.model_performance_metrics', false, 'model, version', 'segment_by, segment, day',
    'Half a year: a row a day and segment; a thousand series are 180 thousand rows in it.')
on conflict do nothing;

-- State, since the shape of what is stored hangs on it. A view, since tools may read views and call nothing of core.
create view core.edition as
select case when current_setting('timescaledb.license', true) = 'timescale' then 'community' else 'apache' end as edition;
comment on view core.edition is 'Tells which edition of TimescaleDB runs. The one place that asks; internal.edition() gives the same.';
comment on column core.edition.edition is 'community or apache.';

create table core.rollup_pending (
    id bigint generated always as identity primary key,
    source text not null,
    key_1 int not null,
    key_2 int not null,
    from_time timestamptz not null,
    to_time timestamptz not null check (to_time >= from_time),
    must_rebuild boolean not null default false,
    is_stored boolean not null default false
);
create index rollup_pending_key_idx on core.rollup_pending (source, key_1, key_2);
comment on index core.rollup_pending_key_idx is 'Usage: what is pending for a key of an aggregate.';
comment on table core.rollup_pending is 'Holds what changed since it was last summed: a row a key and statement, gone when internal.refresh_rollups has stored the sums.';
comment on column core.rollup_pending.id is 'Key.';
comment on column core.rollup_pending.source is 'The aggregate: movement, period, forecast.';
comment on column core.rollup_pending.key_1 is 'First key of the aggregate: product, or version.';
comment on column core.rollup_pending.key_2 is 'Second key: warehouse, or series.';
comment on column core.rollup_pending.from_time is 'Earliest time at which a row changed.';
comment on column core.rollup_pending.to_time is 'Latest such time.';
comment on column core.rollup_pending.must_rebuild is 'True when what says how days are cut changed, not the rows.';
comment on column core.rollup_pending.is_stored is 'True while a refresh has stored the days and goes on with weeks and months; seen by nobody else.';
""")
    for subject in SUBJECTS:
        # Which shape a database has shows in its relations: one restored on another edition keeps its own.
        run(f"""
do $do$
begin
    if (select e.edition from core.edition as e) = 'community' then
        execute $shape${stored_continuous(subject)}$shape$;
    else
        execute $shape${stored_table(subject, "day")}$shape$;
    end if;
end
$do$;
""")
        run(pending_view(subject))
        run(live_view(subject, "day"))
        run(whole_view(subject, "day"))
        for grain in GRAINS[1:]:
            run(stored_table(subject, grain))
            run(live_view(subject, grain))
            run(whole_view(subject, grain))
        run(triggers(subject))
    run(store_views())
    run(dimension_triggers())
    run(r"""
-- A continuous aggregate cannot be refreshed inside a step of a job, which is one transaction, and a policy of TimescaleDB runs as
-- the owner of the aggregate, which cannot log in: so the clock calls this.
create procedure core.refresh_storage(job_id int default null, config jsonb default null)
language plpgsql
as $$
begin
    set local search_path = pg_catalog, pg_temp;
    call api.refresh_aggregates();
end
$$;
comment on procedure core.refresh_storage(int, jsonb) is 'Calls api.refresh_aggregates, as a job of TimescaleDB: add_job(''core.refresh_storage'', ''15 minutes'').';
revoke all on procedure core.refresh_storage(int, jsonb) from public;
grant execute on procedure core.refresh_storage(int, jsonb) to weighhouse_owner, weighhouse_fitter;
""")


def downgrade() -> None:
    run("drop procedure core.refresh_storage(int, jsonb);")
    for table in dict.fromkeys(d[0] for d in DIMENSIONS):
        run(f"drop trigger note_update on core.{table}; drop function core.note_{table}_change();")
    run("drop view core.store_day, core.store_day_live, core.store_pending; drop table core.store_day_stored;")  # fmt: skip
    for subject in SUBJECTS:
        name = subject.name
        run("".join(f"drop trigger note_{event} on core.{subject.table};" for event in ("insert", "update", "delete", "truncate"))
            + f"drop function core.note_{name}_change(), core.note_{subject.table}_row();")  # fmt: skip
        views = [f"core.{name}_{grain}{end}" for grain in GRAINS[::-1] for end in ("", "_live")]
        run(f"drop view {', '.join(views)}, core.{name}_pending;")
        run(f"drop table core.{name}_week_stored, core.{name}_month_stored;")
        run(f"""
do $do$
begin
    if to_regclass('core.{name}_day_utc') is null then
        drop table core.{name}_day_stored;
    else
        drop view core.{name}_day_stored;
        drop materialized view core.{name}_day_utc;
    end if;
end
$do$;
""")
    run("""
drop table core.rollup_pending;
drop view core.edition;
drop table core.storage_policy;
""")
