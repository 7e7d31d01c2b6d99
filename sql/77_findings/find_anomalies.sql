create function internal.make_anomaly_found()
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $$
begin
    create temp table if not exists anomaly_found (
        series_id int, target_time timestamptz, actual float8, expected float8, score float8, version int
    ) on commit drop;
    truncate pg_temp.anomaly_found;
end
$$;

comment on function internal.make_anomaly_found() is 'Makes pg_temp.anomaly_found, empty: what a search found; score NULL = an anomaly no longer is one.';

create function internal.search_forecasts(model text, series_id int, since timestamptz, threshold float8)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    measured_count bigint;
begin
    perform internal.make_anomaly_found();
    with said as (
        -- Of several forecasts of one step the one that knew most; a challenger that never was in force has not spoken.
        select distinct on (l.series_id, l.target_time) l.series_id, l.target_time, l.actual, l.forecast, l.lower_95, l.upper_95, v.version
        from core.forecast_ledger as l
        inner join core.model_versions as v on v.id = l.version_id
        where v.model = search_forecasts.model and v.deployed_at is not null and l.actual is not null
          and l.target_time >= coalesce(search_forecasts.since, '-infinity')
          and (search_forecasts.series_id is null or l.series_id = search_forecasts.series_id)
          -- Beyond that, differences are no numbers any more.
          and greatest(abs(l.actual), abs(l.forecast), abs(l.lower_95), abs(l.upper_95)) < 1e150
        order by l.series_id asc, l.target_time asc, l.step asc, l.issued_at desc
    ), measured as (
        select s.series_id, s.target_time, s.actual, s.forecast, s.version,
            greatest(-1e6, least(1e6, (s.actual - s.forecast) / greatest(
                -- 95 % of normal values lie within 1.96 standard deviations; each side has its own.
                case when s.actual > s.forecast then s.upper_95 - s.forecast else s.forecast - s.lower_95 end / 1.959964,
                -- What rounding makes of a forecast that is certain.
                1e-9 * greatest(abs(s.actual), abs(s.forecast)), 1e-300
            ))) as score
        from said as s
    ), kept as (
        insert into pg_temp.anomaly_found (series_id, target_time, actual, expected, score, version)
        select m.series_id, m.target_time, m.actual, m.forecast, case when abs(m.score) > search_forecasts.threshold then m.score end, m.version
        from measured as m
        where abs(m.score) > search_forecasts.threshold or exists (
            select from core.anomaly as a
            where a.model = search_forecasts.model and a.series_id = m.series_id and a.target_time = m.target_time and a.method = 'forecast'
        )
    )
    select count(distinct m.series_id) into measured_count from measured as m;
    return measured_count;
end
$$;

comment on function internal.search_forecasts(text, int, timestamptz, float8) is
'Holds what happened against the forecasts issued for it, into pg_temp.anomaly_found. Returns how many series had such.

series_id, since: NULL = all. threshold: in standard deviations, by the 95 % interval.';

