create function internal.read_step(step text)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    given interval;
    months int;
    seconds numeric;
begin
    begin
        given := step::interval;
    exception
        when data_exception then
            raise exception '% is no step', step using errcode = '22023', hint = 'As 1 hour, 15 minutes, 1 day, 1 week, 1 month, 3 months, 1 year.';
    end;
    months := extract(year from given) * 12 + extract(month from given);
    seconds := extract(epoch from given - make_interval(months => months));
    if months > 0 and seconds = 0 then
        return jsonb_build_object('unit', 'month', 'count', months);
    elsif months = 0 and seconds > 0 and seconds % 86400 = 0 then
        return jsonb_build_object('unit', 'day', 'count', (seconds / 86400)::int);
    elsif months = 0 and seconds > 0 and seconds = trunc(seconds) then
        return jsonb_build_object('unit', 'second', 'count', seconds::int);
    end if;
    raise exception '% is no step', step using errcode = '22023', hint = 'Give whole seconds, days or months, more than none.';
end
$$;

comment on function internal.read_step(text) is 'Reads an interval as the unit and count of a grid. Raises 22023.';

create function internal.find_grid(definition core.model_definition)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    zone text := coalesce(definition.options ->> 'time_zone', internal.setting_text('import.time_zone'), 'UTC');
    time_type regtype;
    grid jsonb;
    gap float8;
    figures record;
begin
    execute format('select pg_typeof(s.t) from (select 1) as one left join (select source.%I as t from %s limit 0) as s on true',
        definition.time_column, internal.source_clause(definition)) into time_type;
    if definition.options ->> 'step' is not null then
        grid := internal.read_step(definition.options ->> 'step');
    else
        execute format(
            $statement$
            select percentile_disc(0.5) within group (order by g.gap)
            from (
                select extract(epoch from o.t - lag(o.t) over (%s order by o.t))::float8 as gap
                from (select distinct %s source.%I::timestamp as t from %s where source.%I is not null) as o
            ) as g
            where g.gap > 0
            $statement$,
            'partition by ' || internal.key_names('o', cardinality(definition.key_columns)), internal.key_list(definition.key_columns),
            definition.time_column, internal.source_clause(definition), definition.value_column
        ) into gap;
        if gap is null then
            return null;
        end if;
        grid := case
            when gap between 27.5 * 86400 and 31.5 * 86400 then '{"unit": "month", "count": 1}'
            when gap between 88 * 86400 and 93.5 * 86400 then '{"unit": "month", "count": 3}'
            when gap between 180 * 86400 and 185 * 86400 then '{"unit": "month", "count": 6}'
            when gap between 364 * 86400 and 367 * 86400 then '{"unit": "month", "count": 12}'
            -- A day may have 23 or 25 hours.
            when gap >= 82800 and abs(gap / 86400 - round(gap / 86400)) < 0.05 then jsonb_build_object('unit', 'day', 'count', round(gap / 86400)::int)
            else jsonb_build_object('unit', 'second', 'count', greatest(1, round(gap))::int)
        end;
    end if;
    grid := grid || jsonb_build_object('zone', zone, 'type', time_type::text, 'is_local', time_type <> 'timestamptz'::regtype, 'phase', 0);
    -- Steps of several units begin where most of the data do: weeks on their weekday, fiscal years in their month.
    if (grid ->> 'count')::int > 1 then
        execute format('select mode() within group (order by mod(mod(%1$s, %2$s) + %2$s, %2$s)) from %3$s where source.%4$I is not null and source.%5$I is not null',
            internal.step_expression(grid || '{"count": 1}', definition.time_column), grid ->> 'count', internal.source_clause(definition),
            definition.value_column, definition.time_column) into gap;
        grid := grid || jsonb_build_object('phase', coalesce(gap, 0)::bigint);
    end if;
    if definition.options ->> 'step' is null then
        -- A step that was guessed must fit: nearly every row a step of its own, and most steps have one.
        execute format(
            $statement$
            select sum(k.row_count) as row_count, sum(k.step_count) as step_count, sum(k.span) as span
            from (
                select count(*) as row_count, count(distinct o.n) as step_count, max(o.n) - min(o.n) + 1 as span
                from (select %s %s as n from %s where source.%I is not null and source.%I is not null) as o
                %s
            ) as k
            $statement$,
            internal.key_list(definition.key_columns), internal.step_expression(grid, definition.time_column), internal.source_clause(definition),
            definition.value_column, definition.time_column, 'group by ' || internal.key_names('o', cardinality(definition.key_columns))
        ) into figures;
        if figures.step_count < 0.5 * figures.span or figures.row_count > 1.2 * figures.step_count then
            raise exception 'the times have no regular step'
                using errcode = 'ML002',
                detail = format('%s rows fall on %s of %s steps of %s %s(s).', figures.row_count, figures.step_count, figures.span, grid ->> 'count', grid ->> 'unit'),
                hint = 'Name the key columns that tell rows of one time apart; or the step, and how its rows come together: {"step": "1 day", "aggregate": "sum", "missing": "zero"}.';
        end if;
    end if;
    return grid;
end
$$;

comment on function internal.find_grid(core.model_definition) is
'Finds the steps of a model''s series: from the option step, else from the median distance of the times.

NULL while there are no two rows of one series. Raises ML002 when the times have no regular step.';

create function internal.settled_grid(definition core.model_definition)
returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    found jsonb := coalesce(definition.grid, internal.find_grid(definition));
begin
    if definition.grid is null and found is not null then
        update core.model_definition as d set grid = found where d.name = definition.name;
    end if;
    return found;
end
$$;

comment on function internal.settled_grid(core.model_definition) is
'Gives the steps of a model''s series, and keeps them when they had to be found: a model may be created before its first rows come.';
