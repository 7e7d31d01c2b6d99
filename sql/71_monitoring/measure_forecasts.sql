create function internal.open_metrics()
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $$
begin
    create temp table if not exists metric (
        model text, version int, day date, segment_by text, segment text, n int, percent_count int, percent_error_sum float8, absolute_error_sum float8,
        squared_error_sum float8, error_sum float8, absolute_actual_sum float8, inside_80_count int, inside_95_count int, naive_count int,
        naive_percent_error_sum float8, naive_absolute_error_sum float8
    ) on commit drop;
    create temp table if not exists metric_scope (version_id int, version int, day date, actual_until timestamptz) on commit drop;
    truncate pg_temp.metric, pg_temp.metric_scope;
end
$$;

comment on function internal.open_metrics() is
'Makes, empty: pg_temp.metric, what was measured; pg_temp.metric_scope, the versions and days it was measured for,
and the newest actual value of each.';

create function internal.measure_forecasts(definition core.model_definition, from_date date, to_date date)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_custom_plan
-- Whatever was believed to be one row: a loop over all of them for each of the others is never what is wanted here.
set enable_nestloop = off
set enable_mergejoin = off
as $$
declare
    zone text := coalesce(definition.grid ->> 'zone', 'UTC');
    is_range boolean := from_date is not null or to_date is not null;
    -- A single key column says the same as the series, and one of that name would be mistaken for it.
    segments record;
    target text := 'pg_temp.metric';
    stored_count bigint := 0;
    versions int [];
    starts timestamptz := coalesce(from_date::timestamp at time zone zone, '-infinity');
    ends timestamptz := coalesce((to_date + 1)::timestamp at time zone zone, 'infinity');
