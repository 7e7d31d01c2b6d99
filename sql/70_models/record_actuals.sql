create function internal.season_length(definition core.model_definition)
returns int
language sql immutable parallel safe
return case
    when jsonb_typeof(season_length.definition.options -> 'seasons') = 'array'
        then coalesce((select min(s.length::int) from jsonb_array_elements_text(season_length.definition.options -> 'seasons') as s (length)), 1)
    when season_length.definition.grid ->> 'unit' = 'second' and 86400 % (season_length.definition.grid ->> 'count')::int = 0
        then greatest(1, 86400 / (season_length.definition.grid ->> 'count')::int)
    when season_length.definition.grid ->> 'unit' = 'day'
        then case (season_length.definition.grid ->> 'count')::int when 1 then 7 when 7 then 52 else 1 end
    when season_length.definition.grid ->> 'unit' = 'month'
        then case (season_length.definition.grid ->> 'count')::int when 1 then 12 when 3 then 4 else 1 end
    else 1
end;

comment on function internal.season_length(core.model_definition) is
'Gives the shortest season of a model''s series in steps: of its options, else the one its step suggests (weighhouse.forecasting.grid); 1 = none.';

create function internal.lock_actuals(model text)
returns void
language sql volatile
return pg_advisory_xact_lock(x'57454d4d'::int, hashtext(lock_actuals.model));

comment on function internal.lock_actuals(text) is
'Lets one session at a time join actual values of a model or calculate its metrics, until its transaction ends.';

create function api.record_actuals(model text)
returns table (joined_count bigint, open_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
declare
    definition core.model_definition := internal.find_model(model);
    season int;
    first_step bigint;
    stamp timestamptz;
begin
    if definition.time_column is null then
        raise exception 'model % forecasts no series', definition.name using errcode = '22023', hint = 'Models that api.create_model made with a time_column do.';
    end if;
    perform internal.lock_actuals(definition.name);
    season := internal.season_length(definition);
    select internal.step_number(definition.grid, min(f.target_time)) into first_step
    from core.forecast_ledger as f
    inner join core.model_versions as v on v.id = f.version_id
    where v.model = definition.name;
    create temp table if not exists observed (series_id int, step_number bigint, value float8) on commit drop;
    create temp table if not exists observed_step (step_number bigint, target_time timestamptz) on commit drop;
    truncate pg_temp.observed, pg_temp.observed_step;
    execute format(
        $statement$
        insert into pg_temp.observed
        select s.id, o.n, o.v
        from (%s) as o
        inner join core.model_series as s on s.model = $1 and %s
        where o.n >= $2 and abs(o.v) < 'infinity'
        $statement$, internal.observation_query(definition, null),
        internal.key_condition(definition.key_columns, 'o', 's.series_key')
    ) using definition.name, first_step - season;
    -- Series share their steps: each time is worked out once.
    insert into pg_temp.observed_step
    select o.step_number, internal.step_time(definition.grid, o.step_number)
    from (select distinct x.step_number from pg_temp.observed as x) as o;
    analyze pg_temp.observed, pg_temp.observed_step;
    -- Never behind a stamp the metrics have taken in already, even when the clock was set back.
    select greatest(clock_timestamp(), max(c.actual_until) + interval '1 microsecond') into stamp
    from core.metrics_calculation as c
    inner join core.model_versions as v on v.id = c.version_id
    where v.model = definition.name;
    -- A value that changed afterwards is taken in too: what counts is what the source says now.
    update core.forecast_ledger as f
    set actual = x.actual, naive = x.naive, actual_at = stamp
    from (
        select l.version_id, l.series_id, l.target_time, l.issued_at, o.value as actual, b.value as naive
        from core.forecast_ledger as l
        inner join core.model_versions as v on v.id = l.version_id and v.model = definition.name
        inner join pg_temp.observed_step as t on t.target_time = l.target_time
        inner join pg_temp.observed as o on o.series_id = l.series_id and o.step_number = t.step_number
        -- The last season there was when it was issued repeats itself.
        left join pg_temp.observed as b on b.series_id = l.series_id
            and b.step_number = o.step_number - season * ((l.step + season - 1) / season)
        where l.actual is distinct from o.value or l.naive is distinct from b.value
    ) as x
    where f.series_id = x.series_id and f.version_id = x.version_id and f.target_time = x.target_time and f.issued_at = x.issued_at;
    get diagnostics joined_count = row_count;
    insert into core.model_data as d (model, data_until)
    select definition.name, max(t.target_time) from pg_temp.observed_step as t having count(*) > 0
    on conflict on constraint model_data_pkey do update set data_until = excluded.data_until
    where d.data_until is distinct from excluded.data_until;
    select count(*) into open_count
    from core.forecast_ledger as f
    inner join core.model_versions as v on v.id = f.version_id
    where v.model = definition.name and f.actual is null;
    return next;
end
$$;

comment on function api.record_actuals(text) is
'Joins what happened since to the forecasts a model issued (bi.actual_vs_forecast). Calling it again changes nothing.

Beside it goes what the seasonal naive forecast would have been. Returns how many forecasts got an actual or another one, and how
many still wait. One session at a time works on a model, others wait. Example: select * from api.record_actuals(''sales'');';
