create function internal.fail_run(model text, options jsonb, run_id bigint, sqlstate text, error text)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    run_id := internal.open_run(model, 'fit', options, run_id);
    perform internal.close_run(run_id, 'failed', null, 0, 0, sqlstate, error);
    return run_id;
end
$$;

comment on function internal.fail_run(text, jsonb, bigint, text, text) is
'Writes the run of a fit that failed and was rolled back; run_id: the row that was there before, NULL = none. Gives the run.';
