create function internal.show_progress(task text, model text, done int, total int)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Rows of a run are seen by others when it ends; the name of the session is seen at once, and gets its old value back by
    -- itself when the transaction ends. 63 bytes of ASCII: the model is known by its hash.
    perform set_config('application_name', format('weighhouse %s %s/%s %s', task, done, total, left(md5(model), 16)), true);
end
$$;

comment on function internal.show_progress(text, text, int, int) is 'Shows other sessions how far this one is (bi.fit_progress), until its transaction ends.';