begin
    if is_range then
        versions := array(select v.id from core.model_versions as v where v.model = definition.name);
    else
        insert into pg_temp.metric_scope (version_id, version, day, actual_until)
        select t.version_id, t.version, (t.target_time at time zone zone)::date as day, max(t.actual_until)
        from (
            select v.id as version_id, v.version, f.target_time, max(f.actual_at) as actual_until
            from core.model_versions as v
            left join core.metrics_calculation as c on c.version_id = v.id
            inner join core.forecast_ledger as f on f.version_id = v.id and f.actual_at > coalesce(c.actual_until, '-infinity')
            where v.model = definition.name
            group by v.id, f.target_time
        ) as t
        group by t.version_id, t.version, day;
        select array_agg(distinct s.version_id), min(s.day)::timestamp at time zone zone, (max(s.day) + 1)::timestamp at time zone zone
        into versions, starts, ends
        from pg_temp.metric_scope as s;
        -- Where nothing is stored yet there is nothing to compare with.
        if not exists (
            select from core.model_performance_metrics as m
            where m.model = definition.name and m.day >= (select min(s.day) from pg_temp.metric_scope as s)
              and m.day <= (select max(s.day) from pg_temp.metric_scope as s)
        ) then
            target := 'core.model_performance_metrics';
        end if;
    end if;
    if cardinality(versions) > 0 then
        select coalesce(string_agg(', ' || k.value || ' as ' || k.column_name, '' order by k.place), '') as "values",
            coalesce(string_agg(', f.' || k.column_name, '' order by k.place), '') as columns,
            coalesce(string_agg(format(', (f.version_id, f.day, f.%s)', k.column_name), '' order by k.place), '') as sets,
            -- What is no column of a row's set is null there, and no segment is.
            coalesce('case ' || string_agg(format('when m.%s is not null then %L', k.column_name, k.name), ' ' order by k.place) || ' end', 'null') as name,
            coalesce('coalesce(' || string_agg(case k.place when 0 then 's.label' else 'm.' || k.column_name end, ', ' order by k.place) || ')', 'null') as value
        into segments
        from (
            select 0 as place, 'series' as name, 'f.series_id' as value, 'segment_0' as column_name where definition.key_columns <> '{}'
            union all
            select k.place, k.name, format('coalesce(s.series_key[%s], ''-'')', k.place), 'segment_' || k.place
            from unnest(definition.key_columns) with ordinality as k (name, place)
            where cardinality(definition.key_columns) > 1 and k.name <> 'series'
        ) as k;
        execute format(
            $statement$
            with forecast as (
                select f.version_id, f.day, f.actual - f.forecast as error, abs(f.actual) as size, abs(f.actual) > 1e-150 as has_percent,
                    abs(f.actual - f.naive) as naive_error, f.actual between f.lower_80 and f.upper_80 as is_inside_80,
                    f.actual between f.lower_95 and f.upper_95 as is_inside_95 %1$s
                from (
                    select l.version_id, l.series_id, l.actual, l.forecast, l.naive, l.lower_80, l.upper_80, l.lower_95, l.upper_95,
                        (l.target_time at time zone $1)::date as day
                    from core.forecast_ledger as l
                    -- Beyond that, squares are no numbers any more. Written so that the planner does not guess from statistics of the
                    -- time before the actual values came.
                    where l.version_id = any($2) and l.target_time >= $3 and l.target_time < $4
                      and greatest(coalesce(abs(l.actual), 'infinity'), abs(l.forecast), abs(l.naive)) < 1e150
                    -- The day is worked out once a row.
                    offset 0
                ) as f
                %7$s
                %2$s
            ), measured as (
                select f.version_id, f.day, count(*) as n, count(*) filter (where f.has_percent) as percent_count,
                    sum(abs(f.error) / f.size) filter (where f.has_percent) as percent_error_sum, sum(abs(f.error)) as absolute_error_sum,
                    sum(f.error * f.error) as squared_error_sum, sum(f.error) as error_sum, sum(f.size) as absolute_actual_sum,
                    count(*) filter (where f.is_inside_80) as inside_80_count, count(*) filter (where f.is_inside_95) as inside_95_count,
                    count(f.naive_error) as naive_count, sum(f.naive_error / f.size) filter (where f.has_percent) as naive_percent_error_sum,
                    sum(f.naive_error) as naive_absolute_error_sum %3$s
                from forecast as f
                group by grouping sets ((f.version_id, f.day) %4$s)
            )
            insert into %9$s (model, version, day, segment_by, segment, n, percent_count, percent_error_sum, absolute_error_sum, squared_error_sum,
                error_sum, absolute_actual_sum, inside_80_count, inside_95_count, naive_count, naive_percent_error_sum, naive_absolute_error_sum)
            select v.model, v.version, m.day, %5$s, %6$s, m.n, m.percent_count, coalesce(m.percent_error_sum, 0), m.absolute_error_sum, m.squared_error_sum,
                m.error_sum, m.absolute_actual_sum, m.inside_80_count, m.inside_95_count, m.naive_count, coalesce(m.naive_percent_error_sum, 0),
                coalesce(m.naive_absolute_error_sum, 0)
            from measured as m
            inner join core.model_versions as v on v.id = m.version_id
            %8$s
            $statement$,
            segments."values", case when not is_range then 'inner join pg_temp.metric_scope as d on d.version_id = f.version_id and d.day = f.day' end,
            segments.columns, segments.sets, segments.name, segments.value,
            case when segments."values" like '%series_key%' then 'inner join core.model_series as s on s.id = f.series_id' end,
            case when segments.columns <> '' then 'left join core.model_series as s on s.id = m.segment_0' end, target
        ) using zone, versions, starts, ends;
        if target <> 'pg_temp.metric' then
            get diagnostics stored_count = row_count;
        end if;
    end if;
    if is_range then
        -- What is stored but was not measured again is gone from the ledger, unless the ledger itself no longer reaches that far back.
        insert into pg_temp.metric_scope (version, day)
        select m.version, m.day from pg_temp.metric as m where m.segment_by is null
        union
        select m.version, m.day
        from core.model_performance_metrics as m
        where m.model = definition.name and m.segment_by is null and m.day between coalesce(from_date, '-infinity') and coalesce(to_date, 'infinity')
          and m.day::timestamp at time zone zone >= (
              select min(c.range_start) from timescaledb_information.chunks as c
              where c.hypertable_schema = 'core' and c.hypertable_name = 'forecast_ledger'
          );
    end if;
    return stored_count;
end
$$;

comment on function internal.measure_forecasts(core.model_definition, date, date) is
'Measures the forecasts of a model against what happened, by version and day, over all and by segment, into pg_temp.metric.

from_date, to_date: all days between; both NULL = the versions and days with actual values that came since the last calculation: where
nothing is stored of these days they are stored at once, and their rows returned; else 0.
Days are those of the zone of the model. Segments: series, and each key column where there are several.';
