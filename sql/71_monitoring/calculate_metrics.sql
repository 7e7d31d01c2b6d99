create function api.calculate_metrics(from_date date default null, to_date date default null, model text default null)
returns table (day_count bigint, row_count bigint, changed_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
#variable_conflict use_variable
declare
    definition core.model_definition;
    stored record;
    new_count bigint;
begin
    if from_date > to_date or not isfinite(from_date) or not isfinite(to_date) then
        raise exception 'the days from % to % are no interval', from_date, to_date
            using errcode = '22023', hint = 'Give the earlier day first, or NULL for an open end.';
    end if;
    if model is not null then
        definition := internal.find_model(model);
    end if;
    day_count := 0;
    row_count := 0;
    changed_count := 0;
    for definition in
        select d.* from core.model_definition as d where calculate_metrics.model is null or d.name = calculate_metrics.model order by d.name
    loop
        perform internal.lock_actuals(definition.name);
        perform internal.open_metrics();
        new_count := 0;
        if definition.time_column is not null then
            new_count := internal.measure_forecasts(definition, from_date, to_date);
        elsif definition.kind = 'shrinkage_curve' then
            perform internal.measure_shrinkage(from_date, to_date);
        end if;
        -- Days of a range may hold later actual values than the others: only a calculation of all that is new moves the mark.
        if exists (select from pg_temp.metric_scope) then
            if new_count > 0 then
                select count(distinct s.day) as day_count, new_count as row_count, new_count as changed_count into stored from pg_temp.metric_scope as s;
            else
                select s.day_count, s.row_count, s.changed_count into stored from internal.store_metrics(definition.name) as s;
            end if;
            day_count := day_count + stored.day_count;
            row_count := row_count + stored.row_count;
            changed_count := changed_count + stored.changed_count;
            if from_date is null and to_date is null then
                insert into core.metrics_calculation as c (version_id, actual_until)
                select s.version_id, max(s.actual_until) from pg_temp.metric_scope as s where s.actual_until is not null group by s.version_id
                on conflict (version_id) do update set actual_until = excluded.actual_until where c.actual_until < excluded.actual_until;
            end if;
        end if;
    end loop;
    return next;
end
$$;

comment on function api.calculate_metrics(date, date, text) is
'Calculates the daily metrics of the models (bi.model_performance) over all series and by segment, by version.

from_date, to_date: days of the models'' zones, both included, NULL = open; a range is calculated anew. Both NULL = only the days with
actual values that came or changed since the last time (api.record_actuals joins them). model: NULL = all. A day calculated again
changes nothing; metrics of forecasts that are gone go too. Returns days and rows looked at, and how many rows were written, changed
or removed. Raises 22023 for days in the wrong order and for an unknown model. Example: select * from api.calculate_metrics();';
