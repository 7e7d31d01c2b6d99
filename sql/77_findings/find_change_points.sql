create function api.find_change_points(model text, series text default null, min_length int default null, penalty float8 default 3)
returns table (
    "time" timestamptz, -- noqa: RF06
    label text, kind text, before float8, after float8, change_percent float8, gain float8, p float8, note text
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
    definition core.model_definition := internal.find_model(find_change_points.model);
begin
    if not coalesce(find_change_points.min_length, 2) between 2 and 10000 or not coalesce(find_change_points.penalty between 0.1 and 1000, false) then
        raise exception 'changes cannot be searched with min_length % and penalty %', find_change_points.min_length, find_change_points.penalty
            using errcode = '22023', hint = 'min_length: steps between two changes, 2 to 10000 or NULL; penalty: 0.1 to 1000, as 3; greater finds fewer.';
    end if;
    definition := internal.read_history(definition, find_change_points.series);
    return query
    select internal.step_time(definition.grid, (r.value ->> 0)::bigint), b.labels[e.place], r.value ->> 1, (r.value ->> 2)::float8, (r.value ->> 3)::float8,
        100 * ((r.value ->> 3)::float8 - (r.value ->> 2)::float8) / nullif(abs((r.value ->> 2)::float8), 0), (r.value ->> 4)::float8, (r.value ->> 5)::float8,
        e.value ->> 'reason'
    from internal.series_batches() as b
    cross join lateral jsonb_array_elements(internal.search_changes(definition.options, internal.step_seconds(definition.grid), find_change_points.min_length,
        find_change_points.penalty, b.steps, b."values", b.counts)::jsonb) with ordinality as e (value, place)
    left join lateral jsonb_array_elements(e.value -> 'rows') as r (value) on true
    where r.value is not null or e.value ? 'reason'
    order by b.labels[e.place], (r.value ->> 0)::bigint;
end
$$;

comment on function api.find_change_points(text, text, int, float8) is
'Finds where the series of a model left their level or their spread for good: the best division into segments (PELT). Stores nothing.

Seasons, a straight or bent trend and single outliers are no changes; of a series whose values hang together more is asked. series:
NULL = all. min_length: steps between two changes, NULL = the season of up to 14 steps, at least 5. penalty: of a change, in ln n; greater
finds fewer. One row a change: label: the series; time: first step after it; kind: level, or spread (around the level); before, after: median level
without seasons, or standard deviation, unit of the series; gain: by how much the division without it would be worse, in penalties;
p: of the test for one shift over the two segments. note: why a series could not be searched (too short), the rest is NULL then.
Raises 22023 for an unknown model or series, and impossible arguments. Example: select * from api.find_change_points(''sales'', ''north'');';
