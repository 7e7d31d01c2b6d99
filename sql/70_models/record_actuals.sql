create function api.record_actuals(model text)
returns table (joined_count bigint, open_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
declare
    definition core.model_definition := internal.find_model(model);
    first_step bigint;
begin
    if definition.source is null then
        raise exception 'model % forecasts no series', definition.name using errcode = '22023', hint = 'Models made by api.create_model do.';
    end if;
    select internal.step_number(definition.grid, min(f.target_time)) into first_step
    from core.forecast_ledger as f
    inner join core.model_versions as v on v.id = f.version_id
    where v.model = definition.name;
    create temp table if not exists observed (series_id int, target_time timestamptz, value float8) on commit drop;
    truncate pg_temp.observed;
    execute format(
        $statement$
        insert into pg_temp.observed
        select s.id, internal.step_time($1, o.n), o.v
        from (%s) as o
        inner join core.model_series as s on s.model = $2 and %s
        where o.n >= $3 and abs(o.v) < 'infinity'
        $statement$, internal.observation_query(definition, null),
        internal.key_condition(definition.key_columns, 'o', 's.series_key')
    ) using definition.grid, definition.name, first_step;
    analyze pg_temp.observed;
    -- A value that changed afterwards is taken in too: what counts is what the source says now.
    update core.forecast_ledger as f
    set actual = o.value, actual_at = now()
    from pg_temp.observed as o
    cross join core.model_versions as v
    where v.model = definition.name and f.version_id = v.id and f.series_id = o.series_id and f.target_time = o.target_time
      and f.actual is distinct from o.value;
    get diagnostics joined_count = row_count;
    select count(*) into open_count
    from core.forecast_ledger as f
    inner join core.model_versions as v on v.id = f.version_id
    where v.model = definition.name and f.actual is null;
    return next;
end
$$;

comment on function api.record_actuals(text) is
'Joins what happened since to the forecasts a model issued (bi.actual_vs_forecast). Calling it again changes nothing.

Returns how many forecasts got an actual or another one, and how many still wait. Example: select * from api.record_actuals(''sales'');';
