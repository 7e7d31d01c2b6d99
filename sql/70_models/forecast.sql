create function internal.forecast_as_of(definition core.model_definition, series text, horizon int, levels float8 [], as_of timestamptz)
returns table (target_time timestamptz, series_id int, label text, step int, mean float8, lower float8 [], upper float8 [], note text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
#variable_conflict use_column
declare
    learns boolean := (internal.kind_traits(definition.kind) ->> 'learns')::boolean;
    complete jsonb;
    results jsonb;
begin
    perform internal.hash_series(definition, as_of);
    -- Who learns from all series needs them for one.
    if not learns then
        delete from pg_temp.series_input as i where forecast_as_of.series is not null and i.label <> forecast_as_of.series;
    end if;
    perform internal.load_series(definition, as_of);
    complete := internal.fit_options(definition);
    select internal.fit_series(definition.kind, complete -> 'kind_options', internal.call_options(definition, complete),
        internal.step_seconds(definition.grid), coalesce(horizon, (complete ->> 'horizon')::int), string_agg(i.steps, ''::bytea order by i.ordinal),
        string_agg(i."values", ''::bytea order by i.ordinal), string_agg(int4send(octet_length(i.steps) / 8), ''::bytea order by i.ordinal),
        string_agg(i.feature_steps, ''::bytea order by i.ordinal), string_agg(i.feature_values, ''::bytea order by i.ordinal),
        string_agg(int4send(coalesce(octet_length(i.feature_steps), 0) / 8), ''::bytea order by i.ordinal))::jsonb
    into results
    from pg_temp.series_input as i
    having count(*) > 0;
    if results is null then
        raise exception 'model % had no data before %', definition.name, as_of using errcode = '22023', hint = 'Choose a later as_of, or another series.';
    end if;
    return query
    select internal.step_time(definition.grid, (e.value ->> 'last_step')::bigint + f.step), s.id, i.label, f.step, f.mean, f.lower, f.upper,
        coalesce(e.value ->> 'reason', e.value ->> 'note')
    from jsonb_array_elements(results) with ordinality as e (value, place)
    inner join (select x.*, row_number() over (order by x.ordinal) as place from pg_temp.series_input as x) as i on i.place = e.place
    left join core.model_series as s on s.model = definition.name and s.series_key = i.series_key
    cross join lateral internal.forecast_parameters(e.value ->> 'kind', e.value -> 'parameters',
        coalesce(horizon, (complete ->> 'horizon')::int), levels) as f
    where e.value -> 'parameters' is not null and (forecast_as_of.series is null or i.label = forecast_as_of.series);
end
$$;

comment on function internal.forecast_as_of(core.model_definition, text, int, float8 [], timestamptz) is
'Fits a model on what was there before a time and forecasts from it; nothing is stored.';

create function api.forecast(
    model text, series text default null, horizon int default null, level float8 default 0.95, version int default null,
    as_of timestamptz default null
)
returns table (
    "time" timestamptz, -- noqa: RF06
    series_id int, label text, step int, yhat float8, yhat_lo float8, yhat_hi float8,
    model_version int, made_at timestamptz, note text
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
#variable_conflict use_column
declare
    definition core.model_definition := internal.find_model(forecast.model);
    chosen core.model_versions;
    issued_at timestamptz;
    stored_horizon int;
    stale text;
begin
    if definition.time_column is null then
        raise exception 'model % forecasts no series', definition.name using errcode = '22023',
            hint = case when definition.source is null then 'Its answers come from api.shrinkage.' else 'It predicts rows: api.predict, api.predict_rows.' end;
    end if;
    if forecast.horizon is not null and forecast.horizon not between 1 and 10000 then
        raise exception 'horizon is %', forecast.horizon using errcode = '22023', hint = 'Give a number of steps from 1 to 10000.';
    end if;
    if forecast.level is null or not forecast.level between 0.01 and 0.999 then
        raise exception 'level is %', coalesce(forecast.level::text, 'NULL') using errcode = '22023', hint = 'Give a coverage from 0.01 to 0.999, as 0.95.';
    end if;
    if forecast.series is not null and not exists (
        select from core.model_series as s where s.model = definition.name and s.label = forecast.series
    ) then
        raise exception 'model % has no series %', definition.name, forecast.series using errcode = '22023', hint = coalesce('Near to it: ' || (
            select string_agg(n.label, ', ') from (
                select s.label from core.model_series as s where s.model = definition.name
                order by lower(s.label) like '%' || lower(left(forecast.series, 3)) || '%' desc, s.label limit 5
            ) as n) || '.', 'The model was never fitted.');
    end if;
    if forecast.as_of is not null then
        if forecast.version is not null then
            raise exception 'version and as_of exclude each other' using errcode = '22023', hint = 'as_of fits anew on what was there then.';
        end if;
        return query
        select f.target_time, f.series_id, f.label, f.step, f.mean, f.lower[1], f.upper[1], null::int, forecast.as_of, f.note
        from internal.forecast_as_of(definition, forecast.series, forecast.horizon, array[forecast.level], forecast.as_of) as f
        order by f.label, f.step;
        return;
    end if;
    chosen := internal.find_version(definition.name, forecast.version);
    stored_horizon := (chosen.options ->> 'horizon')::int;
    if chosen.created_date < now() - definition.time_to_live then
        stale := format('stale: fitted %s ago', date_trunc('minute', now() - chosen.created_date));
    end if;
    if coalesce(forecast.horizon, stored_horizon) <= stored_horizon and forecast.level in (0.8, 0.95) then
        return query
        select f.target_time, s.id, s.label, f.step, f.forecast, case when forecast.level = 0.8 then f.lower_80 else f.lower_95 end,
            case when forecast.level = 0.8 then f.upper_80 else f.upper_95 end, chosen.version, f.issued_at, stale
        from core.model_series as s
        inner join core.forecast_ledger as f on f.series_id = s.id and f.version_id = chosen.id
        where s.model = definition.name and (forecast.series is null or s.label = forecast.series)
          and f.step <= coalesce(forecast.horizon, stored_horizon)
        order by s.label, f.step;
        return;
    end if;
    if not exists (
        select from core.training_run as r inner join core.run_outcome as o on o.run_id = r.id and o.ml_model_id is not null
        where r.version_id = chosen.id and r.task = 'fit'
    ) then
        raise exception 'the fits of version % of model % are gone', chosen.version, definition.name
            using errcode = '22023', hint = 'Housekeeping removed them; what it forecast then is in bi.actual_vs_forecast. Fit again, or take a newer version.';
    end if;
    return query
    select internal.step_time(chosen.options -> 'grid', internal.step_number(chosen.options -> 'grid', o.last_time[f.place]) + f.step), o.series_id[f.place],
        o.label[f.place], f.step, f.mean, f.lower[1], f.upper[1], chosen.version, chosen.created_date, stale
    from (
        select array_agg(x.series_id order by s.label) as series_id, array_agg(s.label order by s.label) as label,
            array_agg(x.ml_model_id order by s.label) as ids, array_agg(x.last_time order by s.label) as last_time
        from core.run_outcome as x
        inner join core.model_series as s on s.id = x.series_id
        where x.run_id = (select min(r.id) from core.training_run as r where r.version_id = chosen.id and r.task = 'fit')
          and x.ml_model_id is not null and (forecast.series is null or s.label = forecast.series)
    ) as o
    cross join lateral internal.forecast_models(o.ids, coalesce(forecast.horizon, stored_horizon), array[forecast.level]) as f
    where o.ids is not null
    order by f.place, f.step;
end
$$;

comment on function api.forecast(text, text, int, float8, int, timestamptz) is
'Forecasts the series of a model: the rows that were issued, or, for other horizons and levels, from the stored parameters.

series: as in bi.forecast, NULL = all. horizon: steps after the last observation, NULL = that of the model. level: coverage of the
interval. version: NULL = the deployed one. as_of: what would have been said at that time: fits on what the source held before it,
stores nothing. note tells of stale fits. Raises 22023 for what cannot be (unknown model or series: with the names near to it),
ML201 when nothing is deployed, 55000 when stored parameters were tampered with.
Example: select "time", yhat, yhat_lo, yhat_hi from api.forecast(''sales'', ''north'', 14);';
