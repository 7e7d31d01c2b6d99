create function api.retry_rejects(import_id int, options jsonb default '{}')
returns internal.accepted
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    file core.source_data;
    result internal.accepted;
    all_options jsonb;
begin
    select s.* into file from core.source_data as s where s.id = import_id and s.undone_at is null;
    if not found then
        raise exception 'there is no import %', import_id
            using errcode = '22023', hint = 'See bi.import_quality for the imports.';
    end if;
    all_options := file.options || jsonb_strip_nulls(options);
    truncate staging.row, staging.norm;
    create temp table if not exists retried (line int, raw_text text, staged jsonb) on commit drop;
    truncate pg_temp.retried;
    -- A total that contradicts its rows stays rejected: without the rows it cannot be judged again. What a person dealt with is
    -- not tried again.
    with taken as (
        delete from core.validation_errors as e
        where e.source_data_id = import_id and e.reason <> 'control_total' and e.staged is not null and not e.resolved
        returning e.line, e.raw_text, e.staged
    )
    insert into pg_temp.retried select t.line, t.raw_text, t.staged from taken as t;
    if file.layout = 'norms' then
        insert into staging.norm
        select s.* from pg_temp.retried as r cross join lateral jsonb_populate_record(null::staging.norm, r.staged) as s;
    else
        insert into staging.row
        select s.* from pg_temp.retried as r cross join lateral jsonb_populate_record(null::staging.row, r.staged) as s;
    end if;

    execute format('select (a).* from internal.accept_%s($1, $2) as a', file.layout) into result using import_id, all_options;

    update core.source_data as s
    set loaded_count = s.loaded_count + result.loaded_count,
        duplicate_count = s.duplicate_count + result.duplicate_count,
        rejected_count = s.rejected_count - result.loaded_count - result.duplicate_count,
        options = all_options
    where s.id = import_id;
    update core.validation_errors as e
    set raw_text = r.raw_text
    from pg_temp.retried as r
    where e.source_data_id = import_id and e.line = r.line and e.raw_text is null and e.staged is not null;
    truncate staging.row, staging.norm;
    return result;
end
$$;

comment on function api.retry_rejects(int, jsonb) is
'Judges the rejected rows of an import again, after a mapping, a setting or an option was mended.

options override those of the import (decimal, date_format, time_zone, dst, on_conflict). Returns what became of the rejected
rows; the ledger is brought up to date. Rows that could not even be split into columns stay, and so do those a person resolved
(api.reopen_errors takes them back). Raises 22023 for an unknown import.
Example: select * from api.retry_rejects(3);';
