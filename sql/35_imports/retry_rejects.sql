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
    truncate staging.row;
    -- A total that contradicts its rows stays rejected: without the rows it cannot be judged again.
    with retried as (
        delete from core.validation_errors as e
        where e.source_data_id = import_id and e.reason <> 'control_total' and e.staged is not null
        returning e.staged
    )
    insert into staging.row
    select s.* from retried as r cross join lateral jsonb_populate_record(null::staging.row, r.staged) as s;

    execute format('select (a).* from internal.accept_%s($1, $2) as a', file.layout) into result using import_id, all_options;

    update core.source_data as s
    set loaded_count = s.loaded_count + result.loaded_count,
        duplicate_count = s.duplicate_count + result.duplicate_count,
        rejected_count = s.rejected_count - result.loaded_count - result.duplicate_count,
        options = all_options
    where s.id = import_id;
    -- The raw text went with the old verdict; the staged row says the same.
    update core.validation_errors as e
    set raw_text = (select string_agg(v.value, ';') from jsonb_each_text(e.staged - 'line') as v)
    where e.source_data_id = import_id and e.raw_text is null and e.staged is not null;
    truncate staging.row;
    return result;
end
$$;

comment on function api.retry_rejects(int, jsonb) is
'Judges the rejected rows of an import again, after a mapping, a setting or an option was mended.

options override those of the import (decimal, date_format, time_zone, dst, on_conflict). Returns what became of the rejected
rows; the ledger is brought up to date. Rows that could not even be split into columns stay. Raises 22023 for an unknown import.
Example: select * from api.retry_rejects(3);';
