create function internal.record_all_actuals()
returns table (joined_count bigint, detail text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    chosen text;
    joined bigint;
    fault text;
    model_count int := 0;
    failed text [];
begin
    joined_count := 0;
    for chosen in
        select d.name
        from core.model_definition as d
        where d.time_column is not null and exists (
            select from core.model_versions as v inner join core.forecast_ledger as f on f.version_id = v.id where v.model = d.name
        )
        order by d.name
    loop
        begin
            select a.joined_count into joined from api.record_actuals(chosen) as a;
            joined_count := joined_count + joined;
            model_count := model_count + 1;
        exception
            -- (A cancel is not among others.)
            when others then
                get stacked diagnostics fault = message_text;
                failed := failed || format('%s: %s', chosen, fault);
        end;
    end loop;
    detail := format('%s actual values joined, %s models', joined_count, model_count) || coalesce('; failed: ' || array_to_string(failed, '; '), '');
    return next;
end
$$;

comment on function internal.record_all_actuals() is
'Joins what happened since to the forecasts of every model that issued some. Calling it again changes nothing.

Returns how many forecasts got an actual or another one; detail names the models that failed, which stop no other.';
