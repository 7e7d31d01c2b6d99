create procedure api.refresh_aggregates()
language plpgsql
as $$
declare
    source text;
    stored text;
    first_day timestamptz;
    last_day timestamptz;
    is_forced boolean;
begin
    set local search_path = pg_catalog, pg_temp;
    foreach source in array array['movement', 'period', 'forecast'] loop
        stored := format('core.%I', source || '_day_utc');
        -- Only its owner can refresh a continuous aggregate; for others what changed stays pending.
        continue when to_regclass(stored) is null or not pg_has_role((select c.relowner from pg_class as c where c.oid = to_regclass(stored)), 'usage');
        execute format('select min(p.day_from) - interval ''2 days'', max(p.day_to) + interval ''2 days'', bool_or(p.must_rebuild) from core.%I as p where p.day_from < p.day_to',
            source || '_pending') into first_day, last_day, is_forced;
        continue when first_day is null;
        if source = 'forecast' then
            -- What was dropped must not be summed again.
            first_day := greatest(first_day, (select t.dropped_before from core.storage_policy as t where t.table_name = 'core.forecast_ledger'));
        end if;
        first_day := nullif(first_day, '-infinity');
        last_day := nullif(last_day, 'infinity');
        -- What is pending is committed, and so is seen by the refresh.
        commit;
        set local search_path = pg_catalog, pg_temp;
        set local client_min_messages = warning;
        call public.refresh_continuous_aggregate(stored::regclass, first_day, last_day, force => is_forced);
        commit;
        set local search_path = pg_catalog, pg_temp;
    end loop;
    perform internal.refresh_rollups();
    commit;
    set local search_path = pg_catalog, pg_temp;
end
$$;

comment on procedure api.refresh_aggregates() is
'Stores the sums of what changed since the last time, so that reading them costs the same however much changed.

Right or wrong does not hang on it: what is not stored yet is summed when it is read. Apache edition: the touched days, weeks and
months of the touched products alone. Community: the continuous aggregates first, then checked against the source. Not inside a
transaction. Example: call api.refresh_aggregates();';
