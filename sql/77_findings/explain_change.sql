create function internal.explain_segments(
    definition core.model_definition, from_1 timestamptz, to_1 timestamptz, from_2 timestamptz, to_2 timestamptz, top_n int
)
returns table (
    segment_by text, segment text, total_1 float8, total_2 float8, difference float8, share_percent float8, change_percent float8, state text,
    row_count_1 bigint, row_count_2 bigint, rank bigint
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
    keys text[] := definition.key_columns;
    moment text;
    sets text;
begin
    if not (from_1 < to_1 and from_2 < to_2) is true or not isfinite(from_1) or not isfinite(to_1) or not isfinite(from_2) or not isfinite(to_2) then
        raise exception 'these are no periods: % to %, % to %', from_1, to_1, from_2, to_2
            using errcode = '22023', hint = 'Each begins before it ends; the end does not belong to it.';
    end if;
    if coalesce(cardinality(keys), 0) not between 1 and 8 or (select count(distinct k.name) from unnest(keys) as k (name)) < cardinality(keys) then
        raise exception 'a change is explained by 1 to 8 different key columns, not by %', coalesce(array_to_string(keys, ', '), 'NULL')
            using errcode = '22023', hint = 'Name the columns that tell segments apart, as {branch,item}.';
    end if;
    if top_n is null or top_n not between 1 and 1000 then
        raise exception 'top_n must be 1 to 1000, not %', coalesce(top_n::text, 'NULL') using errcode = '22023', hint = 'What goes beyond comes in one row of others.';
    end if;
    moment := case when (definition.grid ->> 'is_local')::boolean
        then format('source.%I::timestamp at time zone %L', definition.time_column, definition.grid ->> 'zone') else format('source.%I', definition.time_column) end;
    -- The total, each key, each pair of keys.
    select string_agg(format('(%s)', s.names), ', ') into sets
    from (
        select '' as names
        union all
        select 'c.key_' || k from generate_series(1, cardinality(keys)) as k
        union all
        select format('c.key_%s, c.key_%s', k, l) from generate_series(1, cardinality(keys)) as k, generate_series(1, cardinality(keys)) as l where k < l
    ) as s;
    return query execute format(
        $statement$
        with cell as materialized (
            -- What is alike in all keys comes together first, by one look at the source.
            select %1$s coalesce(sum(r.v) filter (where r.in_1), 0) as total_1, coalesce(sum(r.v) filter (where r.in_2), 0) as total_2,
                count(*) filter (where r.in_1) as count_1, count(*) filter (where r.in_2) as count_2
            from (
                select %2$s %3$s as v, (%4$s >= $1 and %4$s < $2) as in_1, (%4$s >= $3 and %4$s < $4) as in_2
                from %5$s
                where ((%4$s >= $1 and %4$s < $2) or (%4$s >= $3 and %4$s < $4))
            ) as r
            where abs(r.v) < 'infinity'
            group by %6$s
        ), segment as (
            select nullif(concat_ws(' / ', %7$s), '') as by_keys, concat_ws(' / ', %8$s) as name, sum(c.total_1) as total_1, sum(c.total_2) as total_2,
                sum(c.total_2) - sum(c.total_1) as difference, sum(c.count_1)::bigint as count_1, sum(c.count_2)::bigint as count_2,
                %9$s as depth
            from cell as c
            group by grouping sets (%10$s)
        ), ranked as (
            select s.*, row_number() over (partition by s.by_keys order by abs(s.difference) desc, s.name) as place from segment as s
        ), shown as (
            select r.by_keys, r.name, r.total_1, r.total_2, r.difference, r.count_1, r.count_2, r.place, r.depth,
                case when r.count_1 = 0 then 'new' when r.count_2 = 0 then 'gone' else 'both' end as state
            from ranked as r
            where r.place <= $5
            union all
            select r.by_keys, null, sum(r.total_1), sum(r.total_2), sum(r.difference), sum(r.count_1)::bigint, sum(r.count_2)::bigint, null, min(r.depth), 'others'
            from ranked as r
            where r.place > $5
            group by r.by_keys
        )
        select s.by_keys, case when s.by_keys is not null then s.name end, s.total_1, s.total_2, s.difference,
            100 * s.difference / nullif((select t.difference from segment as t where t.by_keys is null), 0),
            100 * s.difference / nullif(abs(s.total_1), 0), case when s.by_keys is null then 'total' else s.state end, s.count_1, s.count_2,
            case when s.by_keys is not null then s.place end
        from shown as s
        where s.count_1 + s.count_2 > 0
        order by s.depth, s.by_keys, s.place nulls last
        $statement$,
        (select string_agg(format('r.key_%s, ', k), '' order by k) from generate_series(1, cardinality(keys)) as k),
        (select string_agg(format('coalesce(source.%I::text collate "C", ''-'') as key_%s, ', k.name, k.place), '' order by k.place)
            from unnest(keys) with ordinality as k (name, place)),
        case when definition.value_column is null then '1::float8' else format('source.%I::float8', definition.value_column) end,
        moment, internal.source_clause(definition),
        (select string_agg('r.key_' || k, ', ' order by k) from generate_series(1, cardinality(keys)) as k),
        (select string_agg(format('case when grouping(c.key_%s) = 0 then %L end', k.place, k.name), ', ' order by k.place)
            from unnest(keys) with ordinality as k (name, place)),
        (select string_agg(format('case when grouping(c.key_%s) = 0 then c.key_%s end', k, k), ', ' order by k) from generate_series(1, cardinality(keys)) as k),
        (select string_agg(format('1 - grouping(c.key_%s)', k), ' + ' order by k) from generate_series(1, cardinality(keys)) as k),
        sets
    ) using from_1, to_1, from_2, to_2, top_n;
exception
    when undefined_column then
        raise exception '% has not all these columns: %', definition.source, sqlerrm
            using errcode = '42703', hint = 'value_column, key_columns and time_column name columns of the source.';
    when cannot_coerce or undefined_function or invalid_text_representation then
        raise exception 'the columns of % have not the types this needs: %', definition.source, sqlerrm
            using errcode = '22023', hint = 'A time, a number and any keys; a query can cast.';
end
$$;

comment on function internal.explain_segments(core.model_definition, timestamptz, timestamptz, timestamptz, timestamptz, int) is
'Explains the change of a sum between two periods by segments; see api.explain_change. value_column NULL = rows are counted.';

create function api.explain_change(
    source text, value_column text, key_columns text [], time_column text, from_1 timestamptz, to_1 timestamptz, from_2 timestamptz, to_2 timestamptz,
    top_n int default 10
)
returns table (
    segment_by text, segment text, total_1 float8, total_2 float8, difference float8, share_percent float8, change_percent float8, state text,
    row_count_1 bigint, row_count_2 bigint, rank bigint
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    definition core.model_definition := internal.named_source(null, explain_change.source);
begin
    definition.value_column := explain_change.value_column;
    definition.time_column := explain_change.time_column;
    definition.key_columns := explain_change.key_columns;
    if definition.time_column is null then
        raise exception 'nothing says which column is the time' using errcode = '42703', hint = 'time_column names a column of the source.';
    end if;
    return query
    select e.*
    from internal.explain_segments(definition, explain_change.from_1, explain_change.to_1, explain_change.from_2, explain_change.to_2, explain_change.top_n) as e;
end
$$;

comment on function api.explain_change(text, text, text [], text, timestamptz, timestamptz, timestamptz, timestamptz, int) is
'Explains why a sum changed between two periods: which segments moved, by each key and by each pair of keys.

source: schema.name, or a query (SELECT ...), read with the rights of the caller. value_column: what is summed, NULL = rows are counted;
what is no finite number is left out. key_columns: 1 to 8 columns that tell segments apart. time_column: timestamptz, timestamp or date
(as the session''s time zone reads them). Periods: from inclusive, to exclusive; of unlike length they are compared as they are. One row
for the total (segment_by NULL), then for each segment_by (a key, or two) the top_n segments that moved most, the rest as one row of
others: their differences add up to the total. share_percent: of the total difference, NULL = there is none. change_percent: against
the first period, NULL = it was 0. state: new, gone, both, others, total. Raises 22023, 42703, 42P01 with a hint.
Example: select * from api.explain_change(''bi.daily_sales'', ''sold_kg'', ''{store,item}'', ''time'', ''2025-02-01'', ''2025-03-01'', ''2025-03-01'', ''2025-04-01'');';

create function api.explain_model_change(
    model text, from_1 timestamptz, to_1 timestamptz, from_2 timestamptz, to_2 timestamptz, top_n int default 10
)
returns table (
    segment_by text, segment text, total_1 float8, total_2 float8, difference float8, share_percent float8, change_percent float8, state text,
    row_count_1 bigint, row_count_2 bigint, rank bigint
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    definition core.model_definition := internal.find_model(explain_model_change.model);
begin
    if definition.source is null or definition.time_column is null or cardinality(definition.key_columns) = 0
        or coalesce(definition.options ->> 'aggregate', 'sum') not in ('sum', 'count')
    then
        raise exception 'what model % reads is no sum over several series', definition.name
            using errcode = '22023', hint = 'Ask api.explain_change, which names columns of any relation.';
    end if;
    if definition.options ->> 'aggregate' = 'count' then
        definition.value_column := null;
    end if;
    return query
    select e.*
    from internal.explain_segments(definition, explain_model_change.from_1, explain_model_change.to_1, explain_model_change.from_2, explain_model_change.to_2,
        explain_model_change.top_n) as e;
end
$$;

comment on function api.explain_model_change(text, timestamptz, timestamptz, timestamptz, timestamptz, int) is
'Explains why the sum over the series of a model changed between two periods, by its key columns; the rest is as api.explain_change says.

Times without a zone are those of the model. Raises 22023 for an unknown model, one without keys, or one whose rows come together
otherwise than by sum or count.
Example: select * from api.explain_model_change(''sales'', ''2026-01-01'', ''2026-02-01'', ''2026-02-01'', ''2026-03-01'');';
