create function internal.accept_movements(source_data_id int, options jsonb default '{}', is_signed boolean default null)
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
    noted text := coalesce(current_setting('weighhouse.noted', true), '');
    changes tstzmultirange;
    stored_count bigint;
    first_time timestamptz;
    last_time timestamptz;
    candidate_count bigint;
    result internal.accepted;
    offending record;
begin
    if is_signed is null then
        perform internal.spell_names();
        update staging.row as r
        set spelling = s.number
        from staging.spelling as s
        where s.item = coalesce(r.item, '') and s.product_type = coalesce(r.product_type, '') and s.warehouse = coalesce(r.warehouse, '')
            and s.document_type = coalesce(r.document_type, '');
        perform internal.remember_names(default_warehouse, zone);
        -- Some ledgers write a sale as -5, others as 5 (and a return as -5): what most rows do is what the file does.
        select count(*) filter (where internal.looks_negative(r.quantity)) * 2 > count(*) into is_signed
        from staging.row as r
        inner join internal.spelled_operations() as o on o.spelling = r.spelling and o.goes_out
        where r.quantity is not null;
    end if;
    select count(*), 0, 0, 0 into result.read_count, result.loaded_count, result.duplicate_count, result.rejected_count from staging.row as r;

    if result.read_count > 0 then
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
        from internal.movement_verdicts(decimal_mark, is_signed, latest, changes) as v;
        select count(*), min(j.posted_at), max(j.posted_at) into candidate_count, first_time, last_time from pg_temp.judged as j where j.reason is null;
        perform internal.note_period(source_data_id, first_time, last_time);

        perform set_config('weighhouse.noted', 'yes', true);
        with stored as (
            insert into core.stock_movements as m
                (posted_at, nomenclature_id, warehouse_id, operation, document_number, batch_received_at, in_kg, out_kg, source_data_id, line)
            -- Of rows that are the same movement the last counts when they may replace each other, else the first.
            select distinct on (j.nomenclature_id, j.posted_at, j.key_hash)
                j.posted_at, j.nomenclature_id, j.warehouse_id, j.operation, j.document_number, j.batch_received_at, j.in_kg, j.out_kg,
                accept_movements.source_data_id, j.line
            from pg_temp.judged as j
            where j.reason is null
            order by j.nomenclature_id, j.posted_at, j.key_hash, case when on_conflict = 'update' then - j.line else j.line end
            on conflict (nomenclature_id, posted_at, key_hash) do update
                set in_kg = excluded.in_kg, out_kg = excluded.out_kg, source_data_id = excluded.source_data_id, line = excluded.line
                where on_conflict = 'update' and (m.in_kg, m.out_kg) <> (excluded.in_kg, excluded.out_kg)
            returning m.nomenclature_id, m.warehouse_id, m.posted_at
        ), changed as (
            insert into core.rollup_pending (source, key_1, key_2, from_time, to_time)
            select 'movement', s.nomenclature_id, s.warehouse_id, min(s.posted_at), max(s.posted_at)
            from stored as s
            group by s.nomenclature_id, s.warehouse_id
        )
        select count(*) into stored_count from stored as s;
        perform set_config('weighhouse.noted', noted, true);
        result.loaded_count := stored_count;

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

comment on function internal.accept_movements(int, jsonb, boolean) is
'Gives every row of staging.row its verdict as a movement, and stores the good ones.

options: time_zone, date_format, decimal, dst, warehouse, on_conflict (skip, update, fail). is_signed: the names stand in
staging.spelling and staging.meaning already, and a quantity that goes out is negative in the file (or not); NULL = they stand in
the rows, which also tell the signs. Rejected rows go to core.validation_errors with their reason.';
