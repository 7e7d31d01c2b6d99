create function internal.accept_movements(source_data_id int, options jsonb default '{}', block int default null)
returns internal.accepted
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_custom_plan
as $$
declare
    decimal_mark text := options ->> 'decimal';
    zone text := options ->> 'time_zone';
    default_warehouse text := coalesce(options ->> 'warehouse', 'main');
    on_conflict text := coalesce(options ->> 'on_conflict', 'skip');
    latest timestamptz := now() + interval '1 day';
    session_zone text := current_setting('timezone');
    session_style text := current_setting('datestyle');
    changes tstzmultirange;
    place staging.block;
    stored_count bigint := 0;
    first_time timestamptz;
    last_time timestamptz;
    staged_count bigint;
    candidate_count bigint;
    result internal.accepted;
    offending record;
begin
    if block is null then
        perform internal.spell_names();
        update staging.row as r
        set spelling = s.number
        from staging.spelling as s
        where s.item = coalesce(r.item, '') and s.product_type = coalesce(r.product_type, '') and s.warehouse = coalesce(r.warehouse, '')
            and s.document_type = coalesce(r.document_type, '');
        perform internal.remember_names(default_warehouse, zone);
        select count(*) filter (where internal.looks_negative(r.quantity)) * 2 > count(*) into place.is_signed
        from staging.row as r
        inner join internal.spelled_operations() as o on o.spelling = r.spelling and o.goes_out
        where r.quantity is not null;
        place.first_spelling := 1;
    else
        select b.* into strict place from staging.block as b where b.number = accept_movements.block;
        perform internal.remember_names(default_warehouse, zone, place.first_spelling, place.last_spelling);
        truncate staging.row;
        -- Most rows are spelt plainly and are new: those go where they belong in one statement. A known movement stops it.
        begin
            insert into core.stock_movements
                (posted_at, nomenclature_id, warehouse_id, operation, document_number, batch_received_at, in_kg, out_kg, source_data_id, line, key_hash)
            select j.posted_at, n.nomenclature_id, n.warehouse_id, j.operation, j.document_number, j.batch_received_at, j.in_kg, j.out_kg,
                accept_movements.source_data_id, j.line,
                internal.movement_key(n.warehouse_id, j.operation, j.document_number, j.batch_received_at)
            from internal.block_judged(place) as j
            inner join staging.meaning as n on n.spelling = j.spelling
            where n.nomenclature_id is not null;
            get diagnostics stored_count = row_count;
            -- Read again: to have the insert return them takes longer.
            select min(j.posted_at), max(j.posted_at) into first_time, last_time from internal.block_judged(place) as j;
            perform internal.note_period(source_data_id, first_time, last_time);
        exception when unique_violation then
            null;
        end;
        -- The others are looked at one by one.
        if stored_count < place.row_count then
            insert into staging.row
            select s.*
            from internal.block_rows(place) as s
            where not exists (
                select from internal.block_judged(place) as j
                inner join staging.meaning as n on n.spelling = j.spelling
                where stored_count > 0 and j.line = s.line and n.nomenclature_id is not null
            );
        end if;
    end if;

    select count(*) into staged_count from staging.row as r;
    if stored_count + staged_count <> place.row_count then
        raise exception 'staged % rows, found % of them', place.row_count, stored_count + staged_count;
    end if;
    result.read_count := stored_count + staged_count;
    result.loaded_count := stored_count;
    result.rejected_count := 0;
    result.duplicate_count := 0;

    if staged_count > 0 then
        if zone is not null and coalesce(options ->> 'date_format', 'DMY') = 'DMY' then
            perform set_config('timezone', zone, true), set_config('datestyle', 'ISO, DMY', true);
            changes := internal.clock_changes(zone, latest);
        end if;
        perform internal.read_stamps(options, changes);
        create temp table if not exists judged (
            line int, nomenclature_id int, warehouse_id int, posted_at timestamptz, operation text, document_number text,
            batch_received_at timestamptz, in_kg numeric(14, 3), out_kg numeric(14, 3), key_hash bigint, reason text, column_name text
        ) on commit drop;
        truncate pg_temp.judged;
        insert into pg_temp.judged
        select v.line, v.nomenclature_id, v.warehouse_id, v.posted_at, v.operation, v.document_number, v.batch_received_at,
            case when v.reason is null then v.in_kg end, case when v.reason is null then v.out_kg end, v.key_hash, v.reason, v.column_name
        from internal.movement_verdicts(decimal_mark, place.is_signed, latest, changes, place.first_spelling) as v;
        select count(*), min(j.posted_at), max(j.posted_at) into candidate_count, first_time, last_time from pg_temp.judged as j where j.reason is null;
        perform internal.note_period(source_data_id, first_time, last_time);

        insert into core.stock_movements as m
            (posted_at, nomenclature_id, warehouse_id, operation, document_number, batch_received_at, in_kg, out_kg, source_data_id, line, key_hash)
        -- Of rows that are the same movement the last counts when they may replace each other, else the first.
        select distinct on (j.nomenclature_id, j.posted_at, j.key_hash)
            j.posted_at, j.nomenclature_id, j.warehouse_id, j.operation, j.document_number, j.batch_received_at, j.in_kg, j.out_kg,
            accept_movements.source_data_id, j.line, j.key_hash
        from pg_temp.judged as j
        where j.reason is null
        order by j.nomenclature_id, j.posted_at, j.key_hash, case when on_conflict = 'update' then - j.line else j.line end
        on conflict (nomenclature_id, posted_at, key_hash) do update
            set in_kg = excluded.in_kg, out_kg = excluded.out_kg, source_data_id = excluded.source_data_id, line = excluded.line
            where on_conflict = 'update' and (m.in_kg, m.out_kg) <> (excluded.in_kg, excluded.out_kg);
        get diagnostics stored_count = row_count;
        result.loaded_count := result.loaded_count + stored_count;

        if stored_count < candidate_count and on_conflict <> 'update' then
            -- Known already: the same quantity is a duplicate, another one a conflict.
            update pg_temp.judged as j set reason = 'conflict', column_name = 'quantity'
            from core.stock_movements as m
            where j.reason is null and m.nomenclature_id = j.nomenclature_id and m.posted_at = j.posted_at and m.key_hash = j.key_hash
              and (m.source_data_id, m.line) <> (accept_movements.source_data_id, j.line)
              and (m.in_kg, m.out_kg) <> (j.in_kg, j.out_kg);
            if on_conflict = 'fail' then
                select j.line into offending from pg_temp.judged as j where j.reason = 'conflict' order by j.line limit 1;
                if found then
                    raise exception 'line % has another quantity than stored for the same document, product and batch', offending.line
                        using errcode = '23505', hint = 'Use --on-conflict skip or update.';
                end if;
            end if;
        end if;
        result.rejected_count := internal.record_rejects(accept_movements.source_data_id);
        result.duplicate_count := result.read_count - result.loaded_count - result.rejected_count;
        perform set_config('timezone', session_zone, true), set_config('datestyle', session_style, true);
    end if;
    return result;
end
$$;

comment on function internal.accept_movements(int, jsonb, int) is
'Gives every staged row of a block of movements its verdict, and stores the good ones.

block: its number in staging.block, where internal.judge_movements entered it; NULL = all of staging.row. options: time_zone,
date_format, decimal, dst, warehouse, on_conflict (skip, update, fail). Rejected rows go to core.validation_errors with their
reason.';
