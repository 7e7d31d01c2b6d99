create function internal.next_upload(name text, file_name text, file_hash text, size_bytes bigint, refusal text default null)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    dataset_id bigint := nextval('core.dataset_id_seq');
    chosen_view text;
begin
    if name is null or btrim(name) = '' or name <> btrim(name) or length(name) > 200 or name ~ '[\u0001-\u001f\u007f]' then
        raise exception 'a dataset cannot be named "%"', left(name, 80) using errcode = '22023',
            hint = 'Give 1 to 200 characters without spaces around them or line breaks.';
    end if;
    -- The next number is given once, and a view to one name: uploads of other names go on meanwhile.
    perform pg_advisory_xact_lock(x'57454453'::int, hashtext(name));
    if refusal is null then
        chosen_view := internal.dataset_view_name(session_user, name);
        perform pg_advisory_xact_lock(x'57454456'::int, hashtext(chosen_view));
        -- Who held that lock may have taken the name.
        chosen_view := internal.dataset_view_name(session_user, name);
    end if;
    insert into core.dataset (id, name, version, relation, view_name, status, refusal, file_name, file_hash, size_bytes)
    overriding system value
    select dataset_id, next_upload.name, coalesce(max(d.version), 0) + 1,
        case when next_upload.refusal is null then format('dataset.upload_%s', dataset_id) end,
        chosen_view, case when next_upload.refusal is null then 'ready' else 'refused' end, next_upload.refusal, next_upload.file_name, next_upload.file_hash,
        next_upload.size_bytes
    from core.dataset as d
    where d.owner = session_user and d.name = next_upload.name;
    return dataset_id;
end
$$;

comment on function internal.next_upload(text, text, text, bigint, text) is
'Gives an upload its key and the next version of its name; refusal NULL = it is taken in. Uploads of one name come one after the
other from here to the end of their transactions. Raises 22023 for a bad name.';

create function internal.store_upload(
    name text, file_name text, file_hash text, size_bytes bigint, source_data_id int default null, keep text default null
)
returns table (dataset_id bigint, version int, relation text, view text, row_count bigint, column_count int, expires_at timestamptz)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
    upload_id bigint;
    table_name text;
    stored bigint;
    kept interval := make_interval(days => internal.setting('dataset.keep_days')::int);
begin
    if lower(btrim(keep)) in ('forever', 'always') then
        kept := null;
    elsif keep is not null then
        begin
            kept := keep::interval;
        exception
            when invalid_datetime_format or datetime_field_overflow or interval_field_overflow then
                kept := interval '0';
        end;
        if kept <= interval '0' then
            raise exception 'a dataset cannot be kept for %', keep using errcode = '22023', hint = 'As 30 days, 6 months or forever.';
        end if;
    end if;
    upload_id := internal.next_upload(store_upload.name, store_upload.file_name, store_upload.file_hash, store_upload.size_bytes);
    select internal.make_dataset_table(upload_id, array_agg(c.name order by c.position), array_agg(c.type order by c.position))
    into table_name from pg_temp.upload_column as c;
    -- Cells lose the spaces around them before they are converted; text keeps what is in it.
    execute format('insert into %s select %s from (select %s from pg_temp.upload_row as r offset 0) as x', table_name, (
        select string_agg(case when c.type = 'text' then format('x.c%s', c.position)
            else format('case when x.c%s <> all(%L::text []) then %s end', c.position, w.empty_words, format(c.conversion, 'x.c' || c.position)) end,
            ', ' order by c.position)
        from pg_temp.upload_column as c
        cross join (select array(
            select e.value from jsonb_array_elements_text((select s.value from core.settings as s where s.name = 'dataset.empty_words')) as e (value)
        ) as empty_words) as w
    ), (
        select string_agg(case when c.type = 'text' then format('case when btrim(r.c%1$s, E'' \t\r\n\u00a0'') <> '''' then r.c%1$s end as c%1$s', c.position)
            else format('nullif(btrim(r.c%1$s, E'' \t\r\n\u00a0''), '''') as c%1$s', c.position) end, ', ' order by c.position)
        from pg_temp.upload_column as c
    ));
    get diagnostics stored = row_count;
    perform internal.profile_dataset(upload_id);
    update core.dataset as d
    set row_count = stored, column_count = (select count(*) from pg_temp.upload_column), table_bytes = internal.seal_dataset_table(upload_id),
        source_data_id = store_upload.source_data_id, expires_at = d.uploaded_at + kept
    where d.id = upload_id;
    insert into core.dataset_event (dataset_id, event, row_count, table_bytes)
    select d.id, 'uploaded', d.row_count, d.table_bytes from core.dataset as d where d.id = upload_id;
    perform internal.show_newest_dataset(d.view_name) from core.dataset as d where d.id = upload_id;
    return query
    select d.id, d.version, d.relation, 'dataset.' || quote_ident(d.view_name), d.row_count, d.column_count, d.expires_at
    from core.dataset as d where d.id = upload_id;
end
$$;

comment on function internal.store_upload(text, text, text, bigint, int, text) is
'Makes a dataset of what internal.judge_upload judged in this transaction: a typed table, its profile, and the view of the newest version.

keep: how long, as 30 days, or forever; NULL = as the setting dataset.keep_days. Raises 22023 for a bad name or keep, 2BP01 when a view of
somebody else stands on the view of the name and its columns change.';

create function internal.refuse_upload(
    name text, file_name text, file_hash text, size_bytes bigint, refusal text, hint text default null, line bigint default null, column_name text default null
)
returns table (dataset_id bigint, version int)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    upload_id bigint := internal.next_upload(name, file_name, file_hash, size_bytes, refusal);
begin
    update core.dataset as d
    set refusal_hint = refuse_upload.hint, refused_line = refuse_upload.line, refused_column = refuse_upload.column_name
    where d.id = upload_id;
    insert into core.dataset_event (dataset_id, event, reason) values (upload_id, 'refused', refuse_upload.refusal);
    return query select d.id, d.version from core.dataset as d where d.id = upload_id;
end
$$;

comment on function internal.refuse_upload(text, text, text, bigint, text, text, bigint, text) is
'Records an upload that was refused; nothing else is left of it.';
