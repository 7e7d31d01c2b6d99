create procedure internal.analyze_written(row_count bigint, writes text)
language plpgsql
set search_path = pg_catalog, pg_temp
set client_min_messages = error
as $$
begin
    -- The next step must not be planned for tables as small as they were. Only who may (the owner, a role with MAINTAIN); others
    -- wait for autovacuum.
    if row_count > 1000 and writes <> '' then
        execute format('analyze %s', writes);
    end if;
end
$$;

comment on procedure internal.analyze_written(bigint, text) is 'Tells the planner about tables a step wrote many rows to.';