create function internal.search_history(definition core.model_definition, series text, since timestamptz, threshold float8)
returns table (series_count bigint, skipped_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    model core.model_definition := internal.read_history(definition, series);
    batch record;
    result jsonb;
    total bigint := (select count(*) from pg_temp.series_input as i);
begin
    perform internal.make_anomaly_found();
    series_count := 0;
    skipped_count := 0;
    for batch in select b.* from internal.series_batches() as b loop
        perform internal.show_progress('search', model.name, (series_count + skipped_count)::int, total::int);
        result := internal.search_anomalies(model.options, internal.step_seconds(model.grid), threshold, batch.steps, batch."values", batch.counts)::jsonb;
        with searched as (
            select batch.ids[e.place] as series_id, e.value -> 'rows' as found, internal.step_time(model.grid, (e.value ->> 'first_step')::bigint) as first_time
            from jsonb_array_elements(result) with ordinality as e (value, place)
            where e.value ? 'rows'
        ), found as (
            select s.series_id, internal.step_time(model.grid, (r.value ->> 0)::bigint) as target_time, (r.value ->> 1)::float8 as actual,
                (r.value ->> 2)::float8 as expected, (r.value ->> 3)::float8 as score
            from searched as s
            cross join lateral jsonb_array_elements(s.found) as r (value)
        )
        insert into pg_temp.anomaly_found (series_id, target_time, actual, expected, score)
        select f.series_id, f.target_time, f.actual, f.expected, f.score
        from found as f
        where f.target_time >= coalesce(since, '-infinity')
        union all
        -- What was one before, and is none any more.
        select a.series_id, a.target_time, null, null, null
        from core.anomaly as a
        inner join searched as s on s.series_id = a.series_id and a.target_time >= s.first_time
        where a.model = model.name and a.method = 'history' and a.target_time >= coalesce(since, '-infinity')
          and not exists (select from found as f where f.series_id = a.series_id and f.target_time = a.target_time);
        series_count := series_count + (select count(*) from jsonb_array_elements(result) as e (value) where e.value ? 'rows');
        skipped_count := skipped_count + (select count(*) from jsonb_array_elements(result) as e (value) where not e.value ? 'rows');
    end loop;
    return next;
end
$$;

comment on function internal.search_history(core.model_definition, text, timestamptz, float8) is
'Holds the values of a model''s series against their own course, into pg_temp.anomaly_found. Returns how many could be searched, and how
many could not: too short, or two rows of one step.';

create function internal.store_anomalies(model text, method text, threshold float8)
returns table (found_count bigint, new_count bigint, resolved_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    with stored as (
        insert into core.anomaly as a (model, series_id, target_time, method, actual, expected, score, threshold, version)
        select store_anomalies.model, f.series_id, f.target_time, store_anomalies.method, f.actual, f.expected, f.score, store_anomalies.threshold, f.version
        from pg_temp.anomaly_found as f
        where f.score is not null
        on conflict on constraint anomaly_model_series_id_target_time_method_key do update
        set actual = excluded.actual, expected = excluded.expected, score = excluded.score, threshold = excluded.threshold, version = excluded.version,
            changed_at = clock_timestamp(), resolved_at = null, status = case a.status when 'resolved' then 'open' else a.status end,
            -- What somebody knew of was something else.
            acknowledged_at = case a.status when 'resolved' then null else a.acknowledged_at end,
            acknowledged_by = case a.status when 'resolved' then null else a.acknowledged_by end
        where a.status = 'resolved' or (a.actual, a.expected, a.score, a.threshold, a.version)
            is distinct from (excluded.actual, excluded.expected, excluded.score, excluded.threshold, excluded.version)
        returning a.xmax = 0 as is_new
    ), resolved as (
        update core.anomaly as a
        set status = 'resolved', resolved_at = clock_timestamp(), changed_at = clock_timestamp()
        from pg_temp.anomaly_found as f
        where f.score is null and a.model = store_anomalies.model and a.method = store_anomalies.method and a.series_id = f.series_id
          and a.target_time = f.target_time and a.status <> 'resolved'
        returning a.id
    )
    select (select count(*) from pg_temp.anomaly_found as f where f.score is not null), (select count(*) from stored as s where s.is_new),
        (select count(*) from resolved);
end
$$;

comment on function internal.store_anomalies(text, text, float8) is
'Makes core.anomaly say what pg_temp.anomaly_found says: new ones are added, others changed where they differ, resolved where they are
none any more.';

create function api.find_anomalies(
    model text, series text default null, since timestamptz default null, threshold float8 default null, method text default null
)
returns table (searched text, series_count bigint, skipped_count bigint, found_count bigint, new_count bigint, resolved_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    definition core.model_definition := internal.find_model(find_anomalies.model);
    chosen text := internal.one_of(find_anomalies.method, '{forecast,history}', 'method');
    limit_score float8 := internal.anomaly_threshold(definition.name, find_anomalies.threshold);
    id int;
begin
    if definition.source is null or definition.time_column is null then
        raise exception 'model % has no series', definition.name using errcode = '22023', hint = 'Models of series made by api.create_model have.';
    end if;
    -- One search of a model at a time, and not while actual values are joined.
    perform internal.lock_actuals(definition.name);
    if chosen is distinct from 'forecast' then
        searched := 'history';
        select h.series_count, h.skipped_count into series_count, skipped_count
        from internal.search_history(definition, find_anomalies.series, find_anomalies.since, limit_score) as h;
        select s.found_count, s.new_count, s.resolved_count into found_count, new_count, resolved_count
        from internal.store_anomalies(definition.name, searched, limit_score) as s;
        return next;
    end if;
    if chosen is distinct from 'history' then
        searched := 'forecast';
        id := (select s.id from core.model_series as s where s.model = definition.name and s.label = find_anomalies.series limit 1);
        if id is null and find_anomalies.series is not null then
            raise exception 'model % has no series %', definition.name, find_anomalies.series
                using errcode = '22023', hint = 'See series of bi.forecast.';
        end if;
        series_count := internal.search_forecasts(definition.name, id, find_anomalies.since, limit_score);
        skipped_count := 0;
        select s.found_count, s.new_count, s.resolved_count into found_count, new_count, resolved_count
        from internal.store_anomalies(definition.name, searched, limit_score) as s;
        return next;
    end if;
end
$$;

comment on function api.find_anomalies(text, text, timestamptz, float8, text) is
'Finds values of the series of a model that were not to be expected, and keeps them (bi.anomaly). Searching again changes nothing.

Two ways, each a row (searched): history, every value against the trend, seasons and levels of its own series, which outliers do not bend;
forecast, against the forecast the versions in force issued for it (join what happened first: api.record_actuals). series: NULL = all.
since: steps from then on, NULL = all. threshold: score beyond which a value is an anomaly, in standard deviations (robust ones of the
residuals; those of the 95 % interval), NULL = that of the model (api.set_anomaly_threshold), else the setting anomalies.threshold.
method: NULL = both. What is found no longer, or not beyond this threshold, is resolved; what was acknowledged stays so. Returns how
many series were searched or could not be (too short), and how many anomalies were found, are new, were resolved. Raises 22023 for an
unknown model or series, or a threshold that is not above 0. Example: select * from api.find_anomalies(''sales'', threshold => 4);';

create function internal.find_all_anomalies()
returns table (count bigint, detail text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    model record;
    new_count bigint;
    resolved_count bigint;
    fault text;
    model_count int := 0;
    resolved bigint := 0;
    failed text [];
begin
    count := 0;
    for model in
        select d.name, m.data_until - greatest(
            make_interval(days => internal.setting('anomalies.days')::int), make_interval(secs => 3 * internal.step_seconds(d.grid))
        ) as since
        from core.model_definition as d
        inner join core.model_data as m on m.model = d.name
        where d.source is not null and d.grid is not null
        order by d.name
    loop
        begin
            select a.new_count, a.resolved_count into new_count, resolved_count
            from api.find_anomalies(model.name, since => model.since, method => 'forecast') as a;
            count := count + new_count + resolved_count;
            resolved := resolved + resolved_count;
            model_count := model_count + 1;
        exception
            -- (A cancel is not among others.)
            when others then
                get stacked diagnostics fault = message_text;
                failed := failed || format('%s: %s', model.name, fault);
        end;
    end loop;
    detail := format('%s new, %s resolved, %s models', count - resolved, resolved, model_count)
        || coalesce('; failed: ' || array_to_string(failed, '; '), '');
    return next;
end
$$;

comment on function internal.find_all_anomalies() is
'Holds the newest actual values of every model against the forecasts issued for them, as far back as the setting anomalies.days says.

Returns how many anomalies are new or resolved; detail names the models that failed, which stop no other.';
